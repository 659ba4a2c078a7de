package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
)

// StatusPage implements ca.Statuses.
func (s *Store) StatusPage(ctx context.Context, tenant, caID string, after ca.Serial, limit int) ([]ca.Status, error) {
	if err := ca.CheckStatusPage(limit); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, sql.StatusPage, tenant, caID, after[:], limit)
	if err != nil {
		return nil, readError(err, "status")
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ca.Status, error) {
		st := ca.Status{Tenant: tenant, CA: caID}
		var serial []byte
		var invalid *time.Time
		if err := row.Scan(&serial, &st.State, &st.Reason, &invalid, &st.At, &st.Shard); err != nil {
			return st, err
		}
		st.At, st.Invalid = st.At.UTC(), orZero(invalid)
		st.Serial, err = serialOf(serial)
		return st, err
	})
	return page, readError(err, "status")
}

// FeedEnd implements ca.Statuses. The counter changes in the commit that writes the rows.
func (s *Store) FeedEnd(ctx context.Context) (end int64, err error) {
	err = s.pool.QueryRow(ctx, sql.FeedEnd).Scan(&end)
	return end, readError(err, "status feed")
}

var _ ca.Statuses = (*Store)(nil)
