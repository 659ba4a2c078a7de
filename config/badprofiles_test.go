package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Each profile of the corpus is refused at load, at the line and with the
// advice that its first line gives.
func TestBadProfiles(t *testing.T) {
	files, err := filepath.Glob("testdata/badprofiles/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			place, says, found := strings.Cut(strings.TrimPrefix(first, "# line "), ": ")
			line, bad := strconv.Atoi(place)
			if !found || bad != nil {
				t.Fatalf("the first line %q does not say what is expected", first)
			}
			_, err = ParseOver([]byte(devBase), "f", text, Options{Dev: true})
			for _, got := range lines(t, err) {
				if strings.HasPrefix(got, "f:"+strconv.Itoa(line)+": profiles[") && strings.Contains(got, says) {
					return
				}
			}
			t.Errorf("nothing on line %d says %q in %v", line, says, err)
		})
	}
}

// Every example of docs/profiles.md is right in a configuration, too.
func TestDocumentedProfiles(t *testing.T) {
	page, err := os.ReadFile("../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllSubmatch(page, -1)
	if len(blocks) < 10 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		if _, err := ParseOver([]byte(devBase), "docs/profiles.md", append([]byte("profiles:\n"), block[1]...), Options{Dev: true}); err != nil {
			t.Errorf("%v in:\n%s", err, block[1])
		}
	}
}

// A profile of the file extends built-in ones and others of the file, wherever they stand.
func TestExtends(t *testing.T) {
	c, err := ParseOver([]byte(devBase), "f", []byte("profiles:\n  - {id: a, extends: b, subject_alt_name: {dns: {wildcard: false}}}\n  - {id: b, extends: privatessl-tls-server, validity: {default: P30D}}\n"), Options{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Profiles["a"].Written(); w.Validity.Default != "P30D" || w.SubjectAltName.DNS.Wildcard || w.SubjectAltName.DNS.Min != 1 || w.Title != "TLS servers" {
		t.Errorf("extended to %+v", w)
	}
}
