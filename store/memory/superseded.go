package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// supersede puts the certificate that an entry replaces on the list of those that are revoked for it.
func (t *tx) supersede(e *ca.Entry) {
	c := &e.Certificate
	key := keyOf(c.Tenant, c.CA, e.Replaces)
	if _, there := t.superseded[key]; e.RevokeReplaced && !there {
		set(t, t.superseded, key, ca.SupersededCertificate{Tenant: c.Tenant, CA: c.CA, Serial: e.Replaces, By: c.Serial, Due: t.now.Add(e.Overlap)})
	}
}

// DueSuperseded lists what is to be revoked now.
func (s *Store) DueSuperseded(_ context.Context, limit int) (due []ca.SupersededCertificate, _ error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, c := range s.superseded {
		if !now.Before(c.Due) && now.Before(c.Serial.EndOfMonth()) {
			due = append(due, c)
		}
	}
	slices.SortFunc(due, func(a, b ca.SupersededCertificate) int {
		return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.Serial[:], b.Serial[:]))
	})
	return due[:min(limit, len(due))], nil
}

// StrikeSuperseded makes the effect that takes one off the list.
func (s *Store) StrikeSuperseded(tenant, issuer string, serial ca.Serial) ca.Effect {
	key := keyOf(tenant, issuer, serial)
	return ca.NewEffect(&effect{owner: s, tenant: tenant, take: func(t *tx) bool {
		if _, there := t.superseded[key]; !there {
			return false
		}
		remove(t, t.superseded, key)
		return true
	}})
}

// sweep deletes at most limit of the rows for which gone holds, while the lease is held.
func sweep[K comparable, V any](ctx context.Context, s *Store, l *ca.Lease, limit int, rows func(*tx) map[K]V, gone func(*tx, V) bool) (n int64, err error) {
	if limit <= 0 {
		return 0, ca.InternalError(errors.New("memory: upkeep needs a positive limit"))
	}
	err = s.change(ctx, func(t *tx) error {
		if n = 0; !t.holds(l) {
			return ca.LeaseLost(l)
		}
		for key, row := range rows(t) {
			if n < int64(limit) && gone(t, row) {
				remove(t, rows(t), key)
				n++
			}
		}
		return nil
	})
	return n, err
}

// SweepSuperseded implements ca.LifeUpkeep.
func (s *Store) SweepSuperseded(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	return sweep(ctx, s, l, limit, func(t *tx) map[certKey]ca.SupersededCertificate { return t.superseded }, func(t *tx, c ca.SupersededCertificate) bool {
		if t.now.Before(c.Due) {
			return false
		}
		old := t.certificates[keyOf(c.Tenant, c.CA, c.Serial)]
		return !t.now.Before(c.Serial.EndOfMonth()) || old != nil && old.State == ca.Revoked
	})
}

// SweepUnique implements ca.LifeUpkeep.
func (s *Store) SweepUnique(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	return sweep(ctx, s, l, limit, func(t *tx) map[uniqueKey]holder { return t.unique }, func(t *tx, h holder) bool { return h.expires.Before(t.now) })
}

// SweepPending implements ca.LifeUpkeep.
func (s *Store) SweepPending(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	return sweep(ctx, s, l, limit, func(t *tx) map[nameKey]*pending { return t.pending }, func(t *tx, p *pending) bool {
		return !p.ended.IsZero() && !t.now.Before(p.ended.Add(kept)) && !p.live(t.now)
	})
}

var _ ca.SupersededStore = (*Store)(nil)
