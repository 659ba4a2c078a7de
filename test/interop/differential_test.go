package interop

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestDifferential holds one conversation of more than a thousand requests, most
// of them wrong in one way, with our door and with Pebble. What is answered
// otherwise must be in the table of what was accepted, whose reasons are lines of
// docs/divergences.md; and what the table has must still be so, but where things race.
func TestDifferential(t *testing.T) {
	ours, theirs := ourDoor(t), pebble(t)
	for _, c := range []*conversation{ours, theirs} {
		c.public()
		c.everywhere()
		c.accounts()
		c.changesKey()
		c.ordering()
		c.authorizing()
		c.finalizing()
		c.revoking()
	}
	if len(ours.seen) < 1000 {
		t.Errorf("%d requests were made", len(ours.seen))
	}
	text, err := os.ReadFile(filepath.Join(harness.ModuleRoot(t), "docs", "divergences.md"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{} // places of the table, and its reasons
	for _, name := range slices.Sorted(maps.Keys(ours.seen)) {
		if theirs.seen[name] == nil { // only asked after an answer that Pebble did not give
			if !strings.HasPrefix(name, "order: finalized with ") && !strings.HasPrefix(name, "order: refused with ") {
				t.Errorf("%s: Pebble was not asked", name)
			}
			continue
		}
		for _, d := range differences(ours.seen[name], theirs.seen[name]) {
			if !accepts(used, name, d) {
				t.Errorf("%s: %s", name, d)
			}
		}
	}
	for i, a := range accepted {
		for _, place := range a.at {
			if !used[fmt.Sprint(i, place)] && !slices.Contains(races, place) {
				t.Errorf("no longer so, at %s: %s", place, a.differs)
			}
		}
		if !strings.Contains(string(text), a.because) {
			t.Errorf("docs/divergences.md does not say %q", a.because)
		}
	}
	_, section, ok := strings.Cut(string(text), "\n## Pebble\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| ") && len(cells) == 3 && cells[1] != "what we do" && !isReason(cells[1]) {
			t.Errorf("docs/divergences.md: nothing is accepted because %q", cells[1])
		}
	}
	if !ok {
		t.Error("docs/divergences.md has no section about Pebble")
	}
}

// accepts finds a difference in the table.
func accepts(used map[string]bool, name, difference string) (found bool) {
	for i, a := range accepted {
		if !fits(a.differs, difference) {
			continue
		}
		for _, place := range a.at {
			if fits(place, name) {
				used[fmt.Sprint(i, place)], found = true, true
			}
		}
	}
	return found
}

func isReason(text string) bool {
	return slices.ContainsFunc(accepted, func(a acceptance) bool { return a.because == text })
}

// fits compares a text with a pattern in which * is any text.
func fits(pattern, text string) bool {
	first, rest, more := strings.Cut(pattern, "*")
	if !strings.HasPrefix(text, first) {
		return false
	}
	if text = text[len(first):]; !more {
		return text == ""
	}
	for i := range len(text) + 1 {
		if fits(rest, text[i:]) {
			return true
		}
	}
	return false
}

// differences lists what is seen otherwise at our door than at Pebble. Where the
// outcome is another one, what follows from it is not looked at.
func differences(ours, theirs map[string]string) (out []string) {
	a, b := outcome(ours), outcome(theirs)
	if a != b {
		out = append(out, fmt.Sprintf("%s, Pebble %s", a, b))
	}
	all := maps.Clone(ours)
	maps.Copy(all, theirs)
	for _, what := range slices.Sorted(maps.Keys(all)) {
		follows := strings.HasPrefix(what, "member ") || slices.Contains([]string{"location", "retry-after", "content-type", "charset", "body", "link"}, what)
		if ours[what] == theirs[what] || what == "status" || what == "type" || what == "state" || a != b && follows {
			continue
		}
		out = append(out, fmt.Sprintf("%s %q, Pebble %q", what, ours[what], theirs[what]))
	}
	return out
}

// outcome is what a client acts upon.
func outcome(o map[string]string) string {
	return strings.TrimSpace(o["status"] + " " + o["type"] + o["state"])
}
