package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
)

// host lends the test harness what it asks of a test: a place to fail, folders
// and an end. A failure ends the program by a panic that run recovers.
type host struct {
	testing.TB // its unexported method; every other one that the harness calls is below
	cleanups   []func()
	failed     bool
}

// maxLog is the length of the longest message in octets.
const maxLog = 4000

// fatal is what a failed host panics with.
type fatal string

func newHost() *host {
	testing.Init() // the harness asks testing.Short
	if err := flag.CommandLine.Parse(nil); err != nil {
		panic(err) // no arguments to refuse
	}
	return &host{}
}

func (h *host) Helper()                  {}
func (h *host) Name() string             { return "bench" }
func (h *host) Context() context.Context { return context.Background() }
func (h *host) Failed() bool             { return h.failed }
func (h *host) Cleanup(f func())         { h.cleanups = append(h.cleanups, f) }
func (h *host) Log(args ...any)          { fmt.Fprintln(os.Stderr, args...) }

// Logf prints the end of what is too long: the harness shows all that a daemon logged.
func (h *host) Logf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxLog {
		text = "..." + text[len(text)-maxLog:]
	}
	fmt.Fprintln(os.Stderr, text)
}

func (h *host) Errorf(format string, args ...any) {
	h.failed = true
	h.Logf(format, args...)
}

func (h *host) Fatal(args ...any) {
	h.failed = true
	panic(fatal(fmt.Sprint(args...)))
}

func (h *host) Fatalf(format string, args ...any) {
	h.failed = true
	panic(fatal(fmt.Sprintf(format, args...)))
}

// check ends the program where err says so.
func (h *host) check(what string, err error) {
	if err != nil {
		h.Fatalf("%s: %v", what, err)
	}
}

// TempDir makes a folder that goes with the program.
func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "enrollgate-bench-")
	h.check("make a folder", err)
	h.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			h.Errorf("%v", err)
		}
	})
	return dir
}

// close undoes everything, last made first.
func (h *host) close() {
	for len(h.cleanups) > 0 {
		last := h.cleanups[len(h.cleanups)-1]
		h.cleanups = h.cleanups[:len(h.cleanups)-1]
		last()
	}
}
