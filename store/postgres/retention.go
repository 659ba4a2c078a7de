package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
)

// Months implements ca.Months.
func (s *Store) Months(ctx context.Context) ([]ca.MonthRecord, error) {
	rows, err := s.pool.Query(ctx, sql.Months)
	if err != nil {
		return nil, readError(err, "month")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ca.MonthRecord, error) { return monthOf(row) })
	return all, readError(err, "month")
}

func monthOf(row pgx.Row) (m ca.MonthRecord, err error) {
	var dropped, cleared *time.Time
	err = row.Scan(&m.Month, &dropped, &cleared, &m.Certificates)
	m.Dropped, m.Cleared = orZero(dropped), orZero(cleared)
	return m, err
}

// Month implements ca.Months.
func (s *Store) Month(ctx context.Context, m ca.Month) (*ca.MonthRecord, error) {
	found, err := monthOf(s.pool.QueryRow(ctx, sql.MonthFind, int32(m)))
	if err != nil {
		return nil, readError(err, "dropped month")
	}
	return &found, nil
}

// CountMonth implements ca.Months.
func (s *Store) CountMonth(ctx context.Context, m ca.Month) (all []ca.MonthCount, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sql.Unlimited); err != nil { // behind nobody's request
			return err
		}
		rows, err := tx.Query(ctx, sql.MonthCount, int32(m))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ca.MonthCount])
		return err
	})
	return all, readError(err, "month")
}

// MonthWaits implements ca.Months.
func (s *Store) MonthWaits(ctx context.Context, m ca.Month) ([]ca.MissingCRL, error) {
	rows, err := s.pool.Query(ctx, sql.MonthWaits, int32(m))
	if err != nil {
		return nil, readError(err, "month")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l ca.MissingCRL, err error) {
		var this *time.Time
		err = row.Scan(&l.Tenant, &l.CA, &l.Scope, &this)
		l.ThisUpdate = orZero(this)
		return l, err
	})
	return all, readError(err, "month")
}

// DropMonth implements ca.Months. The owner's function has the guard.
func (s *Store) DropMonth(ctx context.Context, l *ca.Lease, m ca.Month, certificates int64, audit ...ca.Audit) error {
	w := &work{audit: audit, steps: []step{{slot: slot{classMonth, "", m.String()}, sql: sql.MonthRelease, args: []any{int32(m), certificates},
		lost: ca.Errorf(ca.Conflict, "the month %s has not ended, waits for a CRL, or was dropped already", m)}}}
	if l != nil {
		w.steps = append(w.steps, step{slot: slot{classLease, "", l.Name}, sql: sql.LeaseHeld, lost: ca.LeaseLost(l),
			args: []any{s.offset(), l.Name, l.Holder, l.Fence}})
	}
	return s.submit(ctx, w)
}

// ClearMonth implements ca.Months. The partitions go as a whole, in a
// transaction that waits for nobody.
func (s *Store) ClearMonth(ctx context.Context, l *ca.Lease, m ca.Month, limit int) (left bool, err error) {
	if err := bounded(limit); err != nil {
		return false, err
	}
	if _, err := s.Month(ctx, m); ca.IsKind(err, ca.NotFound) {
		return false, ca.Errorf(ca.Conflict, "the month %s was not dropped", m)
	} else if err != nil {
		return false, err
	}
	if l == nil {
		_, err = s.pool.Exec(ctx, sql.MonthDrop, int32(m))
		if err != nil {
			return true, answerOf(err)
		}
		return false, nil
	}
	if _, err := s.fenced(ctx, l, sql.MonthDrop, int32(m)); err != nil {
		return true, err
	}
	return false, nil
}

var _ ca.Months = (*Store)(nil)
