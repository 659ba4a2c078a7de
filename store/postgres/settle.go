package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/store/trail"
)

// link is a batch as it is, or would be, in its chain.
type link struct {
	trail.Batch
	chain int32
}

// settle finds out about the commit in doubt and says whether it took place.
// It inserts the batch's id once more: where the id is taken, the batch was
// committed (or this very question was asked before); where it is not, the row
// that is now there, a void link of the chain, makes the batch fail for ever.
func (w *writer) settle(ctx context.Context) (committed bool, err error) {
	d := w.doubt
	void := d.Batch
	void.Rows = nil
	void.Hash = void.Sum()
	tag, err := w.conn.Exec(ctx, sql.Settle, d.chain, d.Seq, d.ID[:], d.Prev[:], void.Hash[:], d.At)
	switch {
	case err != nil && failureOf(err) == failAgain: // the link's place is taken by another process of this name
		w.doubt, w.known = nil, false
		return false, nil
	case err != nil:
		return false, fmt.Errorf("settle batch %x: %w", d.ID, err)
	case tag.RowsAffected() == 0:
		var isVoid bool
		if err := w.conn.QueryRow(ctx, sql.Settled, d.ID[:]).Scan(&isVoid); err != nil {
			return false, fmt.Errorf("settle batch %x: %w", d.ID, err)
		}
		committed = !isVoid
	}
	w.doubt, w.seq, w.known = nil, d.Seq, true
	w.head = void.Hash
	if committed {
		w.head = d.Hash
	}
	w.store.log.Warn("postgres.settled", "batch", fmt.Sprintf("%x", d.ID), "committed", committed)
	return committed, nil
}

// settleNow settles on new connections until the answer is known or ctx ends.
func (w *writer) settleNow(ctx context.Context) (committed bool, err error) {
	w.store.stats.Doubtful.Add(1)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		w.drop()
		if w.conn, err = w.store.connect(ctx); err == nil {
			if committed, err = w.settle(ctx); err == nil {
				return committed, nil
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false, errors.Join(errors.New("the outcome of a commit is not known yet"), err)
		}
	}
}
