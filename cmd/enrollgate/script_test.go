package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/enrollgate/enrollgate/store/sqlite"
	"github.com/enrollgate/enrollgate/test/harness"
)

// tests are what testscript runs where this process is no command of a script.
type tests struct{ m *testing.M }

func (t tests) Run() int { return harness.Run(t.m) }

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"enrollgate": main})
}

// scriptConfig is the configuration that every script finds, with its own
// folder in it: enrollgate.yaml, and fresh.yaml on another store.
const scriptConfig = `
listen: {https: "127.0.0.1:8443"}
base_url: {https: "https://pki.example.com"}
tls: {certificate: "%[1]s/tls.pem", key: "file:%[1]s/tls.key", key_password: "env:CA_PASSWORD"}
store: {url: "sqlite://%[1]s/%[2]s.db"}
seal: {key: "env:SEAL_KEY"}
tenants: [{id: default}]
cas: [{id: issuing, tenant: default, key: "file:%[1]s/issuing.pem", key_password: "env:CA_PASSWORD"}]
`

// scriptEAB is an endpoint of eab.yaml that wants external account bindings.
const scriptEAB = `endpoints: [{id: web, protocol: acme, tenant: default, ca: issuing, profile: privatessl-tls-server, authentication: [[acme-account, eab]]}]
`

// scriptSCEP are endpoints of scep.yaml, one that takes one-time secrets and one that does not.
const scriptSCEP = `endpoints:
  - {id: routers, protocol: scep, tenant: default, ca: issuing, profile: scep-digital-signature-key-encipherment, authentication: [[scep-secret], [certificate]]}
  - {id: meters, protocol: scep, tenant: default, ca: issuing, profile: scep-digital-signature, authentication: [[certificate]]}
`

// firstID is the script command `firstid`: it sets ID to the first id in the JSON of the last command.
func firstID(ts *testscript.TestScript, neg bool, args []string) {
	_, rest, found := strings.Cut(ts.ReadFile("stdout"), `"id": "`)
	id, _, ended := strings.Cut(rest, `"`)
	if neg || len(args) != 0 || !found || !ended {
		ts.Fatalf("no id in the output")
	}
	ts.Setenv("ID", id)
}

// TestScripts runs the conversations under testdata: each is a text that a
// user could have typed.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitCode, "savecrl": saveCRL, "firstid": firstID}, Setup: func(e *testscript.Env) error {
		e.Setenv("SEAL_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
		e.Setenv("CA_PASSWORD", "correct horse battery staple")
		for _, name := range []string{"enrollgate", "fresh"} {
			text := fmt.Sprintf(scriptConfig, e.WorkDir, name)
			if err := os.WriteFile(filepath.Join(e.WorkDir, name+".yaml"), []byte(text), 0o600); err != nil {
				return err
			}
		}
		text := fmt.Sprintf(scriptConfig, e.WorkDir, "eab") + scriptEAB
		if err := os.WriteFile(filepath.Join(e.WorkDir, "eab.yaml"), []byte(text), 0o600); err != nil {
			return err
		}
		text = strings.Replace(fmt.Sprintf(scriptConfig, e.WorkDir, "scep"), `"env:CA_PASSWORD"}]`, `"env:CA_PASSWORD", ra: {enabled: true}}]`, 1) + scriptSCEP
		if err := os.WriteFile(filepath.Join(e.WorkDir, "scep.yaml"), []byte(text), 0o600); err != nil {
			return err
		}
		install, err := documentedConfig(e.WorkDir)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(e.WorkDir, "install.yaml"), install, 0o600); err != nil {
			return err
		}
		return os.Chmod(e.WorkDir, 0o700)
	}})
}

// exitCode is the script command `exitcode N PROGRAM ARGUMENTS`: the program must end with this code.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N PROGRAM ARGUMENTS")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		got = ended.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("%s: exit code %d, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// saveCRL is the script command `savecrl DATABASE FILE`: the newest list of the CA issuing, as DER.
func saveCRL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: savecrl DATABASE FILE")
	}
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Options{Path: ts.MkAbs(args[0]), Log: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	heads, err := s.CRLHeads(ctx)
	ts.Check(err)
	c, err := s.CRL(ctx, devTenant, devCA, heads[0].Scope, heads[0].Complete)
	ts.Check(err)
	ts.Check(s.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), c.DER, 0o600))
}
