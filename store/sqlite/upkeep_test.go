package sqlite

import (
	"context"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/conformance"
)

func TestUpkeep(t *testing.T) { conformance.Upkeep(t, underTest) }

// wrongStore is a store whose background work is wrong in one way.
type wrongStore struct {
	*Store
	unfenced, unbounded, eager, forgetful bool
}

// free is a lease that the store believes in, whoever holds the real one.
func (b wrongStore) free(l *ca.Lease) *ca.Lease {
	if !b.unfenced {
		return l
	}
	free, err := b.Acquire(context.Background(), "free", "nobody", time.Hour)
	if err != nil {
		return l
	}
	return free
}

func (b wrongStore) SweepNonces(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if b.unbounded {
		limit = 1000
	}
	return b.Store.SweepNonces(ctx, b.free(l), limit)
}

func (b wrongStore) EndOrders(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if b.unbounded {
		limit = 1000
	}
	return b.Store.EndOrders(ctx, b.free(l), limit)
}

func (b wrongStore) RemoveOrders(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	if b.eager {
		kept = 0
	}
	return b.Store.RemoveOrders(ctx, b.free(l), kept, limit)
}

func (b wrongStore) SweepCredentials(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	if b.eager {
		kept = 0
	}
	return b.Store.SweepCredentials(ctx, b.free(l), kept, limit)
}

func (b wrongStore) RemovePreauthorizations(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if b.unbounded {
		limit = 1000
	}
	return b.Store.RemovePreauthorizations(ctx, b.free(l), limit)
}

func (b wrongStore) SweepRates(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if b.unbounded {
		limit = 1000
	}
	return b.Store.SweepRates(ctx, b.free(l), limit)
}

func (b wrongStore) SweepRenewals(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if b.unbounded {
		limit = 1000
	}
	return b.Store.SweepRenewals(ctx, b.free(l), limit)
}

func (b wrongStore) SweepIdempotency(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if b.forgetful {
		return 0, nil
	}
	return b.Store.SweepIdempotency(ctx, b.free(l), limit)
}

func (b wrongStore) ForgetReplicas(ctx context.Context, l *ca.Lease, unseen time.Duration, limit int) (int64, error) {
	if b.eager {
		unseen = 0
	}
	return b.Store.ForgetReplicas(ctx, b.free(l), unseen, limit)
}

func (b wrongStore) Replicas(ctx context.Context, within time.Duration) ([]ca.Replica, error) {
	if b.forgetful {
		return nil, nil
	}
	return b.Store.Replicas(ctx, within)
}

func (b wrongStore) MakeMonths(ctx context.Context, l *ca.Lease, first ca.Month, n int) (int64, error) {
	if b.forgetful {
		return int64(n), nil
	}
	return b.Store.MakeMonths(ctx, b.free(l), first, n)
}

func (b wrongStore) Schema(ctx context.Context) (stored, known int64, err error) {
	stored, known, err = b.Store.Schema(ctx)
	if b.forgetful {
		stored = 1
	}
	return stored, known, err
}

// TestUpkeepBroken: each case finds a store that is wrong on purpose.
func TestUpkeepBroken(t *testing.T) {
	wrong := map[string]func(*Store) wrongStore{
		"UpkeepNonces":            func(s *Store) wrongStore { return wrongStore{Store: s, unbounded: true} },
		"UpkeepOrders":            func(s *Store) wrongStore { return wrongStore{Store: s, eager: true} },
		"UpkeepRenewals":          func(s *Store) wrongStore { return wrongStore{Store: s, unbounded: true} },
		"UpkeepRates":             func(s *Store) wrongStore { return wrongStore{Store: s, unbounded: true} },
		"UpkeepFence":             func(s *Store) wrongStore { return wrongStore{Store: s, unfenced: true} },
		"UpkeepIdempotency":       func(s *Store) wrongStore { return wrongStore{Store: s, forgetful: true} },
		"UpkeepCredentials":       func(s *Store) wrongStore { return wrongStore{Store: s, eager: true} },
		"UpkeepPreauthorizations": func(s *Store) wrongStore { return wrongStore{Store: s, unbounded: true} },
		"UpkeepMonths":            func(s *Store) wrongStore { return wrongStore{Store: s, forgetful: true} },
		"UpkeepReplicas":          func(s *Store) wrongStore { return wrongStore{Store: s, forgetful: true} },
		"UpkeepSchema":            func(s *Store) wrongStore { return wrongStore{Store: s, forgetful: true} },
	}
	for _, c := range conformance.UpkeepCases() {
		t.Run(c.Name, func(t *testing.T) {
			found := conformance.Failures(t.Context(), c, func() *conformance.Driver {
				d := underTest(t)
				d.Store = wrong[c.Name](d.Store.(*Store))
				return d
			})
			if len(found) == 0 {
				t.Error("the case passes a store that is wrong on purpose")
			}
		})
	}
}

func TestRetention(t *testing.T) { conformance.Retention(t, underTest) }

// wrongMonths is a store that drops months wrongly in one way.
type wrongMonths struct {
	wrongStore
	raw func(statement string)
}

func (b wrongMonths) MonthWaits(ctx context.Context, m ca.Month) ([]ca.MissingCRL, error) {
	if b.eager {
		return nil, nil
	}
	return b.Store.MonthWaits(ctx, m)
}

func (b wrongMonths) DropMonth(ctx context.Context, l *ca.Lease, m ca.Month, n int64, audit ...ca.Audit) error {
	if b.forgetful {
		return nil
	}
	if b.unfenced {
		l = nil
	}
	return b.Store.DropMonth(ctx, l, m, n, audit...)
}

func (b wrongMonths) ClearMonth(ctx context.Context, l *ca.Lease, m ca.Month, limit int) (bool, error) {
	left, err := b.Store.ClearMonth(ctx, l, m, limit)
	if b.unbounded && err == nil { // takes what it should not
		b.raw("DROP TRIGGER revocations_kept")
		b.raw("DELETE FROM revocations")
		b.raw("DROP TRIGGER certificates_kept")
	}
	return left, err
}

// TestRetentionBroken: each case finds a store that is wrong on purpose.
func TestRetentionBroken(t *testing.T) {
	wrong := map[string]wrongStore{
		"RetentionWaits":        {eager: true},
		"RetentionAbandoned":    {forgetful: true},
		"RetentionClears":       {unbounded: true},
		"RetentionFence":        {unfenced: true},
		"RetentionGuards":       {unbounded: true},
		"RetentionWhileIssuing": {forgetful: true},
	}
	for _, c := range conformance.RetentionCases() {
		t.Run(c.Name, func(t *testing.T) {
			found := conformance.Failures(t.Context(), c, func() *conformance.Driver {
				d := underTest(t)
				b := wrongMonths{wrongStore: wrong[c.Name]}
				b.Store = d.Store.(*Store)
				b.raw = func(statement string) {
					if _, err := raw(t, b.Store.opts.Path).Exec(statement); err != nil {
						t.Log(err) // dropped already
					}
				}
				d.Store = b
				return d
			})
			if len(found) == 0 {
				t.Error("the case passes a store that is wrong on purpose")
			}
		})
	}
}
