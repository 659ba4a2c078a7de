package interop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/store/sqlite"
	"github.com/enrollgate/enrollgate/test/harness"
)

// command runs the binary and gives stdout, stderr and the exit code.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), harness.Binary(t), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// eventually waits for the daemon to log something.
func eventually(t *testing.T, p *harness.Process, text string, times int) {
	t.Helper()
	for range 1000 { // 10 s, reached only where it never comes
		if strings.Count(p.Stderr(), text) >= times {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the daemon never logged %q %d times", text, times)
}

// TestHangup reloads a running daemon by signal.
func TestHangup(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "enrollgate.yaml")
	put := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("log: {level: info}\n")
	data := filepath.Join(dir, "d")
	p := harness.StartDev(t, "--config", file, "--data", data)
	s := &site{Process: p}
	client := clientOf(t, s)
	status := func(profile string) int {
		answer, err := client.Get("https://localhost/acme/default/issuing/" + profile + "/directory")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if code := status("brief"); code != http.StatusNotFound {
		t.Fatalf("before: %d", code)
	}
	put(`
profiles:
  - {id: brief, keys: [ecdsa-p256], key_usage: {bits: [digitalSignature]}, ext_key_usage: {mode: fixed, values: [serverAuth]},
     validity: {default: P1D}, subject_alt_name: {dns: {methods: [http-01], min: 1}}}
endpoints:
  - {id: acme-brief, protocol: acme, tenant: default, ca: issuing, profile: brief, authentication: [[acme-account]]}
`)
	p.Signal(syscall.SIGHUP)
	eventually(t, p, "msg=config.reloaded", 1)
	if code := status("brief"); code != http.StatusOK {
		t.Errorf("after: %d", code)
	}
	put("log: {level: loud}\nendpoints: 7\n")
	p.Signal(syscall.SIGHUP)
	eventually(t, p, "msg=config.invalid", 2) // one line a mistake
	put("base_url: {https: \"https://other.test\"}\nlog: {format: json}\n")
	p.Signal(syscall.SIGHUP)
	eventually(t, p, `msg=config.restart_needed keys="base_url log.format"`, 1)
	if code := status("brief"); code != http.StatusOK {
		t.Errorf("after two refused reloads: %d", code)
	}
	put("log: {level: info}\n")
	if out, errs, code := command(t, "reload", "--dev", "--config", file, "--data", data); code != 0 || !strings.Contains(out, "in force") {
		t.Fatalf("reload: %d %s %s", code, out, errs)
	}
	if code := status("brief"); code != http.StatusNotFound {
		t.Errorf("after the endpoint was taken out: %d", code)
	}
	p.Stop()
	actors := map[string]int{}
	for _, a := range events(t, filepath.Join(data, "enrollgate.db")) {
		if event, actor, _ := strings.Cut(a, " "); event == "config.reloaded" {
			actors[actor]++
		}
	}
	if actors["service:signal"] != 1 || len(actors) != 2 {
		t.Errorf("reloads in the audit trail: %v", actors)
	}
}

// events reads "EVENT ACTOR" of every audit row.
func events(t *testing.T, path string) (all []string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Log: slog.New(slog.DiscardHandler), Replica: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.ReadTrail(context.Background(), func(trail audit.Trail) error {
		chains, err := trail.Chains()
		for _, chain := range chains {
			batches, err := trail.Batches(chain, 0, 10000)
			if err != nil {
				return err
			}
			for _, b := range batches {
				for _, r := range b.Rows {
					all = append(all, r.Event+" "+r.Actor)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTrust rotates keys, signs and verifies, with and without a daemon, on each store.
func TestTrust(t *testing.T) {
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file, data := filepath.Join(dir, "enrollgate.yaml"), filepath.Join(dir, "d")
			text := lines(t)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			at := []string{"--dev", "--config", file, "--data", data}
			run := func(want int, contains string, args ...string) string {
				t.Helper()
				out, errs, code := command(t, append(args, at...)...)
				if code != want || !strings.Contains(out+errs, contains) {
					t.Fatalf("%v: exit code %d, want %d with %q\n%s%s", args, code, want, contains, out, errs)
				}
				return out
			}
			p := harness.StartDev(t, at...)
			run(0, "version 2", "seal", "rotate", "--purpose", "nonce")
			if !strings.Contains(p.Stderr(), "operation=/v1/seal/rotate") {
				t.Error("the daemon was not asked")
			}
			run(1, "all of them: all", "seal", "rotate", "--purpose", "nothing")
			run(2, "wrong usage", "seal", "rotate")
			run(0, "signed", "audit", "checkpoint")
			root := run(0, "PUBLIC KEY", "audit", "root")
			if kept, err := os.ReadFile(p.File("audit-root.pem")); err != nil || string(kept) != root {
				t.Errorf("audit-root.pem: %s, %v", kept, err)
			}
			var report struct {
				OK          bool
				Root        string
				Rows        int
				Checkpoints int
			}
			out := run(0, "", "audit", "verify", "--json", "--root", p.File("audit-root.pem"))
			if err := json.Unmarshal([]byte(out), &report); err != nil || !report.OK || report.Root != "given" || report.Rows < 4 || report.Checkpoints < 1 {
				t.Errorf("report %s, %v", out, err)
			}
			p.Stop()

			next := filepath.Join(data, "secrets", "next.key")
			if err := os.WriteFile(next, []byte(base64.StdEncoding.EncodeToString(make([]byte, 16))+base64.StdEncoding.EncodeToString(make([]byte, 16))), 0o600); err != nil {
				t.Fatal(err)
			}
			run(1, "32 octets", "seal", "rotate", "--kek", "--new-key", "file:"+next)
			if err := os.WriteFile(next, []byte(base64.StdEncoding.EncodeToString([]byte("not so random, but 32 octets ok!"))), 0o600); err != nil {
				t.Fatal(err)
			}
			run(0, "version 2", "seal", "rotate", "--purpose", "audit") // no daemon: by itself
			run(0, "restart every replica", "seal", "rotate", "--kek", "--new-key", "file:"+next)
			run(1, "does not open with this seal.key", "seal", "rotate", "--purpose", "all")
			run(0, "whole", "audit", "verify", "--root", filepath.Join(data, "audit-root.pem")) // needs no secret

			text += fmt.Sprintf("seal: {key: %q}\n", "file:"+next)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			harness.StartDev(t, at...)
			run(0, "version 3", "seal", "rotate", "--purpose", "nonce")
			run(0, "whole", "audit", "verify", "--root", filepath.Join(data, "audit-root.pem"))
		})
	}
}

// TestSocketActors: every operation of the socket leaves the name of who asked.
// Without a daemon the command does the same by itself.
func TestSocketActors(t *testing.T) {
	data := filepath.Join(t.TempDir(), "d")
	p := harness.StartDev(t, "--data", data)
	run := func(args ...string) string {
		t.Helper()
		out, errs, code := command(t, append(args, "--dev", "--data", data)...)
		if code != 0 {
			t.Fatalf("%v: %s", args, errs)
		}
		return out
	}
	var l listed
	if err := json.Unmarshal([]byte(run("cert", "list", "--requester", "service:tls", "--json")), &l); err != nil || len(l.Certificates) != 1 {
		t.Fatalf("%v, %v", l, err)
	}
	revoke := []string{"cert", "revoke", l.Certificates[0].Serial, "--yes", "--json"}
	asked := [][]string{{"seal", "rotate", "--purpose", "all"}, {"audit", "checkpoint"}, {"reload"}, append(revoke, "--reason", "superseded")}
	for _, args := range asked {
		run(args...)
	}
	if n := strings.Count(p.Stderr(), "msg=admin.done"); n != len(asked) {
		t.Errorf("the daemon did %d of %d operations", n, len(asked))
	}
	p.Stop()
	out := run(append(revoke, "--reason", "keyCompromise")...) // the daemon is gone, and the reason may still become this one
	var done struct{ Reason, Actor, At string }
	if err := json.Unmarshal([]byte(out), &done); err != nil || done.Reason != "keyCompromise" || !strings.HasPrefix(done.Actor, "operator:") {
		t.Errorf("%s, %v", out, err)
	}
	if _, errs, code := command(t, append(revoke, "--reason", "keyCompromise", "--dev", "--data", data)...); code != 1 || !strings.Contains(errs, "revoked already") {
		t.Errorf("revoked for good: %d %s", code, errs)
	}
	found := map[string]int{}
	for _, a := range events(t, filepath.Join(data, "enrollgate.db")) {
		if event, actor, _ := strings.Cut(a, " "); strings.HasPrefix(actor, "operator:") {
			found[event]++
		}
	}
	for want, n := range map[string]int{"seal.rotated": 1, "audit.signed": 1, "config.reloaded": 1, "ca.created": 1, "certificate.revoked": 2} {
		if found[want] < n {
			t.Errorf("%d audit rows %s by an operator, want %d, in %v", found[want], want, n, found)
		}
	}
}
