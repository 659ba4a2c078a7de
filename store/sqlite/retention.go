package sqlite

import (
	"context"
	"database/sql"

	"github.com/enrollgate/enrollgate/ca"
)

// Months implements ca.Months.
func (s *Store) Months(ctx context.Context) ([]ca.MonthRecord, error) {
	rows, err := s.read[selectMonths].QueryContext(ctx)
	return collect(rows, err, func(rows *sql.Rows) (ca.MonthRecord, error) { return monthOf(rows.Scan) })
}

func monthOf(scan func(...any) error) (m ca.MonthRecord, err error) {
	var dropped, cleared sql.NullInt64
	err = scan(&m.Month, &dropped, &cleared, &m.Certificates)
	m.Dropped, m.Cleared = fromNullMicros(dropped), fromNullMicros(cleared)
	return m, err
}

// Month implements ca.Months.
func (s *Store) Month(ctx context.Context, m ca.Month) (*ca.MonthRecord, error) {
	found, err := monthOf(s.read[selectMonth].QueryRowContext(point(ctx), int64(m)).Scan)
	if err != nil {
		return nil, readError(err, "the month was not dropped")
	}
	return &found, nil
}

// CountMonth implements ca.Months.
func (s *Store) CountMonth(ctx context.Context, m ca.Month) ([]ca.MonthCount, error) {
	rows, err := s.read[countMonth].QueryContext(ctx, int64(m))
	return collect(rows, err, func(rows *sql.Rows) (n ca.MonthCount, err error) {
		return n, rows.Scan(&n.Tenant, &n.CA, &n.Certificates)
	})
}

// MonthWaits implements ca.Months.
func (s *Store) MonthWaits(ctx context.Context, m ca.Month) ([]ca.MissingCRL, error) {
	_, end, ok := m.Range()
	if !ok {
		return nil, ca.Errorf(ca.BadRequest, "certificates without end are in no month")
	}
	rows, err := s.read[monthWaits].QueryContext(ctx, int64(m), micros(end), micros(s.now().Add(-ca.Abandoned)))
	return collect(rows, err, func(rows *sql.Rows) (l ca.MissingCRL, err error) {
		var this sql.NullInt64
		err = rows.Scan(&l.Tenant, &l.CA, &l.Scope, &this)
		l.ThisUpdate = fromNullMicros(this)
		return l, err
	})
}

// DropMonth implements ca.Months. A trigger holds the same guard.
func (s *Store) DropMonth(ctx context.Context, l *ca.Lease, m ca.Month, certificates int64, audit ...ca.Audit) error {
	_, end, ok := m.Range()
	if !ok || end.After(s.now()) {
		return ca.Errorf(ca.Conflict, "the month %s has not ended", m)
	}
	return s.change(ctx, func(b *batch) error {
		if err := b.holds(l); err != nil {
			return err
		}
		var one int
		waits, err := b.scan(monthMayNotGo, []any{int64(m), micros(end), micros(b.now.Add(-ca.Abandoned))}, &one)
		if err != nil {
			return err
		}
		if waits {
			return ca.Errorf(ca.Conflict, "the month %s waits for a CRL, or was dropped already", m)
		}
		_, err = b.exec(dropMonth, int64(m), certificates, micros(b.now))
		return err
	}, audit...)
}

// ClearMonth implements ca.Months. What refers to a certificate goes first:
// that is how the triggers know the month.
func (s *Store) ClearMonth(ctx context.Context, l *ca.Lease, m ca.Month, limit int) (left bool, err error) {
	if err := bounded(limit); err != nil {
		return false, err
	}
	err = s.change(ctx, func(b *batch) error {
		if err := b.holds(l); err != nil {
			return err
		}
		var cleared sql.NullInt64
		found, err := b.scan(selectCleared, []any{int64(m)}, &cleared)
		switch {
		case err != nil:
			return err
		case !found:
			return ca.Errorf(ca.Conflict, "the month %s was not dropped", m)
		case cleared.Valid:
			left = false
			return nil
		}
		for _, q := range []query{clearSANs, clearDecisions} {
			if _, err := b.exec(q, int64(m), limit); err != nil {
				return err
			}
		}
		gone, err := b.exec(clearCertificates, int64(m), limit)
		if left = gone == int64(limit); err != nil || left {
			return err
		}
		if _, err := b.exec(forgetMonth, int64(m)); err != nil {
			return err
		}
		_, err = b.exec(clearedMonth, micros(b.now), int64(m))
		return err
	})
	return left || err != nil, err
}

var _ ca.Months = (*Store)(nil)
