package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/trail"
)

// audit appends the rows of the members that passed as one link of this
// replica's chain, and marks the commit by its id.
func (b *batch) audit(passed []*write) error {
	chain := b.s.opts.Replica
	var seq int64
	var hash, last []byte
	found, err := b.scan(selectChain, []any{chain}, &seq, &hash, &last)
	if err != nil {
		return err
	}
	link := trail.Batch{ID: b.id, Chain: chain, Seq: seq, At: b.now}
	if found {
		if len(hash) != len(link.Hash) {
			return fmt.Errorf("sqlite: the chain of replica %s has a hash of %d octets", chain, len(hash))
		}
		link.Hash = [32]byte(hash)
	}
	for _, w := range passed {
		for _, a := range w.audits {
			if a.At.IsZero() {
				a.At = b.now
			}
			a.At = a.At.UTC().Truncate(time.Microsecond)
			link.Rows = append(link.Rows, a)
		}
	}
	if len(link.Rows) > 0 {
		link.Seq, link.Prev = link.Seq+1, link.Hash
		link.Hash = link.Sum()
		var last int64
		for i := range link.Rows {
			r := &link.Rows[i]
			if last, err = b.add(insertAudit, link.ID[:], r.Tenant, r.Event, r.Actor, r.Trace, octets(r.Detail), micros(r.At)); err != nil {
				return err
			}
		}
		first := last - int64(len(link.Rows)) + 1 // one writer: a batch's rows have consecutive ids
		if _, err := b.exec(insertBatch, chain, link.Seq, link.ID[:], link.Prev[:], link.Hash[:], len(link.Rows), first, micros(link.At)); err != nil {
			return err
		}
	}
	_, err = b.exec(putChain, chain, link.Seq, link.Hash[:], b.id[:])
	return err
}

// octets makes a nil slice an empty BLOB instead of NULL.
func octets(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Note appends an audit row that belongs to no issuance; nobody waits for it.
func (s *Store) Note(a ca.Audit) {
	if a.At.IsZero() {
		a.At = s.now()
	}
	s.notes.Add(a)
}

func (s *Store) writeNotes(ctx context.Context, rows []ca.Audit) error {
	return s.queue.Submit(ctx, &write{guard: func(*batch) error { return nil }, audits: rows})
}
