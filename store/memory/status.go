package memory

import (
	"context"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/trail"
)

// Revoke records a revocation, its feed row and its audit row in one commit.
// The reason certificateHold holds; removeFromCRL releases a hold.
func (s *Store) Revoke(ctx context.Context, r *ca.Revocation) (*ca.Status, error) {
	own, err := s.own(r.Tenant, r.Effects, false)
	if err != nil {
		return nil, err
	}
	status := ca.Status{Tenant: r.Tenant, CA: r.CA, Serial: r.Serial, State: ca.Revoked, Reason: r.Reason, Invalid: r.Invalid, Shard: r.Shard}
	switch r.Reason {
	case ca.CertificateHold:
		status.State = ca.Held
	case ca.RemoveFromCRL:
		status.State = ca.Issued
	}
	err = s.change(ctx, func(t *tx) error {
		c := t.certificates[keyOf(r.Tenant, r.CA, r.Serial)]
		switch {
		case c == nil:
			return ca.Errorf(ca.NotFound, "there is no such certificate")
		case c.State == ca.Revoked && r.Proves():
			before := t.lastStatus(r)
			if before.Reason == ca.KeyCompromise && t.blocked[c.keyHash] {
				return ca.Errorf(ca.Conflict, "the certificate is revoked already, and its key is blocked")
			}
			if status.At = before.At; r.Invalid.IsZero() {
				status.Invalid = before.Invalid
			}
		case c.State == ca.Revoked || c.State == status.State: // RFC 5280 section 5.3.1: only a hold may change
			return ca.Errorf(ca.Conflict, "the certificate is %s already", c.State)
		default:
			status.At = t.now
		}
		if err := t.take(own, 0, nil); err != nil {
			return err
		}
		assign(t, &c.State, status.State)
		status.Position = int64(len(t.feed)) + 1
		assign(t, &t.feed, append(slices.Clip(t.feed), status))
		if r.BlockKey {
			set(t, t.blocked, c.keyHash, true)
		}
		return nil
	}, r.Audit)
	if err != nil {
		return nil, err
	}
	return &status, nil
}

// lastStatus finds the last feed row of a certificate whose status ever changed.
func (t *tx) lastStatus(r *ca.Revocation) (last ca.Status) {
	for _, s := range t.feed {
		if s.Tenant == r.Tenant && s.CA == r.CA && s.Serial == r.Serial {
			last = s
		}
	}
	return last
}

// Feed gives at most limit status rows after a position, of every tenant.
func (s *Store) Feed(_ context.Context, after int64, limit int) ([]ca.Status, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from := min(max(after, 0), int64(len(s.feed)))
	rows := s.feed[from:]
	page := slices.Clone(rows[:min(limit, len(rows))])
	for i := range page {
		page[i].Shard = 0
	}
	return page, nil
}

// Note appends an audit row that belongs to no issuance; nobody waits for it.
func (s *Store) Note(a ca.Audit) {
	if a.At.IsZero() {
		a.At = s.now()
	}
	s.notes.Add(a)
}

// Trail gives the audit trail.
func (s *Store) Trail() []trail.Batch {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.trail)
}
