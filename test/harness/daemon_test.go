package harness

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const standIn = "./test/harness/testdata/daemon"

func TestDaemon(t *testing.T) {
	path := build(t, "", standIn, raceDetector)
	if again := build(t, "", standIn, raceDetector); again != path {
		t.Fatal("built twice")
	}
	p := StartProgram(t, path, "serve", "--data", t.TempDir())
	want := Addresses{HTTPS: "127.0.0.1:1", HTTP: "127.0.0.1:2"}
	if got := p.Addresses(); got != want {
		t.Errorf("addresses: %+v", got)
	}
	p.Stop()
	if got := p.Stdout(); got != "not ready\nready\n" {
		t.Errorf("stdout: %q", got)
	}
	if got := p.Stderr(); got != "draining\n" {
		t.Errorf("stderr: %q", got)
	}
	StartProgram(t, path, "serve", "--data", t.TempDir()).Kill()
	StartProgram(t, path, "serve", "--data", t.TempDir()) // stopped at the end
}

// recorder is a testing.TB whose failures are wanted.
type recorder struct {
	testing.TB
	said     []string
	failed   bool
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Failed() bool     { return r.failed }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Logf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// record runs f as a test would and returns what it said, logs included.
func record(t *testing.T, f func(testing.TB)) (failed bool, said string) {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, cleanup := range slices.Backward(r.cleanups) {
				cleanup()
			}
		}()
		f(r)
	}()
	<-done
	return r.failed, strings.Join(r.said, "\n")
}

func TestDaemonFailures(t *testing.T) {
	path := build(t, "", standIn, raceDetector)
	tests := []struct {
		mode string
		stop bool
		want string
	}{
		{mode: "fail", want: "cannot start"},
		{mode: "fail", want: "ended before it was ready: exit status 1"},
		{mode: "dirty", stop: true, want: "exit status 66"},
		{mode: "dirty", want: "exit status 66"},
		{mode: "dirty", want: "draining"},
	}
	for _, test := range tests {
		failed, said := record(t, func(tb testing.TB) {
			p := StartProgram(tb, path, test.mode, "--data", t.TempDir())
			if test.stop {
				p.Stop()
			}
		})
		if !failed || !strings.Contains(said, test.want) {
			t.Errorf("%+v: failed %v, said:\n%s", test, failed, said)
		}
	}
	failed, said := record(t, func(tb testing.TB) {
		p := StartProgram(tb, path, "quit", "--data", t.TempDir())
		<-p.child.done
	})
	if !failed || !strings.Contains(said, "ended on its own") {
		t.Errorf("quit: failed %v, said:\n%s", failed, said)
	}
}

func TestDataFlag(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "--data", "x"},
		{"serve", "--data=x", "--dev"},
		{"--data", "y", "--data", "x"},
	} {
		if got := dataFlag(args); got != "x" {
			t.Errorf("%q: %q", args, got)
		}
	}
	if got := dataFlag([]string{"serve", "--data"}); got != "" {
		t.Errorf("without a value: %q", got)
	}
}
