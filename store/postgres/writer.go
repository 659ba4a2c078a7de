package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// writer commits batches on a connection of its own and keeps its own chain.
type writer struct {
	store  *Store
	name   string // of the chain: replica and writer
	conn   *pgx.Conn
	chain  int32
	seq    int64 // of the chain's last link, valid while known
	head   [32]byte
	known  bool
	doubt  *link          // a commit of unknown outcome that must be settled first
	months map[int32]bool // partitions known to be there
}

// ready gives a connection whose chain head is known. A commit in doubt is
// settled first: until then this writer writes nothing else.
func (w *writer) ready(ctx context.Context) (err error) {
	if w.conn != nil && w.conn.IsClosed() {
		w.conn = nil
	}
	if w.conn == nil {
		if w.conn, err = w.store.connect(ctx); err != nil {
			return err
		}
	}
	if w.doubt != nil {
		if _, err := w.settle(ctx); err != nil {
			return err
		}
	}
	if !w.known {
		return w.loadHead(ctx)
	}
	return nil
}

// loadHead finds the writer's chain and its last link.
func (w *writer) loadHead(ctx context.Context) error {
	find := func() error { return w.conn.QueryRow(ctx, sql.ChainFind, w.name).Scan(&w.chain) }
	err := find()
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := w.conn.Exec(ctx, sql.ChainAdd, w.name); err != nil {
			return err
		}
		err = find()
	}
	if err != nil {
		return fmt.Errorf("find the audit chain: %w", err)
	}
	var hash []byte
	err = w.conn.QueryRow(ctx, sql.ChainHead, w.chain).Scan(&w.seq, &hash)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		w.seq, w.head = 0, [32]byte{}
	case err != nil:
		return fmt.Errorf("read the audit chain's head: %w", err)
	case len(hash) != len(w.head):
		return fmt.Errorf("the audit chain's head has a hash of %d octets", len(hash))
	default:
		w.head = [32]byte(hash)
	}
	w.known = true
	return nil
}

// drop ends a connection that cannot be trusted, without waiting for the server.
func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no farewell: the server notices
	if err := w.conn.Close(ctx); err != nil {
		w.store.log.Debug("postgres.close", "error", err)
	}
	w.conn = nil
}

// rollback ends the open transaction, or the connection where that fails.
func (w *writer) rollback(ctx context.Context) {
	if _, err := w.conn.Exec(ctx, sql.Rollback); err != nil {
		w.drop()
	}
}

// ensureMonths makes the partitions that the members need, outside of the
// batch's transaction.
func (w *writer) ensureMonths(ctx context.Context, members []*member) error {
	for _, m := range members {
		for _, e := range m.Payload.entries {
			month := int32(e.Certificate.Serial.Month())
			if w.months[month] {
				continue
			}
			if _, err := w.conn.Exec(ctx, sql.EnsureMonth, month); err != nil {
				return fmt.Errorf("make the partitions of month %d: %w", month, err)
			}
			w.months[month] = true
		}
	}
	return nil
}

// newBatchID makes a batch id that sorts by time and is unique by 80 random bits.
func newBatchID(now time.Time) (id [16]byte) {
	rand.Read(id[:]) // never fails (crypto/rand)
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id[:6], ms[2:])
	return id
}
