package state

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Rate is how often something happened in a window of time.
type Rate struct {
	ID      [32]byte // hash of what is limited and of the window
	Count   int64
	Expires time.Time // the window's end
}

// Rates are the counters of rate limits, shared by replicas. An error is an
// *ca.Error of kind Unavailable or Internal; what was counted then may count twice.
type Rates interface {
	// AddRates adds to the counters of a tenant and gives their sums, in the order
	// given. No id is given twice.
	AddRates(ctx context.Context, tenant string, rates []Rate) (sums []int64, err error)
	// SweepRates deletes counters whose window has ended; lease, limit and count
	// are those of ca.Upkeep.
	SweepRates(ctx context.Context, l *ca.Lease, limit int) (int64, error)
}
