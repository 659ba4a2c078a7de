package va

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAttempts(t *testing.T) {
	again := &Problem{Type: TypeConnection, Detail: "down", Retry: true}
	never := &Problem{Type: TypeConnection, Detail: "refused target"}
	for name, c := range map[string]struct {
		schedule []time.Duration
		outcomes []error // the last one repeats
		calls    int
		waited   time.Duration
		want     error
	}{
		"at once":           {nil, []error{nil}, 1, 0, nil},
		"default schedule":  {nil, []error{again}, 5, 7 * time.Second, again},
		"third time":        {nil, []error{again, again, nil}, 3, 3 * time.Second, nil},
		"then final":        {nil, []error{again, never}, 2, time.Second, never},
		"final":             {nil, []error{never}, 1, 0, never},
		"foreign error":     {nil, []error{errors.ErrUnsupported}, 1, 0, errors.ErrUnsupported},
		"no retries":        {[]time.Duration{}, []error{again}, 1, 0, again},
		"schedule of one's": {[]time.Duration{time.Minute}, []error{again}, 2, time.Minute, again},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plan, err := NewAttempts(c.schedule)
				if err != nil {
					t.Fatal(err)
				}
				start, calls, told := time.Now(), 0, 0
				record, err := plan.Run(t.Context(), func(context.Context) (Record, error) {
					outcome := c.outcomes[min(calls, len(c.outcomes)-1)]
					calls++
					return Record{Hops: make([]Hop, calls)}, outcome
				}, func(n int, err error) {
					told++
					if n != told || err != c.outcomes[min(n-1, len(c.outcomes)-1)] {
						t.Errorf("told %d, %v", n, err)
					}
				})
				if err != c.want || calls != c.calls || told != calls || len(record.Hops) != calls || time.Since(start) != c.waited {
					t.Errorf("got %v after %d calls, %d told, %d hops, %s", err, calls, told, len(record.Hops), time.Since(start))
				}
			})
		})
	}
}

func TestAttemptsInterrupted(t *testing.T) {
	again := &Problem{Type: TypeConnection, Detail: "down", Retry: true}
	var problem *Problem
	synctest.Test(t, func(t *testing.T) {
		plan, err := NewAttempts(nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_, err = plan.Run(ctx, func(context.Context) (Record, error) { return Record{}, again }, nil)
		if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &problem) || !strings.Contains(err.Error(), "after attempt 2") {
			t.Errorf("while waiting: %v", err)
		}

		ctx, stop := context.WithCancel(t.Context())
		_, err = plan.Run(ctx, func(context.Context) (Record, error) { stop(); return Record{}, again }, nil)
		if !errors.Is(err, context.Canceled) || errors.As(err, &problem) {
			t.Errorf("while validating: %v", err)
		}
		if _, err = plan.Run(ctx, func(context.Context) (Record, error) { return Record{}, nil }, nil); err != nil {
			t.Errorf("a success stays one: %v", err)
		}
	})
}

func TestAttemptsPanic(t *testing.T) {
	plan, err := NewAttempts(nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	_, err = plan.Run(t.Context(), func(context.Context) (Record, error) { calls++; panic(secret) }, nil)
	wantProblem(t, err, TypeServerInternal, "internal reason", false)
	if calls != 1 || !strings.Contains(err.Error(), "attempts_test.go") {
		t.Errorf("%d calls, %v", calls, err)
	}
	_, err = plan.Run(t.Context(), func(context.Context) (Record, error) { var h *Hop; return Record{Hops: []Hop{*h}}, nil }, nil)
	wantProblem(t, err, TypeServerInternal, "internal reason", false)
	if !strings.Contains(err.Error(), "nil pointer") {
		t.Error(err)
	}
}

func TestNewAttempts(t *testing.T) {
	if _, err := NewAttempts(make([]time.Duration, 20)); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]time.Duration{make([]time.Duration, 21), {-1}} {
		if _, err := NewAttempts(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}
