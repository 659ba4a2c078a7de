package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// fenced commits a change only while the lease is held. The lease is looked at
// first and in the same transaction, so a holder that was paused changes nothing.
func (s *Store) fenced(ctx context.Context, l *ca.Lease, change func(*batch) (int64, error)) (changed int64, err error) {
	err = s.change(ctx, func(b *batch) error {
		if err := b.holds(l); err != nil {
			return err
		}
		var err error
		changed, err = change(b)
		return err
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

func bounded(limit int) error {
	if limit <= 0 {
		return ca.InternalError(errors.New("sqlite: upkeep needs a positive limit"))
	}
	return nil
}

// SweepNonces implements state.Upkeep.
func (s *Store) SweepNonces(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(sweepNonces, micros(b.now), limit) })
}

// EndOrders implements state.Upkeep.
func (s *Store) EndOrders(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(endOrders, micros(b.now), limit) })
}

// RemoveOrders implements state.Upkeep.
func (s *Store) RemoveOrders(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) {
		before := micros(b.now.Add(-kept))
		if _, err := b.exec(removeAuthorizations, before, limit); err != nil { // they refer to their orders
			return 0, err
		}
		return b.exec(removeOrders, before, limit)
	})
}

// RemovePreauthorizations implements state.Upkeep.
func (s *Store) RemovePreauthorizations(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(removePreauthorizations, micros(b.now), limit) })
}

// SweepIdempotency implements ca.Upkeep.
func (s *Store) SweepIdempotency(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(sweepIdempotency, micros(b.now), limit) })
}

// SweepUnique implements ca.Upkeep.
func (s *Store) SweepUnique(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(sweepUnique, micros(b.now), limit) })
}

// SweepPending implements ca.Upkeep.
func (s *Store) SweepPending(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) {
		return b.exec(sweepPending, micros(b.now.Add(-kept)), micros(b.now), limit)
	})
}

// SweepSuperseded implements ca.Upkeep.
func (s *Store) SweepSuperseded(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(sweepSuperseded, micros(b.now), limit) })
}

// MakeMonths implements ca.Upkeep.
func (s *Store) MakeMonths(ctx context.Context, l *ca.Lease, first ca.Month, n int) (int64, error) {
	return s.fenced(ctx, l, func(b *batch) (made int64, err error) {
		for i := range n {
			one, err := b.exec(insertMonth, int64(first)+int64(i), micros(b.now))
			if err != nil {
				return 0, err
			}
			made += one
		}
		return made, nil
	})
}

// Beat implements ca.Replicas.
func (s *Store) Beat(ctx context.Context, r *ca.Replica) (now time.Time, err error) {
	err = s.change(ctx, func(b *batch) error {
		now = b.now
		_, err := b.exec(beatReplica, r.ID, micros(r.Started), micros(b.now), r.Config[:], r.Schema, r.Version, r.Offset.Microseconds())
		return err
	})
	return now, err
}

// Replicas implements ca.Replicas.
func (s *Store) Replicas(ctx context.Context, within time.Duration) ([]ca.Replica, error) {
	rows, err := s.read[selectReplicas].QueryContext(ctx, micros(s.now().Add(-within)))
	return collect(rows, err, func(rows *sql.Rows) (r ca.Replica, err error) {
		var started, seen, offset int64
		var config []byte
		if err := rows.Scan(&r.ID, &started, &seen, &config, &r.Schema, &r.Version, &offset); err != nil {
			return r, err
		}
		if len(config) != len(r.Config) {
			return r, fmt.Errorf("sqlite: a configuration digest of %d octets is stored", len(config))
		}
		r.Config, r.Started, r.Seen = [32]byte(config), fromMicros(started), fromMicros(seen)
		r.Offset = time.Duration(offset) * time.Microsecond
		return r, nil
	})
}

// ForgetReplicas implements ca.Replicas.
func (s *Store) ForgetReplicas(ctx context.Context, l *ca.Lease, unseen time.Duration, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(forgetReplicas, micros(b.now.Add(-unseen)), limit) })
}

// Schema implements ca.Upkeep.
func (s *Store) Schema(ctx context.Context) (stored, known int64, err error) {
	if known, err = newestMigration(); err != nil {
		return 0, 0, ca.InternalError(err)
	}
	if stored, err = schemaOf(ctx, s.reads); err != nil {
		return 0, 0, ca.UnavailableError(err, 2*time.Second)
	}
	return stored, known, nil
}

// Counters tells what the store did since it was opened.
func (s *Store) Counters() ca.StoreCounters {
	st := s.queue.Stats()
	since, last := st.Failing()
	return ca.StoreCounters{Commits: st.Batches.Load(), Members: st.Members.Load(), Waiting: int64(s.queue.Waiting()),
		Failed: st.Failed.Load(), NotesOut: s.notes.Dropped(), FailingSince: since, LastFailed: last}
}

var (
	_ ca.Upkeep    = (*Store)(nil)
	_ ca.Replicas  = (*Store)(nil)
	_ state.Upkeep = (*Store)(nil)
)

// Durability tells how a connection that writes is set up: with a write-ahead
// log and synchronous=FULL a commit returns when it is on disk.
func (s *Store) Durability(ctx context.Context) (all []ca.Durability, err error) {
	db, err := openPool(s.opts.Path, "rw", 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var journal string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&journal); err != nil {
		return nil, answer(err)
	}
	var synchronous int
	if err := db.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&synchronous); err != nil {
		return nil, answer(err)
	}
	names := []string{"off", "normal", "full", "extra"}
	return []ca.Durability{{Setting: "journal_mode", Value: journal, Safe: journal == "wal"},
		{Setting: "synchronous", Value: names[min(max(synchronous, 0), 3)], Safe: synchronous >= 2}}, nil
}
