package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
)

var _ audit.Store = (*Store)(nil)

// Append commits audit rows and returns when they are durable.
func (s *Store) Append(ctx context.Context, rows ...ca.Audit) error { return s.writeNotes(ctx, rows) }

// Uncovered lists the chains with rows after their last checkpoint.
func (s *Store) Uncovered(ctx context.Context) ([]audit.Head, error) {
	rows, err := s.read[selectUncovered].QueryContext(ctx)
	return collect(rows, err, func(rows *sql.Rows) (h audit.Head, err error) {
		var hash []byte
		var since int64
		err = rows.Scan(&h.Chain, &h.Seq, &hash, &h.Rows, &h.Fresh, &since)
		copy(h.Hash[:], hash)
		h.Since = fromMicros(since)
		return h, err
	})
}

// LastCheckpoint gives the newest checkpoint, or nil.
func (s *Store) LastCheckpoint(ctx context.Context) (*audit.Checkpoint, error) {
	rows, err := s.read[selectLastCheckpoint].QueryContext(ctx)
	all, err := collect(rows, err, scanCheckpoint)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func scanCheckpoint(rows *sql.Rows) (c audit.Checkpoint, err error) {
	var hash, prev []byte
	var at int64
	err = rows.Scan(&c.Number, &c.Chain, &c.Seq, &hash, &c.Rows, &at, &prev, &c.Key, &c.Signature)
	copy(c.Hash[:], hash)
	copy(c.Prev[:], prev)
	c.At = fromMicros(at)
	return c, err
}

// AddCheckpoint stores a checkpoint.
func (s *Store) AddCheckpoint(ctx context.Context, c *audit.Checkpoint) error {
	return s.change(ctx, func(b *batch) error {
		return b.must("the checkpoint's number is taken", insertCheckpoint, c.Number, c.Chain, c.Seq, c.Hash[:], c.Rows, micros(c.At),
			c.Prev[:], c.Key, octets(c.Signature))
	})
}

// AuditKeys lists the audit service keys by version.
func (s *Store) AuditKeys(ctx context.Context) ([]audit.SealedKey, error) {
	rows, err := s.read[selectAuditKeys].QueryContext(ctx)
	return collect(rows, err, func(rows *sql.Rows) (k audit.SealedKey, err error) {
		return k, rows.Scan(&k.Version, &k.Public, &k.Sealed)
	})
}

// AddAuditKey stores an audit service key with its audit row.
func (s *Store) AddAuditKey(ctx context.Context, k audit.SealedKey, a ca.Audit) error {
	return s.change(ctx, func(b *batch) error {
		return b.must("the audit key's version is taken", insertAuditKey, k.Version, octets(k.Public), octets(k.Sealed), micros(b.now))
	}, a)
}

// ReadTrail reads in one transaction, which sees the file as it was when it began.
func (s *Store) ReadTrail(ctx context.Context, read func(audit.Trail) error) (err error) {
	tx, err := s.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return answer(err)
	}
	defer func() {
		if end := tx.Rollback(); end != nil && !errors.Is(end, sql.ErrTxDone) {
			err = errors.Join(err, end)
		}
	}()
	return read(&trailReader{ctx, tx})
}

// trailReader is one transaction's view.
type trailReader struct {
	ctx context.Context
	tx  *sql.Tx
}

func (t *trailReader) Chains() ([]string, error) {
	rows, err := t.tx.QueryContext(t.ctx, statements[selectChains])
	return collect(rows, err, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
}

func (t *trailReader) Batches(chain string, after int64, limit int) ([]audit.Stored, error) {
	var first []int64
	rows, err := t.tx.QueryContext(t.ctx, statements[selectBatches], chain, after, limit)
	all, err := collect(rows, err, func(rows *sql.Rows) (b audit.Stored, err error) {
		var id, prev, hash []byte
		var begin, at int64
		err = rows.Scan(&b.Seq, &id, &prev, &hash, &b.Declared, &begin, &at)
		copy(b.ID[:], id)
		copy(b.Prev[:], prev)
		copy(b.Hash[:], hash)
		b.Chain, b.At = chain, fromMicros(at)
		first = append(first, begin)
		return b, err
	})
	for i := range all {
		if all[i].Rows, err = t.rows(all[i].ID, first[i], all[i].Declared); err != nil {
			return nil, err
		}
	}
	return all, err
}

func (t *trailReader) rows(id [16]byte, first, count int64) ([]ca.Audit, error) {
	rows, err := t.tx.QueryContext(t.ctx, statements[selectBatchRows], first, first+count, id[:])
	return collect(rows, err, func(rows *sql.Rows) (a ca.Audit, err error) {
		var at int64
		err = rows.Scan(&a.Tenant, &a.Event, &a.Actor, &a.Trace, &a.Detail, &at)
		a.At = fromMicros(at)
		return a, err
	})
}

func (t *trailReader) Checkpoints(after int64, limit int) ([]audit.Checkpoint, error) {
	rows, err := t.tx.QueryContext(t.ctx, statements[selectCheckpoints], after, limit)
	return collect(rows, err, scanCheckpoint)
}

func (t *trailReader) CountRows() (n int64, err error) {
	if err := t.tx.QueryRowContext(t.ctx, statements[countAudit]).Scan(&n); err != nil {
		return 0, answer(err)
	}
	return n, nil
}
