// Package background runs work that only one replica may do at a time. Each
// job has a lease of its own, held by the replica that runs it and renewed at a
// third of its lifetime; when the lease is lost the job's context ends, and
// what it wrote too late is refused by the fence in the store.
package background

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Job is work that is done again and again.
type Job struct {
	Name  string        // of its lease, in logs and metrics: a closed list
	Every time.Duration // from the end of one run to the start of the next
	// Run does the work in bounded steps, each fenced with the lease. Conflict
	// where the lease is lost.
	Run func(ctx context.Context, held *ca.Lease) error
}

// Options are what a Runner is made of; all are needed unless said otherwise.
type Options struct {
	Leases ca.Leases
	Holder string        // this replica
	TTL    time.Duration // of a lease; zero: 30 s
	Jobs   []Job
	Log    *slog.Logger
}

// Status is what became of a job on this replica.
type Status struct {
	Job     string
	Held    bool // this replica holds the lease
	Fence   int64
	Runs    int64 // finished without error
	Failed  int64
	LastRun time.Time // end of the last run without error; zero: none yet
}

// Runner runs jobs until its context ends.
type Runner struct {
	opts   Options
	mu     sync.Mutex
	status []Status
}

// defaultTTL is how long a lease outlives its holder.
const defaultTTL = 30 * time.Second

// New checks the jobs: names are unique, intervals positive.
func New(o Options) (*Runner, error) {
	if o.Leases == nil || o.Holder == "" || o.Log == nil {
		return nil, errors.New("background: a part is missing")
	}
	if o.TTL == 0 {
		o.TTL = defaultTTL
	}
	r := &Runner{opts: o}
	seen := map[string]bool{}
	for _, j := range o.Jobs {
		if j.Name == "" || j.Every <= 0 || j.Run == nil || seen[j.Name] {
			return nil, fmt.Errorf("background: job %q needs a name of its own, an interval and work", j.Name)
		}
		seen[j.Name] = true
		r.status = append(r.status, Status{Job: j.Name})
	}
	return r, nil
}

// Run works until ctx ends; then it waits for the jobs and gives the leases up.
func (r *Runner) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range r.opts.Jobs {
		all.Go(func() { r.keep(ctx, i) })
	}
	all.Wait()
}

// Status tells about every job, in their order.
func (r *Runner) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Status(nil), r.status...)
}

func (r *Runner) note(i int, change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status[i])
}

// keep tries to get the job's lease and runs the job while it has it.
func (r *Runner) keep(ctx context.Context, i int) {
	job := &r.opts.Jobs[i]
	failures := 0
	for ctx.Err() == nil {
		asked := time.Now()
		l, err := r.opts.Leases.Acquire(ctx, job.Name, r.opts.Holder, r.opts.TTL)
		switch {
		case err == nil:
			failures = 0
			r.hold(ctx, i, l, asked)
		case ca.IsKind(err, ca.Conflict): // somebody else works
			failures = 0
			sleep(ctx, jittered(r.opts.TTL/3))
		default:
			failures++
			if ctx.Err() == nil {
				r.opts.Log.Warn("background.lease", "job", job.Name, "error", err)
			}
			sleep(ctx, backoff(failures, r.opts.TTL))
		}
	}
}

// hold runs the job until ctx ends or the lease is lost. asked is when the
// lease was asked for: from then on it lasts at least its TTL on any clock.
func (r *Runner) hold(ctx context.Context, i int, l *ca.Lease, asked time.Time) {
	job := &r.opts.Jobs[i]
	r.note(i, func(s *Status) { s.Held, s.Fence = true, l.Fence })
	r.opts.Log.Info("background.held", "job", job.Name, "fence", l.Fence)
	held, lose := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { r.work(held, i, l) })
	why := r.renew(held, l, asked)
	lose()
	work.Wait()
	r.note(i, func(s *Status) { s.Held = false })
	if why != nil {
		r.opts.Log.Warn("background.lost", "job", job.Name, "fence", l.Fence, "error", why)
		return
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.opts.Leases.Release(release, l); err != nil { // it runs out by itself
		r.opts.Log.Warn("background.lease", "job", job.Name, "error", err)
	}
}

// errUnrenewed says that the lease ran out before the store answered again.
var errUnrenewed = errors.New("the lease could not be renewed in time")

// renew keeps the lease alive. It returns nil when ctx ends, and otherwise why
// the lease is lost.
func (r *Runner) renew(ctx context.Context, l *ca.Lease, asked time.Time) error {
	wait := r.opts.TTL / 3
	for {
		if !sleep(ctx, wait) {
			return nil
		}
		left := time.Until(asked.Add(r.opts.TTL))
		if left <= 0 {
			return errUnrenewed
		}
		try, cancel := context.WithTimeout(ctx, left)
		now := time.Now()
		next, err := r.opts.Leases.Acquire(try, l.Name, l.Holder, r.opts.TTL)
		cancel()
		switch {
		case err == nil && next.Fence == l.Fence:
			asked, wait = now, r.opts.TTL/3
		case err == nil: // it had run out in between: what ran under it is fenced off
			return errUnrenewed
		case ca.IsKind(err, ca.Conflict):
			return err
		case ctx.Err() != nil:
			return nil
		default:
			wait = min(time.Second, r.opts.TTL/10)
		}
	}
}

// work runs the job at its interval, and sooner again after a failure. The
// first run waits a little, so that replicas that start together do not crowd.
func (r *Runner) work(ctx context.Context, i int, l *ca.Lease) {
	job := &r.opts.Jobs[i]
	wait, failures := rand.N(min(job.Every, 10*time.Second)), 0
	for sleep(ctx, wait) {
		started := time.Now()
		err := r.once(ctx, job, l)
		switch {
		case err == nil:
			failures, wait = 0, jittered(job.Every)
			r.note(i, func(s *Status) { s.Runs, s.LastRun = s.Runs+1, time.Now() })
			r.opts.Log.Debug("background.done", "job", job.Name, "took", time.Since(started))
		case ctx.Err() != nil:
			return
		default:
			failures++
			wait = backoff(failures, job.Every)
			r.note(i, func(s *Status) { s.Failed++ })
			r.opts.Log.Warn("background.failed", "job", job.Name, "error", err, "again", wait)
		}
	}
}

// once runs the job; a panic in it is a failure of this run alone.
func (r *Runner) once(ctx context.Context, job *Job, l *ca.Lease) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return job.Run(ctx, l)
}

// jittered spreads a wait over 90 to 110 % of d.
func jittered(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// backoff doubles from a second up to limit.
func backoff(failures int, limit time.Duration) time.Duration {
	return jittered(min(time.Second<<min(failures-1, 16), max(limit, time.Second)))
}

// sleep waits and tells whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
