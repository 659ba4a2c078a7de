package arch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestModules: clients that tests enroll with are requirements of test/interop
// alone, pinned there; the program's own module knows none of them.
func TestModules(t *testing.T) {
	const lego = "github.com/go-acme/lego/"
	for file, want := range map[string]bool{"go.mod": false, "go.sum": false, "test/interop/go.mod": true} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), lego) != want {
			t.Errorf("%s names %s: %v, want %v", file, lego, !want, want)
		}
		if want && (!strings.Contains(string(text), lego+"v4 v4.30.0\n") || !strings.Contains(string(text), "replace "+module+" => ../..\n")) {
			t.Errorf("%s does not pin lego, or does not take the program from this tree:\n%s", file, text)
		}
	}
}
