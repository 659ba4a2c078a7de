package harness

import (
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Served is a running server of others.
type Served struct {
	log   output
	child *child
}

// Logged is everything that it has written so far.
func (s *Served) Logged() string { return s.log.String() }

// Signal sends it a signal, for example the one that makes it read its configuration again.
func (s *Served) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.child.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("harness: %v: %v", sig, err)
	}
}

// Serve runs a program that stays in the foreground until the end of the test, and
// waits until it listens on address. It must end with exit code 0 when told to stop.
func Serve(t testing.TB, cmd *exec.Cmd, address string) *Served {
	t.Helper()
	name := filepath.Base(cmd.Path)
	s := &Served{}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	var err error
	if s.child, err = startChild(cmd, syscall.SIGKILL); err != nil {
		t.Fatalf("harness: %v; run test/tools/install.sh", err)
	}
	t.Cleanup(func() {
		if !s.child.running() {
			t.Errorf("harness: %s ended on its own: %v", name, s.child.err)
		} else if err := s.child.end(syscall.SIGTERM); err != nil {
			t.Errorf("harness: stop %s: %v", name, err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", name, s.Logged())
		}
	})
	for deadline := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return s
		}
		if !s.child.running() || time.Now().After(deadline) {
			t.Fatalf("harness: %s does not listen on %s", name, address)
		}
	}
}

// systemProgram finds a server, which may lie in /usr/sbin and not in everybody's PATH.
func systemProgram(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", name)
}
