package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// installed writes a configuration, makes its store and its CA "issuing", and gives
// a way to run commands on it, without a daemon, that end with a given exit code.
func installed(t *testing.T, dir, text string) (file string, ask func(code int, args ...string) string) {
	t.Helper()
	t.Setenv("SEAL_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	t.Setenv("CA_PASSWORD", "correct horse battery staple")
	file = filepath.Join(dir, "enrollgate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ask = func(code int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if got := run(append(args, "--config", file), console{&out, &out}); got != code {
			t.Fatalf("%v: exit code %d, want %d\n%s", args, got, code, out.String())
		}
		return out.String()
	}
	ask(exitOK, "migrate")
	ask(exitOK, "ca", "create", "--tenant", "default", "--ca", "issuing", "--name", "Example Ltd", "--root-key", "file:"+filepath.Join(dir, "root.pem"))
	return file, ask
}

// contains checks that a text holds each of the others.
func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}
