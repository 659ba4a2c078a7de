package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

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
