package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/seal"
)

var (
	_ audit.Store = (*Store)(nil)
	_ seal.Store  = (*Store)(nil)
)

// Append implements audit.Store.
func (s *Store) Append(ctx context.Context, rows ...ca.Audit) error { return s.writeNotes(ctx, rows) }

// Uncovered implements audit.Store.
func (s *Store) Uncovered(ctx context.Context) ([]audit.Head, error) {
	rows, err := s.pool.Query(ctx, sql.Uncovered)
	if err != nil {
		return nil, readError(err, "audit chain")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h audit.Head, err error) {
		var hash []byte
		err = row.Scan(&h.Chain, &h.Seq, &hash, &h.Rows, &h.Fresh, &h.Since)
		copy(h.Hash[:], hash)
		return h, err
	})
	return all, readError(err, "audit chain")
}

// LastCheckpoint implements audit.Store.
func (s *Store) LastCheckpoint(ctx context.Context) (*audit.Checkpoint, error) {
	rows, err := s.pool.Query(ctx, sql.CheckpointLast)
	all, err := checkpoints(rows, err)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func checkpoints(rows pgx.Rows, err error) ([]audit.Checkpoint, error) {
	if err != nil {
		return nil, readError(err, "checkpoint")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c audit.Checkpoint, err error) {
		var hash, prev []byte
		err = row.Scan(&c.Number, &c.Chain, &c.Seq, &hash, &c.Rows, &c.At, &prev, &c.Key, &c.Signature)
		copy(c.Hash[:], hash)
		copy(c.Prev[:], prev)
		c.At = c.At.UTC()
		return c, err
	})
	return all, readError(err, "checkpoint")
}

// AddCheckpoint implements audit.Store.
func (s *Store) AddCheckpoint(ctx context.Context, c *audit.Checkpoint) error {
	return s.one(ctx, step{slot: slot{classUses, "", "checkpoint:" + strconv.FormatInt(c.Number, 10)}, sql: sql.CheckpointAdd,
		args: []any{c.Number, c.Chain, c.Seq, c.Hash[:], c.Rows, c.At, c.Prev[:], c.Key, notNil(c.Signature)}},
		ca.Errorf(ca.Conflict, "checkpoint %d exists already", c.Number))
}

// AuditKeys implements audit.Store.
func (s *Store) AuditKeys(ctx context.Context) ([]audit.SealedKey, error) {
	rows, err := s.pool.Query(ctx, sql.AuditKeys)
	if err != nil {
		return nil, readError(err, "audit key")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k audit.SealedKey, err error) {
		return k, row.Scan(&k.Version, &k.Public, &k.Sealed)
	})
	return all, readError(err, "audit key")
}

// AddAuditKey implements audit.Store.
func (s *Store) AddAuditKey(ctx context.Context, k audit.SealedKey, a ca.Audit) error {
	return s.one(ctx, step{slot: slot{classUses, "", fmt.Sprintf("audit-key:%d", k.Version)}, sql: sql.AuditKeyAdd,
		args: []any{s.offset(), k.Version, notNil(k.Public), notNil(k.Sealed)}},
		ca.Errorf(ca.Conflict, "version %d of the audit key exists already", k.Version), a)
}

// ReadTrail implements audit.Store: one snapshot, without a time limit.
func (s *Store) ReadTrail(ctx context.Context, read func(audit.Trail) error) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sql.Unlimited); err != nil {
			return readError(err, "audit trail")
		}
		return read(&trailReader{ctx: ctx, tx: tx, numbers: map[string]int32{}})
	})
	var known *ca.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return readError(err, "audit trail")
}

// trailReader is one snapshot's view.
type trailReader struct {
	ctx     context.Context
	tx      pgx.Tx
	numbers map[string]int32 // of chains
}

func (t *trailReader) Chains() (names []string, err error) {
	rows, err := t.tx.Query(t.ctx, sql.TrailChains)
	if err != nil {
		return nil, readError(err, "audit chain")
	}
	var name string
	var number int32
	_, err = pgx.ForEachRow(rows, []any{&name, &number}, func() error {
		names, t.numbers[name] = append(names, name), number
		return nil
	})
	return names, readError(err, "audit chain")
}

func (t *trailReader) Batches(chain string, after int64, limit int) ([]audit.Stored, error) {
	rows, err := t.tx.Query(t.ctx, sql.TrailBatches, t.numbers[chain], after, limit)
	if err != nil {
		return nil, readError(err, "audit batch")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b audit.Stored, err error) {
		var id, prev, hash []byte
		err = row.Scan(&b.Seq, &id, &prev, &hash, &b.Declared, &b.At)
		copy(b.ID[:], id)
		copy(b.Prev[:], prev)
		copy(b.Hash[:], hash)
		b.Chain = chain
		return b, err
	})
	if err != nil || len(all) == 0 {
		return nil, readError(err, "audit batch")
	}
	at := map[int64]*audit.Stored{}
	for i := range all {
		at[all[i].Seq] = &all[i]
	}
	rows, err = t.tx.Query(t.ctx, sql.TrailRows, t.numbers[chain], all[0].Seq, all[len(all)-1].Seq)
	if err != nil {
		return nil, readError(err, "audit row")
	}
	var seq int64
	var a ca.Audit
	var when time.Time
	_, err = pgx.ForEachRow(rows, []any{&seq, &a.Tenant, &a.Event, &a.Actor, &a.Trace, &a.Detail, &when}, func() error {
		if b := at[seq]; b != nil { // else its batch was removed, which shows by the gap
			row := a
			row.Detail, row.At = append([]byte(nil), a.Detail...), when.UTC()
			b.Rows = append(b.Rows, row)
		}
		return nil
	})
	return all, readError(err, "audit row")
}

func (t *trailReader) Checkpoints(after int64, limit int) ([]audit.Checkpoint, error) {
	rows, err := t.tx.Query(t.ctx, sql.TrailCheckpoints, after, limit)
	return checkpoints(rows, err)
}

func (t *trailReader) CountRows() (n int64, err error) {
	err = t.tx.QueryRow(t.ctx, sql.TrailCount).Scan(&n)
	return n, readError(err, "audit row")
}
