// Package trail is what every store does alike with audit rows: it queues the
// rows that belong to no issuance (refusals) so that nobody waits for them.
// Package audit of the core chains them.
package trail

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Bounds of the queue: rows that wait, and rows in one write.
const (
	maxWaiting = 4096
	maxWrite   = 256
)

// Notes writes audit rows that nobody waits for. Rows beyond its bounded queue
// are counted and dropped, so that strangers cannot fill memory.
type Notes struct {
	write   func(context.Context, []ca.Audit) error
	log     *slog.Logger
	rows    chan ca.Audit
	stop    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
	dropped atomic.Int64
}

// NewNotes starts the writer; write commits a slice of rows or fails whole.
func NewNotes(write func(context.Context, []ca.Audit) error, log *slog.Logger) *Notes {
	n := &Notes{write: write, log: log, rows: make(chan ca.Audit, maxWaiting), stop: make(chan struct{})}
	n.stopped.Go(n.run)
	return n
}

// Add queues a row and never waits.
func (n *Notes) Add(a ca.Audit) {
	select {
	case n.rows <- a:
	default:
		n.lost(1)
	}
}

// Dropped counts the rows that were not written.
func (n *Notes) Dropped() int64 { return n.dropped.Load() }

// Close writes what is queued, once, and stops.
func (n *Notes) Close() {
	n.once.Do(func() { close(n.stop) })
	n.stopped.Wait()
}

func (n *Notes) lost(rows int) {
	if total := n.dropped.Add(int64(rows)); total == int64(rows) || total%1000 == 0 {
		n.log.Error("audit.dropped", "rows", total)
	}
}

func (n *Notes) run() {
	for {
		select {
		case a := <-n.rows:
			n.flush(n.gather(a))
		case <-n.stop:
			for {
				select {
				case a := <-n.rows:
					n.flush(n.gather(a))
				default:
					return
				}
			}
		}
	}
}

func (n *Notes) gather(first ca.Audit) []ca.Audit {
	rows := []ca.Audit{first}
	for len(rows) < maxWrite {
		select {
		case a := <-n.rows:
			rows = append(rows, a)
		default:
			return rows
		}
	}
	return rows
}

// flush writes rows and tries again while the store is unavailable, up to a
// minute apart; once Close was called the next failure gives up.
func (n *Notes) flush(rows []ca.Audit) {
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, time.Minute) {
		err := n.write(context.Background(), rows)
		if err == nil {
			return
		}
		n.log.Error("audit.not_written", "rows", len(rows), "error", err)
		if !ca.IsKind(err, ca.Unavailable) {
			n.lost(len(rows))
			return
		}
		select {
		case <-time.After(wait):
		case <-n.stop:
			n.lost(len(rows))
			return
		}
	}
}
