package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
)

// Months implements ca.Months.
func (s *Store) Months(ctx context.Context) ([]ca.MonthRecord, error) {
	var all []ca.MonthRecord
	for _, q := range []query{selectDropped, selectMonths} {
		rows, err := s.read[q].QueryContext(ctx)
		found, err := collect(rows, err, func(rows *sql.Rows) (ca.MonthRecord, error) { return monthOf(rows.Scan) })
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	// A month that was dropped and is not empty yet is in both; the sort leaves its drop first.
	slices.SortStableFunc(all, func(a, b ca.MonthRecord) int { return int(a.Month) - int(b.Month) })
	return slices.CompactFunc(all, func(a, b ca.MonthRecord) bool { return a.Month == b.Month }), nil
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

// everyCA visits each CA that ever had a certificate and still has one, until do says stop.
func (s *Store) everyCA(ctx context.Context, do func(tenant, id string) (more bool, err error)) error {
	var tenant, id string
	for {
		err := s.read[nextCA].QueryRowContext(ctx, tenant, id).Scan(&tenant, &id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return readError(err, "")
		}
		if more, err := do(tenant, id); err != nil || !more {
			return err
		}
	}
}

// CountMonth implements ca.Months.
func (s *Store) CountMonth(ctx context.Context, m ca.Month) (all []ca.MonthCount, err error) {
	err = s.everyCA(ctx, func(tenant, id string) (bool, error) {
		n := ca.MonthCount{Tenant: tenant, CA: id}
		if err := s.read[countMonth].QueryRowContext(ctx, tenant, id, int64(m)).Scan(&n.Certificates); err != nil {
			return false, readError(err, "")
		}
		if n.Certificates > 0 {
			all = append(all, n)
		}
		return true, nil
	})
	return all, err
}

// MonthWaits implements ca.Months.
func (s *Store) MonthWaits(ctx context.Context, m ca.Month) (missing []ca.MissingCRL, err error) {
	_, end, ok := m.Range()
	if !ok {
		return nil, ca.Errorf(ca.BadRequest, "certificates without end are in no month")
	}
	abandoned := s.now().Add(-ca.Abandoned)
	err = s.everyCA(ctx, func(tenant, id string) (bool, error) {
		var one int
		switch err := s.read[inMonth].QueryRowContext(ctx, tenant, id, int64(m)).Scan(&one); {
		case errors.Is(err, sql.ErrNoRows):
			return true, nil
		case err != nil:
			return false, readError(err, "")
		}
		rows, err := s.read[selectNewest].QueryContext(ctx, tenant, id)
		lists, err := collect(rows, err, func(rows *sql.Rows) (l ca.CRL, err error) {
			var this, next int64
			err = rows.Scan(&l.Scope, &this, &next)
			l.ThisUpdate, l.NextUpdate = fromMicros(this), fromMicros(next)
			return l, err
		})
		if len(lists) == 0 && err == nil {
			missing = append(missing, ca.MissingCRL{Tenant: tenant, CA: id})
		}
		for _, l := range lists {
			if l.ThisUpdate.Before(end) && l.NextUpdate.After(abandoned) {
				missing = append(missing, ca.MissingCRL{Tenant: tenant, CA: id, Scope: l.Scope, ThisUpdate: l.ThisUpdate})
			}
		}
		return true, err
	})
	return missing, err
}

// DropMonth implements ca.Months. What the month waits for is looked at before
// the commit: lists only get newer, and a month that has ended gets no new CA. A
// trigger holds the same guard in the commit.
func (s *Store) DropMonth(ctx context.Context, l *ca.Lease, m ca.Month, certificates int64, audit ...ca.Audit) error {
	_, end, ok := m.Range()
	if !ok || end.After(s.now()) {
		return ca.Errorf(ca.Conflict, "the month %s has not ended", m)
	}
	waits, err := s.MonthWaits(ctx, m)
	if err != nil {
		return err
	}
	if len(waits) > 0 {
		return ca.Errorf(ca.Conflict, "the month %s waits for a CRL", m)
	}
	return s.change(ctx, func(b *batch) error {
		if err := b.holds(l); err != nil {
			return err
		}
		return b.must("the month was dropped already", dropMonth, int64(m), certificates, micros(b.now))
	}, audit...)
}

// ClearMonth implements ca.Months. What refers to a certificate goes first:
// that is how the triggers know the month.
func (s *Store) ClearMonth(ctx context.Context, l *ca.Lease, m ca.Month, limit int) (left bool, err error) {
	if err := bounded(limit); err != nil {
		return false, err
	}
	r, err := s.Month(ctx, m)
	if ca.IsKind(err, ca.NotFound) {
		return false, ca.Errorf(ca.Conflict, "the month %s was not dropped", m)
	}
	if err != nil || !r.Cleared.IsZero() {
		return false, err
	}
	err = s.everyCA(ctx, func(tenant, id string) (bool, error) {
		gone, err := s.clear(ctx, l, m, tenant, id, limit)
		left = gone > 0
		return !left, err
	})
	if err != nil || left {
		return true, err
	}
	err = s.change(ctx, func(b *batch) error {
		if err := b.holds(l); err != nil {
			return err
		}
		if _, err := b.exec(forgetMonth, int64(m)); err != nil {
			return err
		}
		_, err := b.exec(clearedMonth, micros(b.now), int64(m))
		return err
	})
	return err != nil, err
}

// clear takes certificates of one CA away, in one commit.
func (s *Store) clear(ctx context.Context, l *ca.Lease, m ca.Month, tenant, id string, limit int) (gone int64, err error) {
	var one int
	switch err := s.read[inMonth].QueryRowContext(ctx, tenant, id, int64(m)).Scan(&one); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, readError(err, "")
	}
	err = s.change(ctx, func(b *batch) error {
		if err := b.holds(l); err != nil {
			return err
		}
		for _, q := range []query{clearSANs, clearDecisions} {
			if _, err := b.exec(q, tenant, id, int64(m), limit); err != nil {
				return err
			}
		}
		gone, err = b.exec(clearCertificates, tenant, id, int64(m), limit)
		return err
	})
	return gone, err
}

var _ ca.Months = (*Store)(nil)
