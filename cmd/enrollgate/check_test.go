package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goodFile is the example that the config package explains.
const goodFile = "../../config/example.yaml"

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "eg.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckText(t *testing.T) {
	example, err := os.ReadFile(goodFile)
	if err != nil {
		t.Fatal(err)
	}
	warned := writeFile(t, strings.Replace(string(example), "admin: 127.0.0.1", "admin: 0.0.0.0", 1))
	broken := writeFile(t, "tenants: [{id: t}]\nstroe: {}\nseal: {key: env:K}\nstore: {url: 'sqlite:///x', writers: 0}\n")
	missing := filepath.Join(t.TempDir(), "none.yaml")
	const endpoint = "  acme-web  https://pki.example.com:8443/acme/default/issuing/web-server/directory  (acme-account)\n"
	tests := []struct {
		name, path, stdout, stderr string
		code                       int
	}{
		{"good", goodFile, goodFile + " is good: 1 tenant, 1 CA, 1 endpoint\n" + endpoint, "", 0},
		{"warning", warned, warned + " is good: 1 tenant, 1 CA, 1 endpoint\n" + endpoint,
			"warning: " + warned + ":30: listen.admin: the admin listener speaks plain http to anybody who reaches it; keep it on a loopback address or behind a firewall\n", 0},
		{"broken", broken, "", broken + `:2: stroe: unknown key; did you mean "store"? (allowed: listen, base_url, tls, store, seal, pkcs11, tenants, cas, foreign_cas, profiles, endpoints, acme, est, scep, approvals, retention, log, admin, drain_timeout)` + "\n" +
			broken + ":4: store.writers: 1 to 16 writers are possible, not 0\n", 1},
		{"missing", missing, "", missing + ": cannot read the configuration: open " + missing + ": no such file or directory\n", 1},
		{"no file", "", "", "enrollgate check: name the file to check: --config FILE\n", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := runCheck(tt.path, false, &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if diff := cmp.Diff(tt.stdout, stdout.String()); diff != "" {
				t.Errorf("stdout: %s", diff)
			}
			if diff := cmp.Diff(tt.stderr, stderr.String()); diff != "" {
				t.Errorf("stderr: %s", diff)
			}
		})
	}
}

func TestCheckJSON(t *testing.T) {
	broken := writeFile(t, "tenants: [{id: t}]\nseal: {key: env:K}\nstore: {url: 'sqlite:///x'}\nlog: {level: x}\n")
	tests := []struct {
		path, want string
		code       int
	}{
		{goodFile, `{"ok":true,"problems":[],"warnings":[],"tenants":1,"cas":1,"endpoints":[{"id":"acme-web","protocol":"acme","auth":"acme-account","url":"https://pki.example.com:8443/acme/default/issuing/web-server/directory"}]}`, 0},
		{broken, `{"ok":false,"problems":[{"file":"` + broken + `","line":4,"field":"log.level","message":"\"x\" is not known","allowed":["debug","info","warn","error"]}],"warnings":[],"tenants":0,"cas":0,"endpoints":[]}`, 1},
	}
	for _, tt := range tests {
		var stdout, stderr, compact bytes.Buffer
		if code := runCheck(tt.path, true, &stdout, &stderr); code != tt.code || stderr.Len() > 0 {
			t.Errorf("exit code %d, want %d; stderr %q", code, tt.code, stderr.String())
		}
		if err := json.Compact(&compact, stdout.Bytes()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, compact.String()); diff != "" {
			t.Error(diff)
		}
	}
}
