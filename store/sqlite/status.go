package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/enrollgate/enrollgate/ca"
)

// Revoke records a revocation, its feed row and its audit row in one commit.
// The reason certificateHold holds; removeFromCRL releases a hold.
func (s *Store) Revoke(ctx context.Context, r *ca.Revocation) (*ca.Status, error) {
	own, err := s.own(r.Tenant, r.Effects, false)
	if err != nil {
		return nil, err
	}
	status := &ca.Status{Tenant: r.Tenant, CA: r.CA, Serial: r.Serial, State: stateAfter(r.Reason), Reason: r.Reason, Invalid: r.Invalid, Shard: r.Shard}
	guard := func(b *batch) error {
		if err := b.mayChange(r, status); err != nil {
			return err
		}
		if err := b.take(own, 0, nil); err != nil {
			return err
		}
		return b.change(r, status)
	}
	if err := s.queue.Submit(ctx, &write{guard: guard, audits: []ca.Audit{r.Audit}}); err != nil {
		return nil, err
	}
	return status, nil
}

func stateAfter(reason ca.Reason) ca.State {
	switch reason {
	case ca.CertificateHold:
		return ca.Held
	case ca.RemoveFromCRL:
		return ca.Issued
	}
	return ca.Revoked
}

// mayChange: only a hold may change (RFC 5280 section 5.3.1), and the reason once
// the key is proven to be compromised. It sets what a change of the reason keeps.
func (b *batch) mayChange(r *ca.Revocation, next *ca.Status) error {
	var now struct {
		state   ca.State
		reason  ca.Reason
		at      int64
		invalid sql.NullInt64
		blocked bool
	}
	found, err := b.scan(selectState, []any{r.Tenant, r.CA, int64(r.Serial.Month()), r.Serial[:]}, &now.state, &now.reason, &now.at, &now.invalid, &now.blocked)
	next.At, next.Invalid = b.now, r.Invalid
	switch {
	case err != nil:
		return err
	case !found:
		return ca.Errorf(ca.NotFound, "there is no such certificate")
	case now.state == ca.Revoked && r.Proves():
		if now.reason == ca.KeyCompromise && now.blocked {
			return ca.Errorf(ca.Conflict, "the certificate is revoked already, and its key is blocked")
		}
		if next.At = fromMicros(now.at); r.Invalid.IsZero() {
			next.Invalid = fromNullMicros(now.invalid)
		}
	case now.state == ca.Revoked:
		return ca.Errorf(ca.Conflict, "the certificate is revoked already")
	case now.state == next.State:
		return ca.Errorf(ca.Conflict, "the certificate is %s already", now.state)
	}
	return nil
}

// change writes the new state, its row in the feed and, for a compromised key,
// the block. The feed's position is SQLite's next row id; with one writer at a
// time, order of positions is order of visibility.
func (b *batch) change(r *ca.Revocation, status *ca.Status) error {
	month := int64(r.Serial.Month())
	if _, err := b.exec(putRevocation, r.Tenant, r.CA, month, r.Serial[:], string(status.State), int64(r.Reason), micros(status.Invalid), micros(status.At), r.Shard); err != nil {
		return err
	}
	var err error
	if status.Position, err = b.add(insertFeed, r.Tenant, r.CA, r.Serial[:], string(status.State), int64(r.Reason), micros(status.Invalid), micros(status.At)); err != nil {
		return err
	}
	if !r.BlockKey {
		return nil
	}
	var hash []byte
	found, err := b.scan(selectKeyHash, []any{r.Tenant, r.CA, month, r.Serial[:]}, &hash)
	if err != nil {
		return err
	}
	if !found {
		return &failure{selectKeyHash, fmt.Errorf("certificate %s lost its row in one transaction", r.Serial)}
	}
	_, err = b.exec(insertBlocked, hash, r.Tenant, micros(b.now))
	return err
}

// Feed gives at most limit status rows after a position, of every tenant.
func (s *Store) Feed(ctx context.Context, after int64, limit int) ([]ca.Status, error) {
	rows, err := s.read[selectFeed].QueryContext(ctx, after, limit)
	return collect(rows, err, func(rows *sql.Rows) (st ca.Status, err error) {
		var serial []byte
		var invalid sql.NullInt64
		var at int64
		if err := rows.Scan(&st.Position, &st.Tenant, &st.CA, &serial, &st.State, &st.Reason, &invalid, &at); err != nil {
			return st, err
		}
		copy(st.Serial[:], serial)
		st.Invalid, st.At = fromNullMicros(invalid), fromMicros(at)
		return st, nil
	})
}

// collect reads every row of a query.
func collect[R any](rows *sql.Rows, err error, one func(*sql.Rows) (R, error)) (all []R, _ error) {
	if err != nil {
		return nil, answer(err)
	}
	defer rows.Close() // its error is rows.Err's
	for rows.Next() {
		r, err := one(rows)
		if err != nil {
			return nil, answer(err)
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, answer(err)
	}
	return all, nil
}
