package foreign

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// scopePrefix begins the scopes of lists that are kept and not published.
const scopePrefix = ca.ForeignCRLPrefix

// CA is a CA that is not ours.
type CA struct {
	Tenant, ID string
	Issuer     *pkix.Certificate

	list   atomic.Pointer[List]
	number atomic.Int64 // of the list in the store
}

// List is the newest list that this replica has, nil before the first.
func (c *CA) List() *List { return c.list.Load() }

// Shelf holds the newest list of each foreign CA in memory. Lists that were
// read stay in use while the store does not answer: they say themselves when
// they end.
type Shelf struct {
	Store ca.CRLs
	CAs   []*CA
	Log   *slog.Logger
	// Read is called with the octets of a list that was read; may be nil.
	Read func(size int)
}

// LookEvery is how often the store is asked for newer lists.
const LookEvery = 2 * time.Second

// Follow looks for newer lists until ctx ends.
func (s *Shelf) Follow(ctx context.Context) {
	tick := time.NewTicker(LookEvery)
	defer tick.Stop()
	failed := false
	for {
		err := s.Look(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			s.Log.Warn("foreign.stale", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Look reads newer lists from the store. Only one goroutine may call it.
func (s *Shelf) Look(ctx context.Context) error {
	heads, err := s.Store.CRLHeads(ctx)
	if err != nil {
		return err
	}
	for _, c := range s.CAs {
		for _, h := range heads {
			if h.Tenant != c.Tenant || h.CA != c.ID || h.Scope != scopeOf(c.Issuer) || h.Complete <= c.number.Load() {
				continue
			}
			if err := s.take(ctx, c, h.Complete); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Shelf) take(ctx context.Context, c *CA, number int64) error {
	kept, err := s.Store.CRL(ctx, c.Tenant, c.ID, scopeOf(c.Issuer), number)
	if ca.IsKind(err, ca.NotFound) {
		return nil // replaced meanwhile, twice: the next look finds the newest
	}
	if err != nil {
		return err
	}
	// The signature is checked again: the answers of this replica rest on it.
	list, _, err := Read(kept.DER, c.Issuer)
	if err != nil {
		return ca.InternalError(fmt.Errorf("the store's CRL %d of %s/%s: %w", number, c.Tenant, c.ID, err))
	}
	c.list.Store(list)
	c.number.Store(number)
	s.Log.Info("foreign.read", "tenant", c.Tenant, "ca", c.ID, "entries", list.Len(), "next_update", stamp(list.Next))
	if s.Read != nil {
		s.Read(kept.Size)
	}
	return nil
}
