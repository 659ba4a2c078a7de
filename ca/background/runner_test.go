package background

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// leases is a store of leases with the clock of the test.
type leases struct {
	mu    sync.Mutex
	rows  map[string]*ca.Lease
	down  error
	calls int
}

func (s *leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (*ca.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.down != nil {
		return nil, s.down
	}
	if s.rows == nil {
		s.rows = map[string]*ca.Lease{}
	}
	l, now := s.rows[name], time.Now()
	switch {
	case l == nil:
		l = &ca.Lease{Name: name, Holder: holder, Fence: 1}
	case now.Before(l.Until) && l.Holder != holder:
		return nil, ca.Errorf(ca.Conflict, "somebody else holds it")
	case !now.Before(l.Until):
		l = &ca.Lease{Name: name, Holder: holder, Fence: l.Fence + 1}
	}
	l.Until = now.Add(ttl)
	s.rows[name] = l
	copied := *l
	return &copied, nil
}

func (s *leases) Release(_ context.Context, l *ca.Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rows[l.Name]; r != nil && r.Holder == l.Holder && r.Fence == l.Fence {
		r.Until = time.Now()
	}
	return nil
}

func (s *leases) Held(*ca.Lease) ca.Effect { return ca.Effect{} }

func (s *leases) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

func (s *leases) holder(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.rows[name]; l != nil && time.Now().Before(l.Until) {
		return l.Holder
	}
	return ""
}

// runner starts a replica; stop ends it and waits.
func runner(t *testing.T, s *leases, holder string, jobs ...Job) (r *Runner, stop func()) {
	t.Helper()
	r, err := New(Options{Leases: s, Holder: holder, Jobs: jobs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	return r, func() { cancel(); <-done }
}

// counted is a job that notes who ran it under which fence.
type counted struct {
	mu    sync.Mutex
	by    map[string]int
	fence int64
}

func (c *counted) job(holder string, every time.Duration) Job {
	return Job{Name: "work", Every: every, Run: func(_ context.Context, l *ca.Lease) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.by == nil {
			c.by = map[string]int{}
		}
		c.by[holder]++
		c.fence = l.Fence
		return nil
	}}
}

func (c *counted) runs(holder string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[holder]
}

func TestOneReplicaWorksAndAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s leases
		var c counted
		one, stopOne := runner(t, &s, "one", c.job("one", time.Minute))
		time.Sleep(time.Second)
		two, stopTwo := runner(t, &s, "two", c.job("two", time.Minute))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if c.runs("one") < 8 || c.runs("two") != 0 {
			t.Errorf("runs: %d by the holder, %d by the other", c.runs("one"), c.runs("two"))
		}
		if a, b := one.Status()[0], two.Status()[0]; !a.Held || b.Held || a.Runs != int64(c.runs("one")) || a.LastRun.IsZero() {
			t.Errorf("status %+v and %+v", a, b)
		}
		stopOne() // gives the lease up
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.runs("two") == 0 || s.holder("work") != "two" || c.fence < 2 {
			t.Errorf("after the stop: %d runs, held by %q, fence %d", c.runs("two"), s.holder("work"), c.fence)
		}
		stopTwo()
		if s.holder("work") != "" {
			t.Error("a stopped replica keeps its lease")
		}
	})
}

// A holder that the store does not answer stops before its lease runs out.
func TestLostLeaseStopsTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s leases
		var started, ended time.Time
		r, stop := runner(t, &s, "one", Job{Name: "work", Every: time.Second, Run: func(ctx context.Context, _ *ca.Lease) error {
			if started.IsZero() {
				started = time.Now()
				<-ctx.Done()
				ended = time.Now()
			}
			return ctx.Err()
		}})
		time.Sleep(5 * time.Second)
		s.fail(ca.UnavailableError(errors.New("no store"), time.Second))
		until := s.rows["work"].Until
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if started.IsZero() || ended.IsZero() || ended.After(until.Add(time.Second)) {
			t.Errorf("the job ran from %v to %v, the lease until %v", started, ended, until)
		}
		if r.Status()[0].Held {
			t.Error("a lost lease counts as held")
		}
		s.fail(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !r.Status()[0].Held {
			t.Error("the lease is not taken again when the store is back")
		}
		stop()
	})
}

func TestLeaseTakenByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s leases
		ended := make(chan struct{})
		_, stop := runner(t, &s, "one", Job{Name: "work", Every: time.Second, Run: func(ctx context.Context, _ *ca.Lease) error {
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		}})
		time.Sleep(3 * time.Second)
		s.mu.Lock()
		s.rows["work"] = &ca.Lease{Name: "work", Holder: "two", Fence: 9, Until: time.Now().Add(time.Hour)}
		s.mu.Unlock()
		<-ended
		stop()
		if s.holder("work") != "two" {
			t.Error("the loser released the winner's lease")
		}
	})
}

func TestFailuresBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s leases
		var at []time.Time
		r, stop := runner(t, &s, "one", Job{Name: "work", Every: time.Hour, Run: func(context.Context, *ca.Lease) error {
			at = append(at, time.Now())
			switch len(at) {
			case 1, 2, 3:
				return errors.New("not now")
			case 4:
				panic("a bug")
			}
			return nil
		}})
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		stop()
		st := r.Status()[0]
		if len(at) != 5 || st.Failed != 4 || st.Runs != 1 {
			t.Fatalf("%d runs, status %+v", len(at), st)
		}
		for i := 2; i < len(at); i++ {
			if a, b := at[i].Sub(at[i-1]), at[i-1].Sub(at[i-2]); a <= b {
				t.Errorf("wait %d is %v after %v", i, a, b)
			}
		}
	})
}

func TestSweepIsBounded(t *testing.T) {
	left, calls, second := int64(3*sweepRows+7), 0, 0
	job := Sweep("sweep", time.Minute, func(_ context.Context, _ *ca.Lease, limit int) (int64, error) {
		calls++
		n := min(left, int64(limit))
		left -= n
		return n, nil
	}, func(context.Context, *ca.Lease, int) (int64, error) { second++; return 0, nil })
	if err := job.Run(t.Context(), &ca.Lease{}); err != nil || left != 0 || calls != 4 || second != 1 {
		t.Errorf("%d left after %d steps, then %d, %v", left, calls, second, err)
	}
	endless := 0
	job = Sweep("sweep", time.Minute, func(_ context.Context, _ *ca.Lease, limit int) (int64, error) { endless++; return int64(limit), nil })
	if err := job.Run(t.Context(), &ca.Lease{}); err != nil || endless != sweepSteps {
		t.Errorf("%d steps, %v", endless, err)
	}
	lost := Sweep("sweep", time.Minute, func(_ context.Context, l *ca.Lease, _ int) (int64, error) { return 0, ca.LeaseLost(l) })
	if err := lost.Run(t.Context(), &ca.Lease{}); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("a lost lease: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	ok := func(context.Context, *ca.Lease) error { return nil }
	for name, jobs := range map[string][]Job{
		"no name": {{Every: 1, Run: ok}}, "no interval": {{Name: "a", Run: ok}}, "no work": {{Name: "a", Every: 1}},
		"twice": {{Name: "a", Every: 1, Run: ok}, {Name: "a", Every: 1, Run: ok}},
	} {
		if _, err := New(Options{Leases: &leases{}, Holder: "one", Jobs: jobs, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("nothing at all: accepted")
	}
}
