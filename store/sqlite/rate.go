package sqlite

import (
	"context"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

var _ state.Rates = (*Store)(nil)

// AddRates implements state.Rates.
func (s *Store) AddRates(ctx context.Context, tenant string, rates []state.Rate) ([]int64, error) {
	sums := make([]int64, len(rates))
	err := s.change(ctx, func(b *batch) error {
		for i, r := range rates {
			if _, err := b.scan(addRate, []any{tenant, r.ID[:], r.Count, micros(r.Expires)}, &sums[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sums, nil
}

// SweepRates implements state.Rates.
func (s *Store) SweepRates(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(sweepRates, micros(b.now), limit) })
}
