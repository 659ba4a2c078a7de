package harness

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a running daemon.
type Process struct {
	t       testing.TB
	dataDir string
	child   *child
	stdout  output
	stderr  *os.File // without a name; written by the daemon itself, so that what it logged is there at once
	ended   bool     // stopped or killed by the test
}

// StartDev runs `enrollgate serve --dev` on a new data folder with every
// listener on a free loopback port, and more arguments after these (a later
// --data or listener flag is the caller's way to say otherwise).
func StartDev(t testing.TB, more ...string) *Process {
	t.Helper()
	args := []string{"serve", "--dev", "--data", t.TempDir(), "--https", "127.0.0.1:0",
		"--http", "127.0.0.1:0", "--est", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	return Start(t, append(args, more...)...)
}

// Start runs the daemon as built from this tree and waits for its line "ready".
// At the end of the test it must still run, and end with exit code 0 when told
// to stop; with the race detector on, a race found makes that code 66.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartProgram(t, Binary(t), args...)
}

// StartProgram is Start for another program that prints "ready".
func StartProgram(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, dataDir: dataFlag(args)}
	cmd := exec.Command(path, args...)
	ready := make(chan struct{})
	p.stdout.onReady = func() { close(ready) }
	var err error
	if p.stderr, err = nameless(); err != nil {
		t.Fatalf("harness: %v", err)
	}
	cmd.Stdout, cmd.Stderr = &p.stdout, p.stderr
	if p.child, err = startChild(cmd, syscall.SIGKILL); err != nil {
		t.Fatalf("harness: start the daemon: %v", err)
	}
	t.Cleanup(p.finish)
	select {
	case <-ready:
	case <-p.child.done:
		p.ended = true
		t.Fatalf("harness: the daemon ended before it was ready: %v", p.child.err)
	case <-time.After(startLimit):
		t.Fatalf("harness: the daemon is not ready after %v", startLimit)
	}
	return p
}

// nameless makes a file that is gone when it is closed.
func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "enrollgate-stderr-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// dataFlag finds the last --data in args.
func dataFlag(args []string) (dir string) {
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--data="); ok {
			dir = value
		} else if arg == "--data" && i+1 < len(args) {
			dir = args[i+1]
		}
	}
	return dir
}

func (p *Process) finish() {
	if !p.ended {
		p.ended = true
		if !p.child.running() {
			p.t.Errorf("harness: the daemon ended on its own: %v", p.child.err)
		} else if err := p.child.end(syscall.SIGTERM); err != nil {
			p.t.Errorf("harness: stop the daemon: %v", err)
		}
	}
	if p.t.Failed() {
		p.t.Logf("daemon, stdout:\n%s\ndaemon, stderr:\n%s", p.Stdout(), p.Stderr())
	}
	p.stderr.Close()
}

// Stop sends SIGTERM, waits for the end and wants exit code 0.
func (p *Process) Stop() {
	p.t.Helper()
	p.ended = true
	if err := p.child.end(syscall.SIGTERM); err != nil {
		p.t.Fatalf("harness: stop the daemon: %v", err)
	}
}

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() {
	p.t.Helper()
	p.ended = true
	if err := p.child.end(syscall.SIGKILL); err == nil {
		p.t.Fatal("harness: the daemon had already ended, with exit code 0")
	}
}

// Signal sends any other signal, for example SIGHUP.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.child.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("harness: %v: %v", sig, err)
	}
}

// Stdout is everything the daemon has printed so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr is everything the daemon has logged so far.
func (p *Process) Stderr() string {
	p.t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(p.stderr, 0, math.MaxInt64))
	if err != nil {
		p.t.Fatalf("harness: %v", err)
	}
	return string(text)
}

// File returns the path of a file in the data folder, for example "root.pem".
func (p *Process) File(name string) string {
	p.t.Helper()
	if p.dataDir == "" {
		p.t.Fatal("harness: the daemon was started without --data")
	}
	return filepath.Join(p.dataDir, name)
}

// Addresses are the host:port pairs that a daemon's listeners were given;
// empty for a listener that is off.
type Addresses struct {
	HTTPS string `json:"https"`
	HTTP  string `json:"http"`
	EST   string `json:"est"`
	Admin string `json:"admin"`
}

// Addresses reads run.json of the data folder.
func (p *Process) Addresses() Addresses {
	p.t.Helper()
	data, err := os.ReadFile(p.File("run.json"))
	if err != nil {
		p.t.Fatalf("harness: %v", err)
	}
	var a Addresses
	if err := json.Unmarshal(data, &a); err != nil {
		p.t.Fatalf("harness: run.json: %v", err)
	}
	if a == (Addresses{}) {
		p.t.Fatalf("harness: run.json names no listener: %s", data)
	}
	return a
}

// PID is the daemon's process id.
func (p *Process) PID() int { return p.child.cmd.Process.Pid }
