package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// printsNothing lists the commands that print no data a script would read.
var printsNothing = map[string]string{
	"serve":   "runs until it is stopped; scripts read run.json and the line ready",
	"migrate": "says that it is done; its exit code is the answer",
}

// runElsewhere lists the commands that no script under testdata carries out to
// a good end, with the test that does: file, then function.
var runElsewhere = map[string][2]string{
	"serve":            {"../../test/interop/operators_test.go", "TestOperators"},
	"audit checkpoint": {"../../test/interop/trust_test.go", "TestTrust"},
	"reload":           {"../../test/interop/trust_test.go", "TestSocketActors"},
	"cert show":        {"../../test/interop/operators_test.go", "TestOperators"},
	"cert revoke":      {"../../test/interop/operators_test.go", "TestOperators"},
	"cert renew":       {"../../test/interop/renewal_test.go", "TestRenewal"},
	"cert unhold":      {"../../test/interop/bulk_test.go", "TestBulkStatus"},
	"retention list":   {"retention_test.go", "TestRetentionCommands"},
	"retention drop":   {"retention_test.go", "TestRetentionCommands"},
	"request list":     {"request_test.go", "TestRequestCommands"},
	"request show":     {"request_test.go", "TestRequestCommands"},
	"request approve":  {"request_test.go", "TestRequestCommands"},
	"request deny":     {"request_test.go", "TestRequestCommands"},
	"profile diff":     {"profile_diff_test.go", "TestProfileDiff"},
	"probe":            {"probe_test.go", "TestProbe"},
	"explain":          {"../../test/interop/operators_test.go", "TestOperators"},
}

// TestCommands: every command says what it is for, speaks JSON where it prints
// data, and is carried out by a test.
func TestCommands(t *testing.T) {
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var all strings.Builder
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	var known []string
	for _, leaf := range parser.Model.Leaves(true) {
		name := strings.TrimPrefix(leaf.FullPath(), parser.Model.Name+" ")
		known = append(known, name)
		if leaf.Help == "" {
			t.Errorf("%s: no help", name)
		}
		json := false
		for _, flag := range leaf.Flags {
			json = json || flag.Name == "json"
			if flag.Help == "" {
				t.Errorf("%s --%s: no help", name, flag.Name)
			}
		}
		for _, argument := range leaf.Positional {
			if argument.Help == "" {
				t.Errorf("%s %s: no help", name, argument.Name)
			}
		}
		if silent := printsNothing[name] != ""; json == silent {
			t.Errorf("%s: --json is %v; is it said to print nothing? %v", name, json, silent)
		}
		script := regexp.MustCompile(`(?m)^exec enrollgate ` + regexp.QuoteMeta(name) + `( |$)`).MatchString(all.String())
		if elsewhere, ok := runElsewhere[name]; ok {
			text, err := os.ReadFile(elsewhere[0])
			if err != nil || !strings.Contains(string(text), "func "+elsewhere[1]+"(") {
				t.Errorf("%s: there is no test %s in %s: %v", name, elsewhere[1], elsewhere[0], err)
			}
		} else if !script {
			t.Errorf("%s: no script under testdata carries it out, and runElsewhere names no other test", name)
		}
	}
	for name := range printsNothing {
		if !slices.Contains(known, name) {
			t.Errorf("printsNothing: there is no command %s", name)
		}
	}
	for name := range runElsewhere {
		if !slices.Contains(known, name) {
			t.Errorf("runElsewhere: there is no command %s", name)
		}
	}
}
