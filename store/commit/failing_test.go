package commit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outcome error
		q := New(func(_ context.Context, ms []*Member[int]) {
			for _, m := range ms {
				m.Answer(outcome)
			}
		}, Options{})
		defer q.Close()
		began := time.Now()
		full := ca.UnavailableError(errors.New("no room"), time.Second)
		for _, step := range []struct {
			outcome     error
			since, last time.Duration // after the start; -1: never
		}{
			{nil, -1, -1},
			{full, 2, 2},
			{ca.Errorf(ca.Conflict, "a refusal is no failure, and no proof of a write"), 2, 2},
			{ca.InternalError(errors.New("broken")), 2, 4},
			{nil, -1, -1},
			{full, 6, 6},
		} {
			time.Sleep(time.Second)
			outcome = step.outcome
			if err := q.Submit(t.Context(), 0); !errors.Is(err, step.outcome) {
				t.Fatal(err)
			}
			at := func(d time.Duration) time.Time {
				if d < 0 {
					return time.Time{}
				}
				return began.Add(d * time.Second)
			}
			if since, last := q.Stats().Failing(); !since.Equal(at(step.since)) || !last.Equal(at(step.last)) {
				t.Errorf("after %v: failing since %v, last %v", step.outcome, since.Sub(began), last.Sub(began))
			}
		}
	})
}
