package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

var _ state.Rates = (*Store)(nil)

// AddRates implements state.Rates. Rows are touched in the order of their ids, so
// that two replicas do not wait for each other in a circle.
func (s *Store) AddRates(ctx context.Context, tenant string, rates []state.Rate) ([]int64, error) {
	order := make([]int, len(rates))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return bytes.Compare(rates[x].ID[:], rates[y].ID[:]) })
	var ids [][]byte
	var counts []int64
	var expires []time.Time
	for _, i := range order {
		ids, counts, expires = append(ids, rates[i].ID[:]), append(counts, rates[i].Count), append(expires, rates[i].Expires)
	}
	sums := map[[32]byte]int64{}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if s.pooled {
			if _, err := tx.Exec(ctx, sql.Pin, s.durability, statementTimeout, lockTimeout); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, sql.RatesAdd, tenant, ids, counts, expires)
		if err != nil {
			return err
		}
		var id []byte
		var sum int64
		_, err = pgx.ForEachRow(rows, []any{&id, &sum}, func() error {
			sums[[32]byte(id)] = sum
			return nil
		})
		return err
	})
	if err != nil {
		return nil, answerOf(err)
	}
	out := make([]int64, len(rates))
	for i, r := range rates {
		out[i] = sums[r.ID]
	}
	return out, nil
}

// SweepRates implements state.Rates.
func (s *Store) SweepRates(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.SweepRates, s.offset(), limit)
}
