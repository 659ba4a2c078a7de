package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/protocols/scep"
)

// scepPage gives the lines of a section of docs/scep.md that are rows of its table,
// cells trimmed.
func scepPage(t *testing.T, section string) (rows [][]string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(treeRoot, "docs", "scep.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if !found || len(rows) < 2 {
		t.Fatalf("docs/scep.md has no table under %q", section)
	}
	return rows[1:]
}

// TestDocumentedQuirks holds the table of quirk sets against the data.
func TestDocumentedQuirks(t *testing.T) {
	want := [][]string{}
	for _, name := range scep.QuirkSets() {
		q, err := scep.QuirkSet(name)
		if err != nil {
			t.Fatal(err)
		}
		var grants []string
		for _, l := range q.Legacy {
			grants = append(grants, "`"+l+"`")
		}
		days := ""
		if q.Days > 0 {
			days = fmt.Sprint(q.Days)
		}
		want = append(want, []string{"`" + name + "`", strings.Join(grants, ", "), days, q.About})
	}
	if diff := cmp.Diff(want, scepPage(t, "Which quirk sets are there?")); diff != "" {
		t.Error(diff)
	}
	var legacy []string
	for _, row := range scepPage(t, "Which algorithms are taken?") {
		legacy = append(legacy, strings.Trim(row[0], "`"))
	}
	if slices.Sort(legacy); !slices.Equal(legacy, scep.LegacyAlgorithms()) {
		t.Errorf("documented %q", legacy)
	}
}

// TestDocumentedRefusals: every text that docs/scep.md quotes from a refusal stands in
// the door, or in the core below it.
func TestDocumentedRefusals(t *testing.T) {
	var code strings.Builder
	for _, dir := range []string{"protocols/scep", "ca"} {
		err := filepath.WalkDir(filepath.Join(treeRoot, dir), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := os.ReadFile(name)
			code.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	quoted := regexp.MustCompile(`"([^"]+)"`)
	count := 0
	for _, row := range scepPage(t, "When something goes wrong") {
		for _, m := range quoted.FindAllStringSubmatch(row[0], -1) {
			if count++; !strings.Contains(code.String(), m[1]) {
				t.Errorf("nobody says %q", m[1])
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d texts were found", count)
	}
}

// TestDocumentedPayload: the payload for Apple's devices is XML.
func TestDocumentedPayload(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(treeRoot, "docs", "scep.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n```xml\n")
	block, _, found := strings.Cut(rest, "\n```")
	elements, d := 0, xml.NewDecoder(strings.NewReader(block))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
	if !found || elements < 20 {
		t.Errorf("%d elements", elements)
	}
}
