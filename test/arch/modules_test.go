package arch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestModules (interop rule 12): clients and servers that tests enroll with are
// requirements of test/interop alone, pinned there; the program's own module knows
// none of them.
func TestModules(t *testing.T) {
	for client, version := range map[string]string{"github.com/go-acme/lego/": "v4 v4.30.0", "github.com/mholt/acmez/": "v3 v3.1.7", "github.com/letsencrypt/pebble/": "v2 v2.10.1"} {
		pinned(t, client, version)
	}
}

func pinned(t *testing.T, client, version string) {
	t.Helper()
	for file, want := range map[string]bool{"go.mod": false, "go.sum": false, "test/interop/go.mod": true} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), client) != want {
			t.Errorf("%s names %s: %v, want %v", file, client, !want, want)
		}
		if want && (!strings.Contains(string(text), client+version+"\n") || !strings.Contains(string(text), "replace "+module+" => ../..\n")) {
			t.Errorf("%s does not pin %s%s, or does not take the program from this tree:\n%s", file, client, version, text)
		}
	}
}
