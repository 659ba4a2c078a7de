package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// change commits guard alone or with others.
func (s *Store) change(ctx context.Context, guard func(*batch) error, audits ...ca.Audit) error {
	return s.queue.Submit(ctx, &write{guard: guard, audits: audits})
}

// Acquire takes a free or expired lease, or renews one that holder has.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (*ca.Lease, error) {
	l := &ca.Lease{Name: name, Holder: holder}
	err := s.change(ctx, func(b *batch) error {
		l.Until = b.now.Add(ttl).Truncate(time.Microsecond)
		n, err := b.exec(takeLease, name, holder, micros(l.Until), micros(b.now))
		if err != nil {
			return err
		}
		if n == 0 {
			return ca.Errorf(ca.Conflict, "somebody else holds the lease %s", name)
		}
		if _, err := b.scan(selectLease, []any{name}, &l.Fence); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Release gives a lease up early; the row stays, so that the fence goes on rising.
func (s *Store) Release(ctx context.Context, l *ca.Lease) error {
	return s.change(ctx, func(b *batch) error {
		_, err := b.exec(releaseLease, l.Name, l.Holder, l.Fence)
		return err
	})
}

// Held makes the effect that lets a commit through only while the lease is held.
func (s *Store) Held(l *ca.Lease) ca.Effect {
	held := *l
	return s.effect("", heldLease, func(b *batch, _ *ca.Entry) []any {
		return []any{held.Name, held.Holder, held.Fence, micros(b.now)}
	})
}

// Post makes the effect that adds a message to a commit.
func (s *Store) Post(tenant, topic string, payload []byte) ca.Effect {
	return s.effect(tenant, insertOutbox, func(b *batch, _ *ca.Entry) []any {
		return []any{tenant, topic, octets(payload), micros(b.now)}
	})
}

// Waiting gives at most limit undelivered messages, oldest first.
func (s *Store) Waiting(ctx context.Context, limit int) ([]ca.Message, error) {
	rows, err := s.read[selectOutbox].QueryContext(ctx, limit)
	return collect(rows, err, func(rows *sql.Rows) (m ca.Message, err error) {
		var at int64
		err = rows.Scan(&m.ID, &m.Tenant, &m.Topic, &m.Payload, &at)
		m.At = fromMicros(at)
		return m, err
	})
}

// Delivered forgets a message.
func (s *Store) Delivered(ctx context.Context, tenant string, id int64) error {
	return s.change(ctx, func(b *batch) error {
		_, err := b.exec(deleteOutbox, id, tenant)
		return err
	})
}

// KeepProfile stores a validated profile's canonical text under its SHA-256, once.
func (s *Store) KeepProfile(ctx context.Context, hash [32]byte, text []byte) error {
	if sha256.Sum256(text) != hash {
		return ca.InternalError(fmt.Errorf("sqlite: the profile text does not have the SHA-256 %x", hash))
	}
	return s.change(ctx, func(b *batch) error {
		_, err := b.exec(insertProfile, hash[:], octets(text), micros(b.now))
		return err
	})
}

// Profile finds a kept profile text.
func (s *Store) Profile(ctx context.Context, hash [32]byte) (text []byte, err error) {
	if err := s.read[selectProfile].QueryRowContext(point(ctx), hash[:]).Scan(&text); err != nil {
		return nil, readError(err, "there is no such profile")
	}
	return text, nil
}
