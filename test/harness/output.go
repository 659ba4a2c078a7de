package harness

import (
	"bytes"
	"sync"
)

// output keeps what a program writes and calls onReady once, when a line is
// exactly "ready".
type output struct {
	mu      sync.Mutex
	all     bytes.Buffer
	line    int // where the unfinished line starts in all
	onReady func()
}

// Write appends p. It never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all.Write(p)
	for {
		rest := o.all.Bytes()[o.line:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		if string(rest[:end]) == "ready" && o.onReady != nil {
			o.onReady()
			o.onReady = nil
		}
		o.line += end + 1
	}
}

// String returns everything so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}
