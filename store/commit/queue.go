// Package commit gathers concurrent writes into shared commits. It knows no
// database: a driver hands in the function that commits one batch.
//
// Whatever waits when a writer becomes free is its next batch, so a lone
// request waits for nobody and throughput follows the disk's bandwidth instead
// of its latency.
package commit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Member is one caller's writes, committed whole or not at all.
type Member[P any] struct {
	Payload P
	state   atomic.Int32
	settled atomic.Bool
	done    chan error
}

const (
	waiting int32 = iota
	taken
	withdrawn
)

// Answer gives the caller the outcome; only the first answer counts. nil means
// that the member is durably committed.
func (m *Member[P]) Answer(err error) {
	if m.settled.CompareAndSwap(false, true) {
		m.done <- err
	}
}

// Batch commits members in one transaction and answers them. Members it leaves
// unanswered are put into a later batch: a driver does so with a member that
// cannot share this batch, never with one that must be refused.
type Batch[P any] func(ctx context.Context, members []*Member[P])

// Options bound a queue; zero values take the defaults.
type Options struct {
	Writers  int           // concurrent batches, default 1
	MaxBatch int           // members a batch, default 128
	MaxQueue int           // waiting members, default 4096; more are told to try later
	Timeout  time.Duration // of one batch, default 30 s
}

// Queue is the waiting room and its writers.
type Queue[P any] struct {
	run     Batch[P]
	opts    Options
	members chan *Member[P]
	closing chan struct{}
	once    sync.Once
	writers sync.WaitGroup
	stats   Stats
}

// Stats counts what a queue did.
type Stats struct {
	Batches atomic.Int64
	Members atomic.Int64
	Failed  atomic.Int64 // answered with ca.Unavailable or ca.Internal: nothing of them was recorded

	failing sync.Mutex
	ill     atomic.Bool // since is set: what a success looks at
	since   time.Time
	last    time.Time
}

// Failing gives the first and the last failed write since one was committed;
// zero times where there is none.
func (s *Stats) Failing() (since, last time.Time) {
	s.failing.Lock()
	defer s.failing.Unlock()
	return s.since, s.last
}

func (s *Stats) failed() {
	s.Failed.Add(1)
	s.failing.Lock()
	defer s.failing.Unlock()
	s.last = time.Now()
	if s.since.IsZero() {
		s.since = s.last
		s.ill.Store(true)
	}
}

func (s *Stats) committed() {
	if !s.ill.Load() {
		return
	}
	s.failing.Lock()
	defer s.failing.Unlock()
	s.since, s.last = time.Time{}, time.Time{}
	s.ill.Store(false)
}

// Waiting tells how many members wait for a writer now.
func (q *Queue[P]) Waiting() int { return len(q.members) }

// New starts the writers.
func New[P any](run Batch[P], o Options) *Queue[P] {
	o.Writers = orDefault(o.Writers, 1)
	o.MaxBatch = orDefault(o.MaxBatch, 128)
	o.MaxQueue = orDefault(o.MaxQueue, 4096)
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	q := &Queue[P]{run: run, opts: o, members: make(chan *Member[P], o.MaxQueue), closing: make(chan struct{})}
	for range o.Writers {
		q.writers.Add(1)
		go q.write()
	}
	return q
}

func orDefault(n, d int) int {
	if n <= 0 {
		return d
	}
	return n
}

// Submit commits a payload together with whatever else is waiting and returns
// its outcome. While the member only waits, ctx can withdraw it; once a writer
// took it, Submit waits for the outcome, because the caller must know it.
func (q *Queue[P]) Submit(ctx context.Context, payload P) error {
	err := q.submit(ctx, payload)
	if err == nil {
		q.stats.committed()
	} else if ca.IsKind(err, ca.Unavailable) || ca.IsKind(err, ca.Internal) {
		q.stats.failed()
	}
	return err
}

func (q *Queue[P]) submit(ctx context.Context, payload P) error {
	m := &Member[P]{Payload: payload, done: make(chan error, 1)}
	select {
	case <-q.closing:
		return ca.UnavailableError(errors.New("the store is closing"), time.Second)
	default:
	}
	select {
	case q.members <- m:
	default:
		return ca.UnavailableError(fmt.Errorf("%d writes are waiting already", q.opts.MaxQueue), time.Second)
	}
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
		if m.state.CompareAndSwap(waiting, withdrawn) {
			return ca.UnavailableError(ctx.Err(), time.Second)
		}
		return <-m.done
	}
}

// Stats gives the queue's counters.
func (q *Queue[P]) Stats() *Stats { return &q.stats }

// Close lets the writers finish what is queued and waits for them.
func (q *Queue[P]) Close() {
	q.once.Do(func() { close(q.closing) })
	q.writers.Wait()
	for { // a Submit that raced with Close
		select {
		case m := <-q.members:
			m.Answer(ca.UnavailableError(errors.New("the store is closing"), time.Second))
		default:
			return
		}
	}
}

func (q *Queue[P]) write() {
	defer q.writers.Done()
	var left []*Member[P]
	for {
		batch, ok := q.gather(left)
		if !ok {
			return
		}
		left = q.commit(batch)
	}
}

// gather waits for one member and takes along whatever else waits already.
func (q *Queue[P]) gather(left []*Member[P]) (batch []*Member[P], ok bool) {
	batch = left
	for len(batch) == 0 {
		select {
		case m := <-q.members:
			batch = q.take(batch, m)
		case <-q.closing:
			select { // finish what is queued before going
			case m := <-q.members:
				batch = q.take(batch, m)
			default:
				return nil, false
			}
		}
	}
	// Who is about to submit does so first, as long as each turn of the others
	// brings more: on a busy machine that makes fewer and larger commits. Where
	// nothing else can run, a turn is over at once.
	for more := true; len(batch) < q.opts.MaxBatch; {
		select {
		case m := <-q.members:
			batch, more = q.take(batch, m), true
			continue
		default:
		}
		if !more {
			break
		}
		more = false
		runtime.Gosched()
	}
	return batch, true
}

func (q *Queue[P]) take(batch []*Member[P], m *Member[P]) []*Member[P] {
	if !m.state.CompareAndSwap(waiting, taken) {
		return batch // withdrawn by its caller
	}
	return append(batch, m)
}

// commit runs one batch and gives back the members it left unanswered. A batch
// that answers nobody would run for ever, so its members are failed instead.
func (q *Queue[P]) commit(batch []*Member[P]) (left []*Member[P]) {
	ctx, cancel := context.WithTimeout(context.Background(), q.opts.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			for _, m := range batch {
				m.Answer(ca.InternalError(fmt.Errorf("panic while committing: %v", p)))
			}
			left = nil
		}
	}()
	q.run(ctx, batch)
	q.stats.Batches.Add(1)
	for _, m := range batch {
		if !m.settled.Load() {
			left = append(left, m)
		}
	}
	q.stats.Members.Add(int64(len(batch) - len(left)))
	if len(left) == len(batch) {
		for _, m := range left {
			m.Answer(ca.InternalError(errors.New("a batch answered none of its members")))
		}
		return nil
	}
	return left
}
