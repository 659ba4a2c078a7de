package background

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Step is one bounded commit of a sweep: it changes at most limit rows and
// tells how many it changed.
type Step func(ctx context.Context, l *ca.Lease, limit int) (int64, error)

// Bounds of a sweep: rows a commit, commits a run. What is left waits for the
// next run, so that issuance is never held up for long.
const (
	sweepRows  = 500
	sweepSteps = 200
)

// Sweep makes a job of steps; each is repeated until it finds nothing more.
func Sweep(name string, every time.Duration, steps ...Step) Job {
	return Job{Name: name, Every: every, Run: func(ctx context.Context, l *ca.Lease) error {
		for _, step := range steps {
			for range sweepSteps {
				n, err := step(ctx, l, sweepRows)
				if err != nil {
					return err
				}
				if n < sweepRows {
					break
				}
			}
		}
		return nil
	}}
}

// MonthsAhead is how many expiry months have room made before they are needed.
const MonthsAhead = 18

// Months makes the job that keeps MonthsAhead months ready, by the store's clock.
func Months(store interface {
	ca.Upkeep
	Now(ctx context.Context) (time.Time, error)
}) Job {
	return Job{Name: "months", Every: 6 * time.Hour, Run: func(ctx context.Context, l *ca.Lease) error {
		now, err := store.Now(ctx)
		if err != nil {
			return err
		}
		_, err = store.MakeMonths(ctx, l, ca.MonthOf(now), MonthsAhead+1)
		return err
	}}
}
