package conformance

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// recorder is a T that remembers failures instead of failing a test.
type recorder struct {
	ctx   context.Context
	mu    sync.Mutex
	found []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) add(format string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = append(r.found, fmt.Sprintf(format, args...))
}

// Errorf may be called by the goroutines of a case, Fatalf by the case alone.
func (r *recorder) Errorf(format string, args ...any) { r.add(format, args) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.add(format, args)
	runtime.Goexit()
}
