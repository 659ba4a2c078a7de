package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/enrollgate/enrollgate/ca"
)

// guarded is what the first round trip found.
type guarded struct {
	now     time.Time
	verdict []error // nil: the member may commit
	changed []bool  // the member changed something
}

// place is a step of a member.
type place struct {
	slot      slot
	mem, step int
}

// guard begins the transaction and runs every guard of every member in key
// order, in one round trip.
func (w *writer) guard(ctx context.Context, members []*member) (*guarded, error) {
	var strikes, steps, keys []place
	var keyHashes, profiles [][]byte
	won := make([][]bool, len(members))
	for i, m := range members {
		p := m.Payload
		won[i] = make([]bool, len(p.steps))
		for j := range p.steps {
			at := place{p.steps[j].slot, i, j}
			if p.steps[j].nonce != nil {
				strikes = append(strikes, at)
			} else {
				steps = append(steps, at)
			}
		}
		for j, e := range p.entries {
			keyHashes = append(keyHashes, e.KeyHash[:])
			if !w.store.profiles.has(e.ProfileHash) {
				profiles = append(profiles, e.ProfileHash[:])
			}
			if e.Idempotency.Window > 0 {
				keys = append(keys, place{idempotencySlot(e), i, j})
			}
		}
	}
	for _, list := range [][]place{strikes, steps, keys} {
		slices.SortStableFunc(list, func(a, b place) int { return a.slot.compare(b.slot) })
	}

	r := &guarded{verdict: make([]error, len(members)), changed: make([]bool, len(members))}
	offset := w.store.offset()
	b := w.begin()
	struck, upserted := map[slot]bool{}, map[slot]bool{}
	if len(strikes) > 0 {
		queueStrikes(b, members, strikes, struck)
	}
	for _, at := range steps {
		st := &members[at.mem].Payload.steps[at.step]
		queueStep(b, st, &won[at.mem][at.step])
	}
	blocked, kept := map[[32]byte]bool{}, map[[32]byte]bool{}
	b.Queue(sql.Check, offset, keyHashes, profiles).QueryRow(func(row pgx.Row) error {
		var blockedKeys, keptProfiles [][]byte
		if err := row.Scan(&r.now, &blockedKeys, &keptProfiles); err != nil {
			return err
		}
		collect(blocked, blockedKeys)
		collect(kept, keptProfiles)
		return nil
	})
	if len(keys) > 0 {
		queueKeys(b, offset, members, keys, upserted)
	}
	if err := w.conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	r.now = r.now.UTC()
	for i, m := range members {
		r.judge(w.store, i, m.Payload, won[i], struck, upserted, blocked, kept)
	}
	return r, nil
}

// judge decides about one member. A recorded answer comes before a lost effect:
// who repeats a request finds its secret burnt.
func (r *guarded) judge(s *Store, i int, p *work, won []bool, struck, upserted map[slot]bool, blocked, kept map[[32]byte]bool) {
	var refused error
	for _, e := range p.entries {
		switch {
		case s.profiles.has(e.ProfileHash):
		case kept[e.ProfileHash]:
			s.profiles.add(e.ProfileHash)
		default:
			refused = ca.InternalError(fmt.Errorf("the profile text %x was not kept", e.ProfileHash))
		}
		if blocked[e.KeyHash] {
			refused = ca.Errorf(ca.Denied, "the key was revoked as compromised, make a new one")
		}
		if e.Idempotency.Window > 0 {
			if upserted[idempotencySlot(e)] {
				r.changed[i] = true
			} else {
				r.verdict[i] = errTaken
			}
		}
	}
	var lost error
	used := map[slot]bool{}
	for j := range p.steps {
		st := &p.steps[j]
		ok := won[j]
		if st.nonce != nil {
			ok = struck[st.slot] && !used[st.slot]
			used[st.slot] = true
		}
		switch {
		case ok:
			r.changed[i] = true
		case !st.always && lost == nil:
			lost = st.lost
		}
	}
	for _, err := range []error{refused, lost} {
		if r.verdict[i] == nil {
			r.verdict[i] = err
		}
	}
}

func collect(into map[[32]byte]bool, from [][]byte) {
	for _, b := range from {
		if len(b) == 32 {
			into[[32]byte(b)] = true
		}
	}
}

// begin starts a pipeline with the begin of a transaction.
func (w *writer) begin() *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue(sql.Begin)
	if w.store.pooled {
		b.Queue(sql.Pin, w.store.durability, statementTimeout, lockTimeout)
	}
	return b
}

func queueStep(b *pgx.Batch, st *step, won *bool) {
	q := b.Queue(st.sql, st.args...)
	if st.scan == nil {
		q.Exec(func(tag pgconn.CommandTag) error {
			*won = tag.RowsAffected() > 0
			return nil
		})
		return
	}
	q.QueryRow(func(row pgx.Row) error {
		err := st.scan(row)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		*won = err == nil
		return err
	})
}

func queueStrikes(b *pgx.Batch, members []*member, strikes []place, struck map[slot]bool) {
	var tenants []string
	var ids [][]byte
	var expires []time.Time
	for _, at := range strikes {
		n := members[at.mem].Payload.steps[at.step].nonce
		tenants, ids, expires = append(tenants, at.slot.tenant), append(ids, n.ID[:]), append(expires, n.Expires)
	}
	b.Queue(sql.Strike, tenants, ids, expires).Query(slotScanner(classNonce, struck))
}

func queueKeys(b *pgx.Batch, offset time.Duration, members []*member, keys []place, upserted map[slot]bool) {
	var tenants, cas []string
	var ids, digests, serials [][]byte
	var micros []int64
	for _, at := range keys {
		e := members[at.mem].Payload.entries[at.step]
		tenants, ids = append(tenants, e.Certificate.Tenant), append(ids, e.Idempotency.Key[:])
		digests, cas = append(digests, e.Idempotency.Digest[:]), append(cas, e.Certificate.CA)
		serials, micros = append(serials, e.Certificate.Serial[:]), append(micros, e.Idempotency.Window.Microseconds())
	}
	b.Queue(sql.Idempotency, offset, tenants, ids, digests, cas, serials, micros).Query(slotScanner(classIdempotency, upserted))
}

// slotScanner collects the slots of returned rows of tenant and key.
func slotScanner(c class, into map[slot]bool) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			var tenant string
			var key []byte
			if err := rows.Scan(&tenant, &key); err != nil {
				return err
			}
			into[slot{c, tenant, string(key)}] = true
		}
		return rows.Err()
	}
}
