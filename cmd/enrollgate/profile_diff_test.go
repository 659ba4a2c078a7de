package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca/profile"
)

// TestProfileDiff replays what a daemon issued, under the same profile and under
// others.
func TestProfileDiff(t *testing.T) {
	dir := t.TempDir()
	r := startDaemonIn(t, dir)
	for _, name := range []string{"a.localhost", "b.localhost"} {
		if err := r.enroll(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
	}
	id := r.cfg.Endpoints[0].Profile
	own := filepath.Join(dir, "own.yaml")
	if err := os.WriteFile(own, []byte("- {id: short, extends: "+id+", validity: {default: P30D}}\n"+
		"- {id: narrow, extends: "+id+", subject_alt_name: {dns: {allow: [a.localhost]}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	diff := func(args ...string) (out compared) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		args = append([]string{"profile", "diff", "--dev", "--data", filepath.Join(dir, "data"), "--config", filepath.Join(dir, "overlay.yaml"), "--json"}, args...)
		if code := run(args, console{&stdout, &stderr}); code != exitOK {
			t.Fatalf("%v: exit code %d: %s", args, code, stderr.String())
		}
		if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	hash := r.cfg.Profiles[id].Hash()
	for _, old := range []string{id, hex.EncodeToString(hash[:])} {
		if out := diff(old, id); out.Counts[profile.ReplayUnchanged] != 2 || len(out.Counts) != 1 || len(out.Requests)+len(out.Settings) != 0 {
			t.Errorf("%s under itself: %+v", old, out)
		}
	}
	if out := diff("gateway-tls-server", "gateway-tls-server"); out.Counts[profile.ReplayUnchanged] != 1 || len(out.Counts) != 1 {
		t.Errorf("the daemon's own certificate: %+v", out)
	}
	if out := diff(id, own+"#short"); out.Counts[profile.ReplayChanged] != 2 || out.Fields["validity.not_after"] != 2 || len(out.Fields) != 1 || len(out.Requests) != 2 ||
		len(out.Requests[0].Changes) != 1 || out.Requests[0].Changes[0].Old == out.Requests[0].Changes[0].New || out.Requests[0].Changes[0].New == "" {
		t.Errorf("a shorter validity: %+v", out)
	}
	out := diff(id, own+"#narrow", "--since", "1h")
	if out.Counts[profile.ReplayUnchanged] != 1 || out.Counts[profile.ReplayNewlyRefused] != 1 || len(out.Requests) != 1 || out.Requests[0].Names[0] != "dns:b.localhost" ||
		out.Requests[0].Rule != "profile narrow subject_alt_name.dns.allow" || len(out.Settings) == 0 {
		t.Errorf("fewer names: %+v", out)
	}
	if out := diff(id, own+"#short", "--list", "1"); len(out.Requests) != 1 || out.More != 1 || out.Counts[profile.ReplayChanged] != 2 {
		t.Errorf("a short list: %+v", out)
	}
	var text strings.Builder
	if err := out.print(console{&text, nil}); err != nil || !strings.Contains(text.String(), "newly refused") || !strings.Contains(text.String(), "2 requests") {
		t.Errorf("%v\n%s", err, text.String())
	}
}
