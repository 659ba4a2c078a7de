package ca

import (
	"context"
	"time"
)

// Lease is the right to do one piece of background work. Fence rises with
// every new holder: a write that carries an older fence than one seen before
// is refused, so a holder that was paused too long cannot undo newer work.
type Lease struct {
	Name   string
	Holder string // replica id
	Fence  int64
	Until  time.Time // store's clock
}

// Leases hands out leases as rows; times are the store's.
type Leases interface {
	// Acquire takes a free or expired lease, or renews one that holder has
	// (same fence). Conflict while somebody else holds it.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (*Lease, error)
	// Release gives a lease up early; a lease that is not held is no error.
	Release(ctx context.Context, l *Lease) error
	// Held makes the effect that lets a commit through only while the lease is held with this fence.
	Held(l *Lease) Effect
}
