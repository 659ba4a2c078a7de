package postgres

import (
	"cmp"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/store/commit"
)

// class orders steps on different tables, so that every batch of every replica
// locks its rows in the same order and none waits for another in a circle.
type class uint8

const (
	classNonce class = iota
	classUses
	classLease
	classAccount
	classAuthorization
	classOrder
	classGeneration
	classActivation
	classService
	classRevocation
	classBlockedKey
	classCRL
	classMonth
	classUnique
	classPending
	classSuperseded
	classReply
	classReplacement
	classWindow
	classIdempotency
)

// slot is what a step changes. Two members of one batch never share a slot.
type slot struct {
	class  class
	tenant string
	key    string
}

func (s slot) compare(o slot) int {
	return cmp.Or(cmp.Compare(s.class, o.class), cmp.Compare(s.tenant, o.tenant), cmp.Compare(s.key, o.key))
}

// step is one guard-and-set statement of a member.
type step struct {
	slot   slot
	nonce  *state.Nonce // a nonce to strike: struck together with the others of the batch
	sql    string
	args   []any
	always bool                // has no guard that could be lost
	scan   func(pgx.Row) error // reads the one row it returns
	lost   error               // the member's answer where the guard does not hold
}

// work is one member's writes.
type work struct {
	steps          []step
	entries        []*ca.Entry
	audit          []ca.Audit // beyond the entries'
	posts          []ca.Message
	status         *ca.Status
	orders         []*state.Order
	authorizations []*state.Authorization
	at             time.Time // of the commit
}

type member = commit.Member[*work]

// errTaken says that an idempotency key of the member is taken and live.
var errTaken = errors.New("the idempotency key is taken")

// slots lists what the member changes, keys of idempotency included.
func (w *work) slots() []slot {
	all := make([]slot, 0, len(w.steps)+len(w.entries))
	for i := range w.steps {
		all = append(all, w.steps[i].slot)
	}
	for _, e := range w.entries {
		if e.Idempotency.Window > 0 {
			all = append(all, idempotencySlot(e))
		}
	}
	return all
}

func idempotencySlot(e *ca.Entry) slot {
	return slot{classIdempotency, e.Certificate.Tenant, string(e.Idempotency.Key[:])}
}

// distinct picks members that share no slot; the others wait for a later batch.
func distinct(members []*member) []*member {
	taken := map[slot]bool{}
	chosen := members[:0:0]
next:
	for _, m := range members {
		slots := m.Payload.slots()
		for _, s := range slots {
			if taken[s] {
				continue next
			}
		}
		for _, s := range slots {
			taken[s] = true
		}
		chosen = append(chosen, m)
	}
	return chosen
}

// effect is what a ca.Effect of this driver wraps.
type effect struct {
	store  *Store
	tenant string      // "" where it belongs to the installation
	post   *ca.Message // a message for the outbox, instead of a step
	step   func(e *ca.Entry) (step, error)
}

func (s *Store) fixed(tenant string, st step) ca.Effect {
	return ca.NewEffect(&effect{store: s, tenant: tenant, step: func(*ca.Entry) (step, error) { return st, nil }})
}

// add puts effects into the work; e is nil beside a revocation. What this
// store did not make, or made for another tenant, is an internal error.
func (w *work) add(s *Store, tenant string, entry int, e *ca.Entry, effects []ca.Effect) error {
	for i, wrapped := range effects {
		f, ok := wrapped.Private().(*effect)
		if !ok || f == nil || f.store != s {
			return ca.InternalError(errors.New("an effect was not made by this store"))
		}
		if f.tenant != "" && f.tenant != tenant {
			return ca.InternalError(errors.New("an effect was made for another tenant"))
		}
		if f.post != nil {
			w.posts = append(w.posts, *f.post)
			continue
		}
		st, err := f.step(e)
		if err != nil {
			return ca.InternalError(err)
		}
		st.lost = &ca.LostEffect{Entry: entry, Index: i}
		w.steps = append(w.steps, st)
	}
	return nil
}
