package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestMain is bench itself where bench starts itself as a server.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-"+staticFlag) {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestBench is the short form of `make bench`: each flow for a moment, and what it
// leaves in the store is counted.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the daemon; make test runs it")
	}
	file := filepath.Join(t.TempDir(), "figures.json")
	if err := run(options{store: "sqlite", time: 300 * time.Millisecond, accounts: 2, fresh: "kept", flow: "all", json: file}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil || len(r.Rows) != len(flows) || len(r.Limits) == 0 {
		t.Fatalf("%d rows, %d limits, %v", len(r.Rows), len(r.Limits), err)
	}
	for i, row := range r.Rows {
		if row.Flow != flows[i].name || row.Flows == 0 || row.ServerCPU <= 0 || row.Commits <= 0 || row.Posts <= 0 {
			t.Errorf("%+v", row)
		}
	}
}

// TestLikened: one statement in the two forms that the server counts it in is one.
func TestLikened(t *testing.T) {
	got := likened([]statement{{"update a set b = $1 where c = 'x' limit 1", 2, 5}, {"select 1", 1, 1}, {"update a set b = $1 where c = $2 limit $3", 3, 6}, {"select v1", 1, 1}})
	want := []statement{{"update a set b = ? where c = ? limit ?", 5, 11}, {"select ?", 1, 1}, {"select v1", 1, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
