package va

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

const maxRetries = 20

// Attempts is a retry plan: how long to wait before each further attempt
// (RFC 8555 section 8.2 leaves the schedule to the server).
type Attempts struct {
	waits []time.Duration
}

// NewAttempts makes a plan of at most 20 retries. A nil schedule means four, after
// 1, 2, 2 and 2 s; an empty one that is not nil means a single attempt.
func NewAttempts(schedule []time.Duration) (Attempts, error) {
	if schedule == nil {
		schedule = []time.Duration{time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second}
	}
	if len(schedule) > maxRetries {
		return Attempts{}, fmt.Errorf("a validation is retried at most %d times, not %d", maxRetries, len(schedule))
	}
	for _, wait := range schedule {
		if wait < 0 {
			return Attempts{}, errors.New("a wait between validation attempts must not be negative")
		}
	}
	return Attempts{waits: slices.Clone(schedule)}, nil
}

// Longest gives how long all attempts can take when each takes at most attempt.
func (a Attempts) Longest(attempt time.Duration) time.Duration {
	total := attempt
	for _, wait := range a.waits {
		total += wait + attempt
	}
	return total
}

// Run calls validate until it succeeds, fails with a Problem that no retry mends,
// or the plan is at its end; it returns the last call's record and error. After
// each call it tells onAttempt (may be nil) the number of the call, from 1, and
// its error. When ctx ends before the outcome is known, the error is not a Problem
// and wraps that of ctx: the challenge is still undecided. A panic in validate is a
// Problem of type serverInternal, so that Run may have a goroutine of its own.
func (a Attempts) Run(ctx context.Context, validate func(context.Context) (Record, error), onAttempt func(n int, err error)) (Record, error) {
	for n := 1; ; n++ {
		record, err := guarded(ctx, validate)
		if err != nil && ctx.Err() != nil {
			return record, fmt.Errorf("validation interrupted in attempt %d: %w", n, ctx.Err())
		}
		if onAttempt != nil {
			onAttempt(n, err)
		}
		var problem *Problem
		if err == nil || !errors.As(err, &problem) || !problem.Retry || n > len(a.waits) {
			return record, err
		}
		timer := time.NewTimer(a.waits[n-1])
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return record, fmt.Errorf("validation interrupted after attempt %d: %w", n, ctx.Err())
		}
	}
}

// guarded turns a panic into an error. Of the panic value only a runtime error's
// text is kept: other values may hold what the target sent.
func guarded(ctx context.Context, validate func(context.Context) (Record, error)) (record Record, err error) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		cause := fmt.Errorf("panic of type %T\n%s", value, debug.Stack())
		if fault, ok := value.(runtime.Error); ok {
			cause = fmt.Errorf("panic: %w\n%s", fault, debug.Stack())
		}
		err = &Problem{Type: TypeServerInternal, Detail: "the validation failed for an internal reason", Err: cause}
	}()
	return validate(ctx)
}
