// Package arch_test keeps the house in order: which package may import which
// (rules_test.go holds the table), who may make the tokens that callers and
// claims are made with, and how files are named and sized.
//
//	go test ./test/arch -run TestGraph -v
//
// prints the graph.
package arch_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func load(t *testing.T) ([]sourceFile, graph) {
	t.Helper()
	files, err := readSources()
	if err != nil {
		t.Fatal(err)
	}
	g := graphOf(files)
	// Without these the walk looked in the wrong place.
	for _, pkg := range []string{"ca", "test/arch"} {
		if _, ok := g.ours[pkg]; !ok {
			t.Fatalf("package %s not found among %d files", pkg, len(files))
		}
	}
	return files, g
}

func TestImports(t *testing.T) {
	_, g := load(t)
	if err := g.addOthers(); err != nil {
		t.Fatal(err)
	}
	if len(g.other["crypto/x509"]) == 0 {
		t.Fatal("go list gave no imports of crypto/x509")
	}
	for _, wrong := range check(rules, g) {
		t.Error(wrong)
	}
}

func TestFiles(t *testing.T) {
	files, _ := load(t)
	for _, f := range files {
		for _, wrong := range checkFile(f) {
			t.Error(wrong)
		}
	}
}

// TestGraph prints each package with the packages of this module that it
// imports, and wants the graph to have an end everywhere it leads.
func TestGraph(t *testing.T) {
	_, g := load(t)
	for _, pkg := range slices.Sorted(maps.Keys(g.ours)) {
		var arrows []string
		for _, p := range g.ours[pkg] {
			if _, ours := g.ours[p]; ours {
				arrows = append(arrows, p)
			} else if first, _, _ := strings.Cut(p, "/"); slices.Contains([]string{"ca", "cmd", "config", "protocols", "store", "test"}, first) {
				t.Errorf("%s imports %s, which has no Go files", pkg, p)
			}
		}
		t.Logf("%s -> %s", pkg, strings.Join(arrows, " "))
	}
}
