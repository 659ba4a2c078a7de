package postgres

import (
	"errors"
	"io"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/store/backup"
)

// archivedTrail reads the audit trail of an archive, page by page, as
// audit.Verify asks for it: chains in their order, each from its start.
type archivedTrail struct {
	names       []string         // of chains, by number
	numbers     map[string]int64 // by name
	checkpoints *cursor[audit.Checkpoint]
	batches     *cursor[archivedBatch]
	rows        *cursor[archivedRow]
	total       int64  // audit rows
	key         []byte // newest audit service key; nil: none
}

type archivedBatch struct {
	number int64 // of the chain
	audit.Stored
}

type archivedRow struct {
	number, seq int64
	ca.Audit
}

// cursor reads rows forward, one ahead.
type cursor[R any] struct {
	rows *rowReader
	scan func(fields [][]byte) (R, error)
	head *R
}

// peek gives the next row, nil at the end.
func (c *cursor[R]) peek() (*R, error) {
	if c.head != nil {
		return c.head, nil
	}
	fields, err := c.rows.next()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := c.scan(fields)
	if err != nil {
		return nil, err
	}
	c.head = &r
	return c.head, nil
}

// openCursor begins a cursor; scan gets the columns that are named, in this order.
func openCursor[R any](a *backup.Archive, table string, scan func(r *rowReader, fields [][]byte) (R, error), columns ...string) (*cursor[R], error) {
	rows, err := openRows(a, table)
	if err != nil {
		return nil, err
	}
	at := make([]int, len(columns))
	for i, name := range columns {
		if at[i], err = rows.column(name); err != nil {
			return nil, err
		}
	}
	picked := make([][]byte, len(columns))
	return &cursor[R]{rows: rows, scan: func(fields [][]byte) (R, error) {
		for i, n := range at {
			if n >= len(fields) {
				var none R
				return none, rows.damaged("a row has %d columns", len(fields))
			}
			picked[i] = fields[n]
		}
		return scan(rows, picked)
	}}, nil
}

func newArchivedTrail(a *backup.Archive) (t *archivedTrail, err error) {
	t = &archivedTrail{numbers: map[string]int64{}, total: a.Manifest.Table("audit").Rows}
	if err := t.readChains(a); err != nil {
		return nil, err
	}
	if t.batches, err = openCursor(a, "batches", scanBatch, "chain", "seq", "id", "prev", "hash", "rows", "at"); err != nil {
		return nil, err
	}
	if t.rows, err = openCursor(a, "audit", scanRow, "chain", "seq", "tenant", "event", "actor", "trace", "detail", "at"); err != nil {
		return nil, err
	}
	if a.Manifest.Table("audit_checkpoints") == nil { // older than schema version 40
		return t, nil
	}
	if err := t.readKey(a); err != nil {
		return nil, err
	}
	t.checkpoints, err = openCursor(a, "audit_checkpoints", scanCheckpoint, "number", "chain", "seq", "hash", "rows", "at", "prev", "key", "signature")
	return t, err
}

// readChains reads the names: one for each writer of each start of a replica.
func (t *archivedTrail) readChains(a *backup.Archive) error {
	type chain struct {
		number int64
		name   string
	}
	c, err := openCursor(a, "chains", func(r *rowReader, f [][]byte) (n chain, err error) {
		n.number, err = r.number(f[0])
		n.name = string(f[1])
		return n, err
	}, "number", "name")
	for err == nil {
		var n *chain
		if n, err = c.peek(); err != nil || n == nil {
			break
		}
		t.names, t.numbers[n.name], c.head = append(t.names, n.name), n.number, nil
	}
	slices.SortFunc(t.names, func(a, b string) int { return int(t.numbers[a] - t.numbers[b]) })
	return err
}

func (t *archivedTrail) readKey(a *backup.Archive) error {
	type key struct {
		version int64
		public  []byte
	}
	var newest int64
	c, err := openCursor(a, "audit_keys", func(r *rowReader, f [][]byte) (k key, err error) {
		k.version, err = r.number(f[0])
		k.public = f[1]
		return k, err
	}, "version", "public")
	for err == nil {
		var k *key
		if k, err = c.peek(); err != nil || k == nil {
			break
		}
		if k.version > newest {
			newest, t.key = k.version, k.public
		}
		c.head = nil
	}
	return err
}

// Chains implements audit.Trail.
func (t *archivedTrail) Chains() ([]string, error) { return t.names, nil }

// CountRows implements audit.Trail.
func (t *archivedTrail) CountRows() (int64, error) { return t.total, nil }

// Checkpoints implements audit.Trail.
func (t *archivedTrail) Checkpoints(after int64, limit int) (page []audit.Checkpoint, err error) {
	for t.checkpoints != nil && len(page) < limit {
		c, err := t.checkpoints.peek()
		if err != nil || c == nil {
			return page, err
		}
		if c.Number > after {
			page = append(page, *c)
		}
		t.checkpoints.head = nil
	}
	return page, nil
}

// Batches implements audit.Trail.
func (t *archivedTrail) Batches(chain string, after int64, limit int) (page []audit.Stored, err error) {
	number := t.numbers[chain]
	for len(page) < limit {
		b, err := t.batches.peek()
		if err != nil || b == nil || b.number > number {
			return page, err
		}
		t.batches.head = nil
		if b.number < number || b.Seq <= after {
			return nil, ca.Errorf(ca.BadRequest, "the backup's audit batches are not in their order")
		}
		b.Chain = chain
		if err := t.fill(b); err != nil {
			return nil, err
		}
		page = append(page, b.Stored)
	}
	return page, nil
}

// fill takes the rows of a batch. Rows of no batch are left over, which shows in
// their number.
func (t *archivedTrail) fill(b *archivedBatch) error {
	for {
		r, err := t.rows.peek()
		if err != nil || r == nil || r.number > b.number || r.number == b.number && r.seq > b.Seq {
			return err
		}
		if r.number == b.number && r.seq == b.Seq {
			b.Rows = append(b.Rows, r.Audit)
		}
		t.rows.head = nil
	}
}

func scanBatch(r *rowReader, f [][]byte) (b archivedBatch, err error) {
	var bad [4]error
	b.number, bad[0] = r.number(f[0])
	b.Seq, bad[1] = r.number(f[1])
	copy(b.ID[:], f[2])
	copy(b.Prev[:], f[3])
	copy(b.Hash[:], f[4])
	b.Declared, bad[2] = r.number(f[5])
	b.At, bad[3] = r.instant(f[6])
	return b, errors.Join(bad[:]...)
}

func scanRow(r *rowReader, f [][]byte) (a archivedRow, err error) {
	var bad [3]error
	a.number, bad[0] = r.number(f[0])
	a.seq, bad[1] = r.number(f[1])
	a.Tenant, a.Event, a.Actor, a.Trace, a.Detail = string(f[2]), string(f[3]), string(f[4]), string(f[5]), f[6]
	a.At, bad[2] = r.instant(f[7])
	return a, errors.Join(bad[:]...)
}

func scanCheckpoint(r *rowReader, f [][]byte) (c audit.Checkpoint, err error) {
	var bad [5]error
	var key int64
	c.Number, bad[0] = r.number(f[0])
	c.Chain = string(f[1])
	c.Seq, bad[1] = r.number(f[2])
	copy(c.Hash[:], f[3])
	c.Rows, bad[2] = r.number(f[4])
	c.At, bad[3] = r.instant(f[5])
	copy(c.Prev[:], f[6])
	key, bad[4] = r.number(f[7])
	c.Key, c.Signature = int(key), f[8]
	return c, errors.Join(bad[:]...)
}
