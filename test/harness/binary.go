package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Binary returns the path of the enrollgate program, built from this tree once
// per test process, with the race detector when the test itself runs under it.
func Binary(t testing.TB) string {
	t.Helper()
	return build(t, "", "./cmd/enrollgate", raceDetector)
}

// PlainBinary is [Binary] without the race detector, under which a start takes
// seconds (the derivation of the CA keys' passwords is slow on purpose): for
// tests that start the daemon very often.
func PlainBinary(t testing.TB) string {
	t.Helper()
	return build(t, "", "./cmd/enrollgate", false)
}

// ClientBinary is a program of others at the version that a nested module pins: its
// package, and the module's folder relative to the root. It is built once per test
// process.
func ClientBinary(t testing.TB, module, pkg string) string {
	t.Helper()
	return build(t, module, pkg, false)
}

// build compiles pkg in a folder relative to the module root, once per process.
func build(t testing.TB, folder, pkg string, race bool) string {
	t.Helper()
	root := ModuleRoot(t)
	touchSources(t, root)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	key := fmt.Sprint(folder, pkg, race)
	if path, ok := shared.built[key]; ok {
		return path
	}
	dir, err := shared.folder("bin")
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	// No version stamp: git refuses to answer in a checkout owned by another
	// user, as it is when CI runs as root. No -trimpath: what the tests compiled
	// is not compiled again.
	args := []string{"build", "-buildvcs=false", "-o", path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = filepath.Join(root, folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("harness: go build %s: %v\n%s", pkg, err, out)
	}
	if shared.built == nil {
		shared.built = make(map[string]string)
	}
	shared.built[key] = path
	return path
}

// modulePath is the module that holds the program. Tests may lie in a nested one,
// whose requirements are not the program's.
const modulePath = "github.com/enrollgate/enrollgate"

// ModuleRoot returns the folder that holds the program's go.mod, looking upwards
// from the test's working folder.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	dir, err := moduleRoot()
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	return dir
}

func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if strings.HasPrefix(string(text), "module "+modulePath+"\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of %s above %s", modulePath, start)
		}
	}
}

// touchSources looks at every file that may go into the program. The go
// command remembers which files a test looked at and runs it again when one
// changed; without this a cached "ok" would outlive a change to the daemon,
// which the test does not import. It looks at files of the test's own module alone:
// tests in a nested one are run with -count=1, as the Makefile does.
func touchSources(t testing.TB, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's scratch file
		} else if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "tmp" || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if _, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatalf("harness: read the sources: %v", err)
	}
}
