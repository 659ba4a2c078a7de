package commit

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/enrollgate/enrollgate/ca"
)

func TestSharedCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		gate := make(chan struct{})
		q := New(func(_ context.Context, ms []*Member[int]) {
			sizes = append(sizes, len(ms))
			if len(sizes) == 1 {
				<-gate
			}
			for _, m := range ms {
				m.Answer(nil)
			}
		}, Options{MaxBatch: 20})
		var callers sync.WaitGroup
		submit := func(n int) {
			for range n {
				callers.Go(func() {
					if err := q.Submit(t.Context(), 0); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
		}
		submit(1) // alone: its batch starts at once
		submit(31)
		close(gate)
		callers.Wait()
		q.Close()
		if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 20 || sizes[2] != 11 {
			t.Errorf("batches of %v members, want 1, 20, 11", sizes)
		}
		if b, m := q.Stats().Batches.Load(), q.Stats().Members.Load(); b != 3 || m != 32 {
			t.Errorf("stats say %d batches, %d members", b, m)
		}
	})
}

func TestUnansweredMembersRunAgain(t *testing.T) {
	runs := 0
	q := New(func(_ context.Context, ms []*Member[string]) {
		runs++
		for i, m := range ms {
			if i == 0 {
				m.Answer(nil)
			}
		}
	}, Options{})
	var callers sync.WaitGroup
	for range 5 {
		callers.Go(func() {
			if err := q.Submit(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	q.Close()
	if runs != 5 {
		t.Errorf("%d batches, want one for each member", runs)
	}
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		ran := 0
		q := New(func(_ context.Context, ms []*Member[int]) {
			<-gate
			for _, m := range ms {
				ran++
				switch m.Payload {
				case 1:
					panic("boom")
				case 2:
					m.Answer(errors.New("no"))
				default:
					m.Answer(nil)
				}
			}
		}, Options{MaxQueue: 2, MaxBatch: 1})
		first := make(chan error, 1)
		go func() { first <- q.Submit(t.Context(), 2) }()
		synctest.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- q.Submit(ctx, 0) }()
		synctest.Wait()
		cancel() // waiting only: can be withdrawn
		if err := <-gone; !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("withdrawn member: %v", err)
		}
		second := make(chan error, 1)
		go func() { second <- q.Submit(t.Context(), 1) }()
		synctest.Wait()
		if err := q.Submit(t.Context(), 0); !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("full queue: %v", err)
		}
		close(gate)
		if err := <-first; err == nil || err.Error() != "no" {
			t.Errorf("answer of the batch: %v", err)
		}
		if err := <-second; !ca.IsKind(err, ca.Internal) {
			t.Errorf("panic: %v", err)
		}
		q.Close()
		if ran != 2 {
			t.Errorf("%d members ran, want 2", ran)
		}
		if err := q.Submit(t.Context(), 0); !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("closed queue: %v", err)
		}
	})
}

func TestBatchThatAnswersNobodyFails(t *testing.T) {
	q := New(func(context.Context, []*Member[int]) {}, Options{})
	defer q.Close()
	if err := q.Submit(t.Context(), 0); !ca.IsKind(err, ca.Internal) {
		t.Errorf("got %v", err)
	}
}
