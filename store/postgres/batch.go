package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/enrollgate/enrollgate/ca"
)

// maxAttempts bounds how often one batch runs again after a deadlock, a lost
// connection or the like. Runs without a member that was refused do not count.
const maxAttempts = 5

// errDoubt wraps what happened while the commit was under way.
var errDoubt = errors.New("the outcome of the commit is unknown")

// run commits one batch of the queue.
func (s *Store) run(ctx context.Context, members []*member) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	w := <-s.idle
	defer func() { s.idle <- w }()
	w.commit(ctx, distinct(members))
}

// commit answers every member, running the batch as often as it takes.
func (w *writer) commit(ctx context.Context, members []*member) {
	for attempt := 1; len(members) > 0; {
		left, err := w.tryFor(ctx, members)
		if err == nil {
			members = left
			continue
		}
		reason := failureOf(err)
		if errors.Is(err, errDoubt) {
			committed, unknown := w.settleNow(ctx)
			switch {
			case unknown != nil:
				answer(members, ca.UnavailableError(errors.Join(err, unknown), 5*time.Second))
				return
			case committed:
				w.store.done(members)
				return
			}
			reason = failAgain
		}
		switch {
		case (reason == failAgain || reason == failLost) && attempt < maxAttempts && ctx.Err() == nil:
			attempt++
			time.Sleep(rand.N(time.Duration(attempt) * 2 * time.Millisecond)) // so that two that collided do not again
		case (reason == failRefused || reason == failTaken) && len(members) > 1:
			// One of them is bad, and who it is shows when each runs alone.
			for _, m := range members {
				w.commit(ctx, []*member{m})
			}
			return
		default:
			answer(members, answerOf(err))
			return
		}
	}
}

func answer(members []*member, err error) {
	for _, m := range members {
		m.Answer(err)
	}
}

// done answers the members of a committed batch.
func (s *Store) done(members []*member) {
	s.stats.Batches.Add(1)
	s.stats.Members.Add(int64(len(members)))
	answer(members, nil)
}

// tryFor runs the batch once and leaves a third of the time to settle it.
func (w *writer) tryFor(ctx context.Context, members []*member) ([]*member, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*2/3)
		defer cancel()
	}
	return w.try(ctx, members)
}

// try runs the batch once. Without an error everybody was answered but the
// members it gives back, which are to run again. An error that wraps errDoubt
// comes from the commit itself; with any other nothing was committed.
func (w *writer) try(ctx context.Context, members []*member) (left []*member, err error) {
	if err := w.ready(ctx); err != nil {
		w.drop()
		return nil, err
	}
	if err := w.ensureMonths(ctx, members); err != nil {
		w.afterFailure(ctx, err)
		return nil, err
	}
	r, err := w.guard(ctx, members)
	if err != nil {
		w.afterFailure(ctx, err)
		return nil, err
	}
	var good, bad []*member
	dirty := false
	for i, m := range members {
		if r.verdict[i] == nil {
			good = append(good, m)
			continue
		}
		bad = append(bad, m)
		dirty = dirty || r.changed[i]
	}
	if dirty || len(good) == 0 {
		w.rollback(ctx)
	}
	for i, m := range members {
		if r.verdict[i] != nil {
			m.Answer(r.verdict[i])
		}
	}
	if dirty || len(good) == 0 {
		w.store.stats.Reruns.Add(1)
		return good, nil
	}
	if err := w.write(ctx, r.now, good); err != nil {
		w.afterFailure(ctx, err)
		return nil, err
	}
	w.store.done(good)
	return nil, nil
}

// afterFailure leaves the writer usable.
func (w *writer) afterFailure(ctx context.Context, err error) {
	switch {
	case w.doubt != nil, failureOf(err) == failLost:
		w.drop()
	default:
		w.rollback(ctx)
		w.known = false // read again: what was believed may be what failed
		clear(w.months)
	}
}

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
