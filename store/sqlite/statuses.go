package sqlite

import (
	"context"
	"database/sql"

	"github.com/enrollgate/enrollgate/ca"
)

// StatusPage implements ca.Statuses.
func (s *Store) StatusPage(ctx context.Context, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
	if err := ca.CheckStatusPage(limit); err != nil {
		return nil, err
	}
	rows, err := s.read[selectStatusPage].QueryContext(ctx, tenant, issuer, int64(after.Month()), after[:], limit)
	return collect(rows, err, func(rows *sql.Rows) (ca.Status, error) {
		st := ca.Status{Tenant: tenant, CA: issuer}
		var serial []byte
		var invalid sql.NullInt64
		var at int64
		err := rows.Scan(&serial, &st.State, &st.Reason, &invalid, &at, &st.Shard)
		copy(st.Serial[:], serial) // the table holds 16 octets
		st.Invalid, st.At = fromNullMicros(invalid), fromMicros(at)
		return st, err
	})
}

// FeedEnd implements ca.Statuses.
func (s *Store) FeedEnd(ctx context.Context) (end int64, err error) {
	if err := s.read[selectFeedEnd].QueryRowContext(point(ctx)).Scan(&end); err != nil {
		return 0, answer(err)
	}
	return end, nil
}

var _ ca.Statuses = (*Store)(nil)
