package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// disk is a small file system of a test's own.
type disk struct {
	t    *testing.T
	path string
}

// newDisk mounts a file system in memory, which only root may. The long form
// fails without; the short one then has TestFileLimit alone, which needs no rights.
func newDisk(t *testing.T, mib int) *disk {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		if *kills > shortKills {
			t.Fatal("a small disk can be mounted by root alone, in a mount namespace: run make chaos as root")
		}
		t.Skip("a small disk can be mounted by root alone, in a mount namespace")
	}
	path := t.TempDir()
	for _, dir := range []string{path, filepath.Dir(path)} {
		if err := os.Chmod(dir, 0o711); err != nil { // a database server runs under another user
			t.Fatal(err)
		}
	}
	run(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=0711", mib), "enrollgate-chaos", path)
	t.Cleanup(func() { run(t, "umount", path) })
	return &disk{t, path}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// fill leaves no octet free.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.Create(d.ballast())
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	d.t.Cleanup(func() { os.Remove(f.Name()) }) // a test that failed meanwhile; else it is gone
	for size := 1 << 20; size > 0; {
		_, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			d.t.Fatal(err)
		}
	}
}

// empty gives the room back.
func (d *disk) empty() {
	d.t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) ballast() string { return filepath.Join(d.path, "ballast") }
