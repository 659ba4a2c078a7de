package state

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Upkeep is the background work on the door's objects. Lease, limit and count
// are those of ca.Upkeep: one bounded commit a call, Conflict where the lease
// is not held.
type Upkeep interface {
	// SweepNonces deletes used nonces that could not be used anyway any more.
	SweepNonces(ctx context.Context, l *ca.Lease, limit int) (int64, error)
	// EndOrders makes pending orders that have expired invalid (RFC 8555 section 7.1.6).
	EndOrders(ctx context.Context, l *ca.Lease, limit int) (int64, error)
	// RemoveOrders deletes invalid orders that expired longer ago than kept,
	// with their authorizations and challenges. Valid orders stay: they lead to
	// their certificates.
	RemoveOrders(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error)
	// RemovePreauthorizations deletes authorizations without an order that expired.
	RemovePreauthorizations(ctx context.Context, l *ca.Lease, limit int) (int64, error)
}
