package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// fenced runs one statement in a transaction that holds the lease's row: as
// long as it runs nobody else can take the lease, and a holder that was paused
// finds its fence gone and changes nothing. Upkeep records nothing, so it needs
// no batch; whoever does not know whether it committed does it again.
func (s *Store) fenced(ctx context.Context, l *ca.Lease, statement string, args ...any) (changed int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if s.pooled {
			if _, err := tx.Exec(ctx, sql.Pin, s.durability, statementTimeout, lockTimeout); err != nil {
				return err
			}
		}
		held, err := tx.Exec(ctx, sql.LeaseHeld, s.offset(), l.Name, l.Holder, l.Fence)
		if err != nil {
			return err
		}
		if held.RowsAffected() == 0 {
			return ca.LeaseLost(l)
		}
		tag, err := tx.Exec(ctx, statement, args...)
		changed = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, answerOf(err)
	}
	return changed, nil
}

func bounded(limit int) error {
	if limit <= 0 {
		return ca.InternalError(errors.New("postgres: upkeep needs a positive limit"))
	}
	return nil
}

// SweepNonces implements state.Upkeep.
func (s *Store) SweepNonces(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.SweepNonces, s.offset(), limit)
}

// EndOrders implements state.Upkeep.
func (s *Store) EndOrders(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.EndOrders, s.offset(), limit)
}

// RemoveOrders implements state.Upkeep.
func (s *Store) RemoveOrders(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.RemoveOrders, s.offset(), kept, limit)
}

// RemovePreauthorizations implements state.Upkeep.
func (s *Store) RemovePreauthorizations(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.RemovePreauthorizations, s.offset(), limit)
}

// SweepIdempotency implements ca.Upkeep.
func (s *Store) SweepIdempotency(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.SweepIdempotency, s.offset(), limit)
}

// SweepUnique implements ca.Upkeep.
func (s *Store) SweepUnique(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, approving.SweepUnique, s.offset(), limit)
}

// SweepPending implements ca.Upkeep.
func (s *Store) SweepPending(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, approving.SweepPending, s.offset(), kept, limit)
}

// SweepSuperseded implements ca.Upkeep.
func (s *Store) SweepSuperseded(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, approving.SweepSuperseded, s.offset(), limit)
}

// MakeMonths implements ca.Upkeep. Each month is a commit of its own, so that
// what attaching a partition locks is free again soon.
func (s *Store) MakeMonths(ctx context.Context, l *ca.Lease, first ca.Month, n int) (made int64, err error) {
	for i := range n {
		one, err := s.fenced(ctx, l, sql.MonthMake, int32(first)+int32(i))
		if err != nil {
			return made, err
		}
		made += one
	}
	return made, nil
}

// Beat implements ca.Replicas.
func (s *Store) Beat(ctx context.Context, r *ca.Replica) (now time.Time, err error) {
	err = s.pool.QueryRow(ctx, sql.ReplicaBeat, s.offset(), r.ID, r.Started, r.Config[:], r.Schema, r.Version, r.Offset).Scan(&now)
	if err != nil {
		return time.Time{}, answerOf(err)
	}
	return now.UTC(), nil
}

// Replicas implements ca.Replicas.
func (s *Store) Replicas(ctx context.Context, within time.Duration) ([]ca.Replica, error) {
	rows, err := s.pool.Query(ctx, sql.Replicas, s.offset(), within)
	if err != nil {
		return nil, readError(err, "replica")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ca.Replica, err error) {
		var config []byte
		if err := row.Scan(&r.ID, &r.Started, &r.Seen, &config, &r.Schema, &r.Version, &r.Offset); err != nil {
			return r, err
		}
		if len(config) != len(r.Config) {
			return r, fmt.Errorf("a configuration digest of %d octets is stored", len(config))
		}
		r.Config, r.Started, r.Seen = [32]byte(config), r.Started.UTC(), r.Seen.UTC()
		return r, nil
	})
	return all, readError(err, "replica")
}

// ForgetReplicas implements ca.Replicas.
func (s *Store) ForgetReplicas(ctx context.Context, l *ca.Lease, unseen time.Duration, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.ReplicasForget, s.offset(), unseen, limit)
}

// Schema implements ca.Upkeep.
func (s *Store) Schema(ctx context.Context) (stored, known int64, err error) {
	if known, err = newest(); err != nil {
		return 0, 0, ca.InternalError(err)
	}
	var found, least *int64
	if err := s.pool.QueryRow(ctx, sql.Version).Scan(&found, &least); err != nil {
		return 0, 0, readError(err, "schema version")
	}
	if found != nil {
		stored = *found
	}
	return stored, known, nil
}

// Counters tells what the store did since it was opened.
func (s *Store) Counters() ca.StoreCounters {
	since, last := s.queue.Stats().Failing()
	return ca.StoreCounters{Commits: s.stats.Batches.Load(), Members: s.stats.Members.Load(), Waiting: int64(s.queue.Waiting()),
		Failed: s.queue.Stats().Failed.Load(), NotesOut: s.notes.Dropped(), FailingSince: since, LastFailed: last}
}

var (
	_ ca.Upkeep    = (*Store)(nil)
	_ ca.Replicas  = (*Store)(nil)
	_ state.Upkeep = (*Store)(nil)
)
