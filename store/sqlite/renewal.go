package sqlite

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

var _ ca.Renewals = (*Store)(nil)

// Replace makes the effect that records which order replaced a certificate.
func (s *Store) Replace(tenant, id string, serial ca.Serial, order string, expires time.Time) ca.Effect {
	return s.effect(tenant, insertReplacement, func(*batch, *ca.Entry) []any { return []any{tenant, id, serial[:], order, micros(expires)} })
}

// Replaced gives the order that replaced a certificate.
func (s *Store) Replaced(ctx context.Context, tenant, id string, serial ca.Serial) (order string, err error) {
	err = s.read[selectReplacement].QueryRowContext(point(ctx), tenant, id, serial[:]).Scan(&order)
	if err != nil {
		return "", readError(err, "the certificate was not replaced")
	}
	return order, nil
}

// SetRenewalWindows implements ca.Renewals.
func (s *Store) SetRenewalWindows(ctx context.Context, tenant string, windows []ca.RenewalWindow, a ca.Audit) error {
	windows = slices.SortedFunc(slices.Values(windows), func(x, y ca.RenewalWindow) int { return bytes.Compare(x.Serial[:], y.Serial[:]) })
	return s.change(ctx, func(b *batch) error {
		for _, w := range windows {
			if _, err := b.exec(putWindow, tenant, w.CA, w.Serial[:], micros(w.Start), micros(w.End), w.Explanation, micros(w.Expires)); err != nil {
				return err
			}
		}
		return nil
	}, a)
}

// RenewalWindow implements ca.Renewals.
func (s *Store) RenewalWindow(ctx context.Context, tenant, id string, serial ca.Serial) (*ca.RenewalWindow, error) {
	w := &ca.RenewalWindow{Tenant: tenant, CA: id, Serial: serial}
	var start, end, expires int64
	err := s.read[selectWindow].QueryRowContext(point(ctx), tenant, id, serial[:]).Scan(&start, &end, &w.Explanation, &expires)
	if err != nil {
		return nil, readError(err, "no renewal window was set")
	}
	w.Start, w.End, w.Expires = fromMicros(start), fromMicros(end), fromMicros(expires)
	return w, nil
}

// SweepRenewals implements ca.Renewals.
func (s *Store) SweepRenewals(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (all int64, err error) {
		for _, q := range []query{sweepReplacements, sweepWindows} {
			n, err := b.exec(q, micros(b.now), limit)
			if err != nil {
				return 0, err
			}
			all += n
		}
		return all, nil
	})
}
