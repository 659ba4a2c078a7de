package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/commit"
)

// write is one caller's part of a batch.
//
// guard runs first, for every member of the batch: it makes the changes that
// can be refused (effects, guards) and returns an error where one is. rows then
// adds what cannot be refused, and the audit rows follow. Both may run several
// times, until a batch commits. replay is set by guard where nothing is left to
// write because the answer is recorded already.
type write struct {
	guard  func(*batch) error
	rows   func(*batch) error
	audits []ca.Audit
	replay bool
}

type member = commit.Member[*write]

// batch is one transaction. Members run one after the other and see each
// other's changes: there is one writer, so no order of rows can deadlock.
type batch struct {
	s       *Store
	w       *writer
	id      [16]byte
	now     time.Time
	changed int64 // rows changed so far
	months  []ca.Month
}

// exec runs a statement and tells how many rows it changed.
func (b *batch) exec(q query, args ...any) (int64, error) {
	r, err := b.w.exec(q, args...)
	if err != nil {
		return 0, &failure{q, err}
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, &failure{q, err}
	}
	b.changed += n
	return n, nil
}

// add inserts one row and gives its id.
func (b *batch) add(q query, args ...any) (id int64, err error) {
	r, err := b.w.exec(q, args...)
	if err != nil {
		return 0, &failure{q, err}
	}
	if id, err = r.LastInsertId(); err != nil {
		return 0, &failure{q, err}
	}
	b.changed++
	return id, nil
}

// scan reads one row.
func (b *batch) scan(q query, args []any, into ...any) (bool, error) {
	found, err := b.w.scan(q, args, into...)
	if err != nil {
		return false, &failure{q, err}
	}
	return found, nil
}

// must runs a guard-and-set statement: Conflict where it changes nothing.
func (b *batch) must(lost string, q query, args ...any) error {
	n, err := b.exec(q, args...)
	if err == nil && n == 0 {
		return ca.Errorf(ca.Conflict, "%s", lost)
	}
	return err
}

// refusal is the answer to a member that was dropped from its batch.
type refusal struct {
	m   *member
	err error
}

// outcome of one attempt to commit members together.
type outcome struct {
	done    bool
	refused []refusal // with done: dropped, the others are committed
	undone  *refusal  // refused after it changed something: the batch was rolled back, the others try again
	err     error     // a failure; nothing was committed
}

// run commits one batch of the queue and answers every member.
func (s *Store) run(_ context.Context, members []*member) {
	for len(members) > 0 {
		o := s.attempt(members)
		switch {
		case o.done:
			refused := map[*member]bool{}
			for _, r := range o.refused {
				refused[r.m] = true
				r.m.Answer(r.err)
			}
			for _, m := range members {
				if !refused[m] {
					m.Answer(nil)
				}
			}
			return
		case o.undone != nil:
			o.undone.m.Answer(o.undone.err)
			members = without(members, o.undone.m)
		case len(members) == 1 || exhausted(o.err):
			for _, m := range members {
				m.Answer(answer(o.err))
			}
			return
		default: // one of them is at fault: each for itself, so that it harms nobody else
			for _, m := range members {
				s.run(context.Background(), []*member{m})
			}
			return
		}
	}
}

func without(members []*member, gone *member) []*member {
	rest := make([]*member, 0, len(members)-1)
	for _, m := range members {
		if m != gone {
			rest = append(rest, m)
		}
	}
	return rest
}

// attempt runs members in one transaction. Effects run before rows, so that
// what a refused member changed is cheap to undo.
func (s *Store) attempt(members []*member) (o outcome) {
	if err := s.begin(); err != nil {
		return outcome{err: err}
	}
	b := &batch{s: s, w: s.writer}
	rand.Read(b.id[:]) // never fails (crypto/rand)
	open := true
	defer func() {
		if open { // also after a panic
			s.rollback()
		}
	}()
	b.now = s.now()
	passed := make([]*write, 0, len(members))
	for _, m := range members {
		before, w := b.changed, m.Payload
		w.replay = false
		err := w.guard(b)
		var f *failure
		switch {
		case err == nil:
			if !w.replay {
				passed = append(passed, w)
			}
		case errors.As(err, &f):
			return outcome{err: err}
		case b.changed == before:
			o.refused = append(o.refused, refusal{m, err})
		default:
			return outcome{undone: &refusal{m, err}}
		}
	}
	if len(passed) == 0 {
		o.done = true
		return o
	}
	for _, w := range passed {
		if w.rows == nil {
			continue
		}
		if err := w.rows(b); err != nil {
			return outcome{err: err}
		}
	}
	if err := b.audit(passed); err != nil {
		return outcome{err: err}
	}
	open = false
	if err := s.end(b.w); err != nil {
		if code(err) == lib.SQLITE_FULL { // not even the log took it: surely not committed
			s.rollback()
			return outcome{err: err}
		}
		if committed, err := s.settle(b.id, err); !committed {
			return outcome{err: ca.UnavailableError(err, 2*time.Second)}
		}
	}
	for _, m := range b.months {
		s.months.Store(m, nil)
	}
	o.done = true
	return o
}

// settle finds out whether a commit that failed took place after all. A later
// write that succeeds on the same file makes the answer final: what the failed
// one may have left in the log is overwritten or was there before.
func (s *Store) settle(id [16]byte, cause error) (committed bool, err error) {
	s.rollback()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		committed, err = s.lookup(id)
		if err == nil {
			s.opts.Log.Warn("sqlite.settled", "committed", committed, "error", cause)
			return committed, cause
		}
		s.opts.Log.Error("sqlite.settle", "error", err, "cause", cause)
		select {
		case <-s.closing:
			// The process ends: the caller is told to try again, and its
			// idempotency key finds what was recorded.
			return false, errors.Join(cause, err)
		case <-time.After(wait):
		}
	}
}

// lookup writes a mark and tells whether a batch is the replica's last commit.
func (s *Store) lookup(id [16]byte) (committed bool, err error) {
	if err := s.begin(); err != nil {
		return false, err
	}
	w := s.writer
	var seq int64
	var hash, last []byte
	found, err := w.scan(selectChain, []any{s.opts.Replica}, &seq, &hash, &last)
	if err == nil {
		committed = found && string(last) == string(id[:])
		if found {
			_, err = w.exec(settleChain, last, s.opts.Replica)
		} else {
			_, err = w.exec(putChain, s.opts.Replica, 0, make([]byte, 32), make([]byte, 16))
		}
	}
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		s.rollback()
		return false, err
	}
	return committed, nil
}
