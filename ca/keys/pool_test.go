package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/google/go-cmp/cmp"
)

// queued is one operation that a test puts in the queue.
type queued struct {
	lane   ca.Lane
	tenant string
	name   string
}

// serve holds the only worker, queues ops one after the other, lets go, and
// gives the names in the order they ran, then those that were refused.
func serve(t *testing.T, limits Limits, ops []queued) (ran, refused []string) {
	t.Helper()
	limits.Workers = 1
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(limits)
		worker, err := p.Acquire(t.Context(), ca.LaneStatus, "holder")
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range ops {
			go func() {
				w, err := p.Acquire(t.Context(), op.lane, op.tenant)
				if err != nil {
					wantUnavailable(t, err)
					refused = append(refused, op.name)
					return
				}
				ran = append(ran, op.name) // one at a time: there is one worker
				p.Release(w)
			}()
			synctest.Wait()
		}
		p.Release(worker)
		p.Close()
		synctest.Wait()
	})
	return ran, refused
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if !ca.IsKind(err, ca.Unavailable) || ca.AsError(err).RetryAfter <= 0 {
		t.Errorf("got %v, want unavailable with a time to retry", err)
	}
}

func TestOrder(t *testing.T) {
	flood := func(n int, lane ca.Lane, tenant string) (ops []queued) {
		for i := range n {
			ops = append(ops, queued{lane, tenant, fmt.Sprintf("%s%d", tenant, i)})
		}
		return ops
	}
	for name, test := range map[string]struct {
		limits  Limits
		ops     []queued
		ran     []string
		refused []string
	}{
		"lanes in order": {
			ops: []queued{
				{ca.LaneEnrollment, "a", "e0"}, {ca.LaneRenewal, "a", "r0"}, {ca.LaneStatus, "a", "s0"},
				{ca.LaneEnrollment, "b", "e1"}, {ca.LaneRenewal, "b", "r1"}, {ca.LaneStatus, "b", "s1"},
			},
			ran: []string{"s0", "s1", "r0", "r1", "e0", "e1"},
		},
		"a flood does not delay another tenant": {
			ops: append(flood(5, ca.LaneEnrollment, "a"), flood(2, ca.LaneEnrollment, "b")...),
			ran: []string{"a0", "b0", "a1", "b1", "a2", "a3", "a4"},
		},
		"weights": {
			limits: Limits{Weight: func(tenant string) int { return map[string]int{"a": 2}[tenant] }},
			ops:    append(flood(5, ca.LaneRenewal, "a"), flood(3, ca.LaneRenewal, "b")...),
			ran:    []string{"a0", "a1", "b0", "a2", "a3", "b1", "a4", "b2"},
		},
		"a full lane refuses its own tenant": {
			limits:  Limits{Queue: 3},
			ops:     flood(5, ca.LaneEnrollment, "a"),
			ran:     []string{"a0", "a1", "a2"},
			refused: []string{"a3", "a4"},
		},
		"a full lane makes room for another tenant": {
			limits:  Limits{Queue: 4},
			ops:     append(flood(4, ca.LaneEnrollment, "a"), flood(3, ca.LaneEnrollment, "b")...),
			ran:     []string{"a0", "b0", "a1", "b1"},
			refused: []string{"a3", "a2", "b2"},
		},
		"tenants as heavy as each other keep their places": {
			limits:  Limits{Queue: 3},
			ops:     append(flood(3, ca.LaneEnrollment, "a"), flood(2, ca.LaneEnrollment, "b")...),
			ran:     []string{"a0", "b0", "a1"},
			refused: []string{"a2", "b1"},
		},
		"the one with the most makes room": {
			limits:  Limits{Queue: 4},
			ops:     append(append(flood(1, ca.LaneRenewal, "b"), flood(3, ca.LaneRenewal, "a")...), flood(1, ca.LaneRenewal, "c")...),
			ran:     []string{"b0", "a0", "c0", "a1"},
			refused: []string{"a2"},
		},
		"a heavier tenant keeps more of a full lane": {
			limits:  Limits{Queue: 4, Weight: func(tenant string) int { return map[string]int{"a": 3, "b": 1}[tenant] }},
			ops:     append(flood(4, ca.LaneEnrollment, "a"), flood(2, ca.LaneEnrollment, "b")...),
			ran:     []string{"a0", "a1", "a2", "b0"},
			refused: []string{"a3", "b1"},
		},
		"lanes have their own room": {
			limits:  Limits{Queue: 1},
			ops:     append(append(flood(2, ca.LaneEnrollment, "a"), flood(1, ca.LaneRenewal, "b")...), flood(1, ca.LaneStatus, "c")...),
			ran:     []string{"c0", "b0", "a0"},
			refused: []string{"a1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ran, refused := serve(t, test.limits, test.ops)
			if diff := cmp.Diff(test.ran, ran); diff != "" {
				t.Errorf("ran (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.refused, refused); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeadlineInQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(Limits{Workers: 1})
		worker, err := p.Acquire(t.Context(), ca.LaneStatus, "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = p.Acquire(ctx, ca.LaneEnrollment, "a")
		wantUnavailable(t, err)
		if n := p.lanes[ca.LaneEnrollment].waiting; n != 0 {
			t.Errorf("%d left in the queue", n)
		}
		_, err = p.Acquire(ctx, ca.LaneEnrollment, "a") // ended before it came
		wantUnavailable(t, err)
		p.Release(worker)
		if _, err = p.Acquire(ctx, ca.LaneEnrollment, "a"); !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("a late operation started: %v", err)
		}
		if worker, err = p.Acquire(t.Context(), ca.LaneEnrollment, "a"); err != nil {
			t.Fatalf("the worker was lost: %v", err)
		}
		p.Release(worker)
	})
}

// A worker that is given away in the same moment as the deadline passes goes
// to the next one, and the late operation does not start.
func TestDeadlineMeetsWorker(t *testing.T) {
	p := NewPool(Limits{Workers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &waiter{tenant: "a", ready: make(chan int, 1)}
	w.ready <- 0
	p.free, p.lent = nil, 1
	_, err := p.wait(ctx, w)
	wantUnavailable(t, err)
	if !slices.Equal(p.free, []int{0}) || p.lent != 0 {
		t.Errorf("free %v, lent %d after a late worker", p.free, p.lent)
	}
}

func TestUnknownLane(t *testing.T) {
	if _, err := NewPool(Limits{}).Acquire(t.Context(), laneEnd, "a"); !ca.IsKind(err, ca.Internal) {
		t.Errorf("got %v, want internal", err)
	}
	if got := laneEnd.String(); got != "lane 3" {
		t.Errorf("got %q", got)
	}
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(Limits{Workers: 1})
		worker, err := p.Acquire(t.Context(), ca.LaneStatus, "a")
		if err != nil {
			t.Fatal(err)
		}
		var events []string
		go func() {
			w, err := p.Acquire(t.Context(), ca.LaneEnrollment, "a")
			if err != nil {
				t.Errorf("a waiting operation was dropped: %v", err)
				return
			}
			events = append(events, "waiting one ran")
			p.Release(w)
		}()
		synctest.Wait()
		closed := make(chan struct{})
		go func() { p.Close(); events = append(events, "closed"); close(closed) }()
		synctest.Wait()
		_, err = p.Acquire(t.Context(), ca.LaneStatus, "a")
		wantUnavailable(t, err)
		p.Release(worker)
		<-closed
		if diff := cmp.Diff([]string{"waiting one ran", "closed"}, events); diff != "" {
			t.Error(diff)
		}
	})
}

// Many goroutines with short deadlines: no worker is lent twice or lost.
func TestWorkersAreExclusive(t *testing.T) {
	const workers = 3
	p := NewPool(Limits{Workers: workers, Queue: 8})
	var holders [workers]int // written under the worker; the race detector looks on
	done := make(chan int)
	for i := range 32 {
		go func() {
			ran := 0
			for n := range 200 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n%5+1)*100*time.Microsecond)
				w, err := p.Acquire(ctx, ca.Lane(n%int(laneEnd)), fmt.Sprint(i%4))
				if err == nil {
					holders[w]++
					p.Release(w)
					ran++
				} else if !ca.IsKind(err, ca.Unavailable) {
					t.Error(err)
				}
				cancel()
			}
			done <- ran
		}()
	}
	want := 0
	for range 32 {
		want += <-done
	}
	p.Close()
	got := 0
	for _, n := range holders {
		got += n
	}
	if got != want || len(p.free) != workers {
		t.Errorf("%d operations counted of %d, %d workers free", got, want, len(p.free))
	}
}

func TestWithdrawnWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(Limits{Workers: 2})
		acquire := func() (int, error) { return p.Acquire(t.Context(), ca.LaneStatus, "a") }
		first, err := acquire()
		if err != nil {
			t.Fatal(err)
		}
		if !p.Withdraw(first, true) {
			t.Error("not the last, but kept")
		}
		second, err := acquire()
		if err != nil {
			t.Fatal(err)
		}
		if p.Withdraw(second, true) {
			t.Error("the last one was not kept")
		}
		waiting := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := acquire()
				waiting <- err
			}()
		}
		synctest.Wait()
		if !p.Withdraw(second, false) {
			t.Error("the last one was kept")
		}
		for range 2 {
			wantUnavailable(t, <-waiting)
		}
		if _, err := acquire(); !errors.Is(err, errNoWorker) {
			t.Errorf("without workers: %v", err)
		}
		p.Add(first)
		if got, err := acquire(); err != nil || got != first {
			t.Errorf("got worker %d, %v", got, err)
		}
		go func() {
			got, err := acquire()
			if got != second {
				t.Errorf("got worker %d", got)
			}
			waiting <- err
		}()
		synctest.Wait()
		p.Add(second) // straight to the one that waits
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		p.Withdraw(first, false) // nobody waits for a withdrawn worker to come back
		p.Release(second)
		p.Close()
		p.Add(first)
		if _, err := acquire(); !errors.Is(err, errClosed) {
			t.Errorf("after close: %v", err)
		}
	})
}

func BenchmarkPool(b *testing.B) {
	p := NewPool(Limits{})
	for b.Loop() {
		w, err := p.Acquire(b.Context(), ca.LaneEnrollment, "a")
		if err != nil {
			b.Fatal(err)
		}
		p.Release(w)
	}
}
