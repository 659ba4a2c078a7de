package arch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/([A-Za-z0-9_]+))?`")
	invariant    = regexp.MustCompile(`(?m)^### (\d+)\. .+$`)
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	swapCase     = regexp.MustCompile(`(?m)^\s*"([A-Za-z]+)":\s+\{try:`)
	suiteCase    = regexp.MustCompile(`(?m)^\s*\{"([A-Za-z0-9_]+)", [a-z]\w*\},?$`)
)

const invariants = 15

// TestSecurityPage holds docs/security.md against the tree: every test that it
// names exists, and every invariant names one or says why there is none.
func TestSecurityPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := load(t)
	tests, cases := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join("../..", f.name))
		if err != nil {
			t.Fatal(err)
		}
		if f.test() {
			for _, m := range testFunction.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
		}
		if f.pkg == "store/conformance" {
			for _, m := range suiteCase.FindAllSubmatch(text, -1) {
				cases[string(m[1])] = true
			}
			for _, m := range swapCase.FindAllSubmatch(text, -1) { // the suite makes a case of each
				cases["TenantSwap"+string(m[1])] = true
			}
		}
	}
	for _, wrong := range checkSecurityPage(string(page), tests, cases) {
		t.Error(wrong)
	}
}

func TestSecurityPageChecks(t *testing.T) {
	tests, cases := map[string]bool{"TestA": true}, map[string]bool{"Case": true}
	var whole strings.Builder
	for i := range invariants {
		fmt.Fprintf(&whole, "### %d. Title\n`TestA/Case`\n", i+1)
	}
	for text, want := range map[string]int{
		whole.String(): 0,
		strings.Replace(whole.String(), "TestA/", "TestB/", 1): 1,
		strings.Replace(whole.String(), "/Case", "/Other", 1):  1,
		strings.Replace(whole.String(), "### 7.", "### 8.", 1): 1,
		strings.Replace(whole.String(), "`TestA/Case`", "", 1): 1,
		whole.String() + "## After\n`TestGone`\n":              1,
		whole.String()[:60]: 1,
	} {
		if got := checkSecurityPage(text, tests, cases); len(got) != want {
			t.Errorf("%d findings, want %d: %q", len(got), want, got)
		}
	}
}

func checkSecurityPage(page string, tests, cases map[string]bool) (wrong []string) {
	for _, m := range namedTest.FindAllStringSubmatch(page, -1) {
		if !tests[m[1]] {
			wrong = append(wrong, "docs/security.md names "+m[1]+", which is no test")
		} else if m[2] != "" && !cases[m[2]] {
			wrong = append(wrong, "docs/security.md names "+m[0]+", whose case is in no suite")
		}
	}
	heads := invariant.FindAllStringSubmatchIndex(page, -1)
	if len(heads) != invariants {
		return append(wrong, fmt.Sprintf("docs/security.md has %d invariants, not %d", len(heads), invariants))
	}
	for i, head := range heads {
		number := page[head[2]:head[3]]
		if number != strconv.Itoa(i+1) {
			wrong = append(wrong, fmt.Sprintf("invariant %d of docs/security.md has the number %s", i+1, number))
		}
		body := page[head[1]:]
		if end := strings.Index(body, "\n##"); end >= 0 {
			body = body[:end]
		}
		if !namedTest.MatchString(body) && !strings.Contains(body, "nothing to guard") {
			wrong = append(wrong, "invariant "+number+" of docs/security.md names no test and does not say that there is nothing to guard")
		}
	}
	return wrong
}
