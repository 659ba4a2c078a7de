// Package harness starts what tests talk to: a private PostgreSQL cluster, a
// DNS server, SoftHSM tokens, the daemon as built from this tree, certbot, and
// servers of others.
// Tests alone import it.
//
// Everything runs on loopback, in temporary folders, without root where root
// is not needed. A missing program fails the test (test/tools/install.sh
// installs them all); only `go test -short` leaves out the tests that need
// one. Nothing outlives the test process: [Main] stops and removes it, and
// when the process dies otherwise (a panic, a time-out, SIGKILL) the kernel
// stops the children and a watchdog shell removes their folder.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startLimit bounds each wait for a program to start or to stop.
const startLimit = 60 * time.Second

// Main runs a package's tests, then stops and removes what they shared. Use it
// as the whole body of TestMain in a package that calls [Postgres] or [Binary].
func Main(m *testing.M) {
	os.Exit(Run(m))
}

// Run is Main for a package whose TestMain does something around it; it gives the exit code.
func Run(m *testing.M) (code int) {
	// A program with the race detector sleeps a second before it ends, in case that
	// goroutines still race. Tests run commands by the hundred.
	if raceDetector && os.Getenv("GORACE") == "" {
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			fmt.Fprintln(os.Stderr, "harness:", err)
			return 1
		}
	}
	defer func() {
		if err := shared.close(); err != nil {
			fmt.Fprintln(os.Stderr, "harness:", err)
			code = 1
		}
	}()
	return m.Run()
}

// NeedPrograms skips the test under `go test -short`, which is the mode for
// machines without certbot, PostgreSQL and the like.
func NeedPrograms(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts external programs, and -short asks for none")
	}
}

// shared is what the tests of one process have in common.
var shared process

// givenPorts are the ports that this process was given.
var givenPorts sync.Map

type process struct {
	mu       sync.Mutex
	dir      string // holds everything below; made on first use
	watchdog *exec.Cmd
	release  *os.File // closing it lets the watchdog clean up
	built    map[string]string
	cluster  *PG
}

// folder makes a new folder inside the process's own, with the mode 0711 so
// that a database server under another user can reach what belongs to it.
// The caller holds p.mu.
func (p *process) folder(name string) (string, error) {
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "enrollgate-test-")
		if err != nil {
			return "", err
		}
		if err := p.watch(dir); err != nil {
			return "", err
		}
		if err := os.Chmod(dir, 0o711); err != nil {
			return "", err
		}
		p.dir = dir
	}
	return os.MkdirTemp(p.dir, name+"-")
}

// watch starts a shell that removes dir when our end of its standard input
// closes, which the kernel does however this process ends. It waits out
// database servers that are still stopping.
func (p *process) watch(dir string) error {
	const script = `cat >/dev/null; for n in 1 2 3 4 5; do rm -rf "$1" && exit; sleep 1; done`
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", script, "sh", dir)
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		w.Close()
		return fmt.Errorf("start the watchdog: %w", err)
	}
	p.watchdog, p.release = cmd, w
	return nil
}

func (p *process) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed error
	if p.cluster != nil {
		failed = p.cluster.stop(syscall.SIGINT)
		p.cluster = nil
	}
	if p.watchdog != nil {
		p.release.Close()
		if err := p.watchdog.Wait(); err != nil && failed == nil {
			failed = fmt.Errorf("remove %s: %w", p.dir, err)
		}
		p.watchdog, p.dir, p.built = nil, "", nil
	}
	return failed
}
