package keys

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// retryAfter is what a refused operation is told to wait. Queues drain in
// milliseconds once a flood ends; the rest spreads those who come back.
const retryAfter = 2 * time.Second

// Limits bound what a Pool runs and holds. Weight is called with the Pool
// locked: it looks something up and returns.
type Limits struct {
	Workers int                     // operations at the same time; 0: GOMAXPROCS
	Queue   int                     // operations waiting in each lane; 0: 256
	Weight  func(tenant string) int // turns of a tenant against the others', at least 1; nil: 1 for all
}

// Pool lends a fixed number of workers. A worker is a number from 0 to
// Workers-1 that only one operation holds at a time, so that a backend can
// keep one token session for each; the operation itself runs wherever the
// backend wants it, by default in the caller's goroutine.
//
// A worker that is no longer fit for work is taken out with Withdraw and comes
// back with Add. While none is left, operations are refused at once.
type Pool struct {
	mu     sync.Mutex
	free   []int // while one is free, no lane has anything waiting
	lent   int
	closed bool
	idle   *sync.Cond // closed and nothing lent
	lanes  [laneEnd]lane
}

// NewPool makes a Pool with all its workers free.
func NewPool(limits Limits) *Pool {
	if limits.Workers <= 0 {
		limits.Workers = runtime.GOMAXPROCS(0)
	}
	if limits.Queue <= 0 {
		limits.Queue = 256
	}
	if limits.Weight == nil {
		limits.Weight = func(string) int { return 1 }
	}
	p := &Pool{free: make([]int, limits.Workers)}
	for i := range p.free {
		p.free[i] = limits.Workers - 1 - i
	}
	p.idle = sync.NewCond(&p.mu)
	for i := range p.lanes {
		p.lanes[i] = lane{limit: limits.Queue, weight: limits.Weight, shares: make(map[string]*share)}
	}
	return p
}

// Acquire lends a worker, which must be given back with Release. Where none is
// free it waits for its turn until ctx ends. All its refusals are *ca.Error of
// kind ca.Unavailable, except an unknown lane, which is ca.Internal.
func (p *Pool) Acquire(ctx context.Context, lane ca.Lane, tenant string) (worker int, err error) {
	if lane >= laneEnd {
		return 0, ca.InternalError(fmt.Errorf("acquire: unknown %v", lane))
	}
	if err := ctx.Err(); err != nil {
		return 0, ca.UnavailableError(fmt.Errorf("before the key operation: %w", err), retryAfter)
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return 0, ca.UnavailableError(errClosed, retryAfter)
	}
	if len(p.free)+p.lent == 0 {
		p.mu.Unlock()
		return 0, ca.UnavailableError(errNoWorker, retryAfter)
	}
	if n := len(p.free); n > 0 {
		worker = p.free[n-1]
		p.free = p.free[:n-1]
		p.lent++
		p.mu.Unlock()
		return worker, nil
	}
	w := &waiter{tenant: tenant, lane: lane, ready: make(chan int, 1)}
	evicted, ok := p.lanes[lane].push(w)
	p.mu.Unlock()
	if evicted != nil {
		evicted.ready <- pushedOut
	}
	if !ok {
		return 0, ca.UnavailableError(fmt.Errorf("the %v lane of the key is full", lane), retryAfter)
	}
	return p.wait(ctx, w)
}

var (
	errClosed   = errors.New("the keys are closed")
	errNoWorker = errors.New("the key has no worker left")
)

// wait holds a queued operation until it gets a worker or ctx ends.
func (p *Pool) wait(ctx context.Context, w *waiter) (worker int, err error) {
	select {
	case worker = <-w.ready:
	case <-ctx.Done():
		p.mu.Lock()
		left := p.lanes[w.lane].remove(w)
		p.mu.Unlock()
		if left {
			worker = pushedOut
		} else {
			worker = <-w.ready // answered just now
		}
	}
	// An operation cannot be stopped once it runs, so a late one never starts.
	if err := ctx.Err(); err != nil {
		if worker >= 0 {
			p.Release(worker)
		}
		return 0, ca.UnavailableError(fmt.Errorf("in the %v lane of the key: %w", w.lane, err), retryAfter)
	}
	if worker == unserved {
		return 0, ca.UnavailableError(errNoWorker, retryAfter)
	}
	if worker == pushedOut {
		return 0, ca.UnavailableError(fmt.Errorf("the %v lane of the key is full of this tenant's operations", w.lane), retryAfter)
	}
	return worker, nil
}

// Release gives back a worker, straight to the operation whose turn it is.
func (p *Pool) Release(worker int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.next(); w != nil {
		w.ready <- worker // buffered, and sent to once
		return
	}
	p.free = append(p.free, worker)
	p.returned()
}

// next takes the operation whose turn it is out of its lane; nil for none.
func (p *Pool) next() *waiter {
	for i := range p.lanes {
		if w := p.lanes[i].pop(); w != nil {
			return w
		}
	}
	return nil
}

// returned counts one worker less as lent.
func (p *Pool) returned() {
	p.lent--
	if p.lent == 0 {
		p.idle.Broadcast()
	}
}

// Withdraw takes a lent worker out of service instead of giving it back, and
// tells whether it did: with keepLast the last worker in service stays lent.
// When the last one goes, everything that waits is refused.
func (p *Pool) Withdraw(worker int, keepLast bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.free)+p.lent == 1
	if last && keepLast {
		return false
	}
	p.returned()
	for last {
		w := p.next()
		if w == nil {
			break
		}
		w.ready <- unserved // buffered, and sent to once
	}
	return true
}

// Add puts a worker in service that was withdrawn.
func (p *Pool) Add(worker int) {
	p.mu.Lock()
	p.lent++
	p.mu.Unlock()
	p.Release(worker)
}

// Close refuses new operations and returns when all that run or wait are done.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for p.lent > 0 {
		p.idle.Wait()
	}
}
