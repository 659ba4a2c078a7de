package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

var _ ca.Renewals = (*Store)(nil)

// Replace implements state.Store.
func (s *Store) Replace(tenant, id string, serial ca.Serial, order string, expires time.Time) ca.Effect {
	return s.fixed(tenant, step{slot: slot{classReplacement, tenant, id + "\x00" + string(serial[:])}, sql: sql.ReplacementAdd,
		args: []any{tenant, id, serial[:], order, expires}})
}

// Replaced implements state.Store.
func (s *Store) Replaced(ctx context.Context, tenant, id string, serial ca.Serial) (order string, err error) {
	err = s.pool.QueryRow(ctx, sql.Replacement, tenant, id, serial[:]).Scan(&order)
	return order, readError(err, "replacement of the certificate")
}

// SetRenewalWindows implements ca.Renewals. Rows are touched in the order of
// their keys, so that two calls on different replicas do not wait for each other
// in a circle.
func (s *Store) SetRenewalWindows(ctx context.Context, tenant string, windows []ca.RenewalWindow, a ca.Audit) error {
	windows = slices.SortedFunc(slices.Values(windows), func(x, y ca.RenewalWindow) int { return bytes.Compare(x.Serial[:], y.Serial[:]) })
	var cas, explanations []string
	var serials [][]byte
	var opens, closes, expires []time.Time
	for i := range windows {
		w := &windows[i]
		cas, explanations, serials = append(cas, w.CA), append(explanations, w.Explanation), append(serials, w.Serial[:])
		opens, closes, expires = append(opens, w.Start), append(closes, w.End), append(expires, w.Expires)
	}
	return s.submit(ctx, &work{audit: []ca.Audit{a}, steps: []step{{slot: slot{classWindow, tenant, ""}, sql: sql.WindowsPut, always: true,
		args: []any{tenant, cas, serials, opens, closes, explanations, expires}}}})
}

// RenewalWindow implements ca.Renewals.
func (s *Store) RenewalWindow(ctx context.Context, tenant, id string, serial ca.Serial) (*ca.RenewalWindow, error) {
	w := &ca.RenewalWindow{Tenant: tenant, CA: id, Serial: serial}
	if err := s.pool.QueryRow(ctx, sql.WindowFind, tenant, id, serial[:]).Scan(&w.Start, &w.End, &w.Explanation, &w.Expires); err != nil {
		return nil, readError(err, "renewal window")
	}
	w.Start, w.End, w.Expires = w.Start.UTC(), w.End.UTC(), w.Expires.UTC()
	return w, nil
}

// SweepRenewals implements ca.Renewals.
func (s *Store) SweepRenewals(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.SweepRenewals, s.offset(), limit)
}
