package keys

import (
	"container/list"

	"github.com/enrollgate/enrollgate/ca"
)

// waiter is one operation in a queue.
type waiter struct {
	tenant string
	lane   ca.Lane
	ready  chan int      // buffered; gets the worker, pushedOut or unserved
	place  *list.Element // in its share's queue; nil once it has left
}

// What is sent to a waiter that gets no worker.
const (
	pushedOut = -1 // it gave its place to another tenant
	unserved  = -2 // no worker is left
)

// share is what one tenant has waiting in one lane.
type share struct {
	tenant string
	weight int
	credit int       // operations left in this turn
	queue  list.List // of *waiter, oldest first
	turn   *list.Element
}

// lane is a bounded queue that serves its tenants by weighted round robin: a
// tenant gets up to weight operations a turn, oldest first. It is guarded by
// its Pool's lock.
type lane struct {
	limit   int
	weight  func(tenant string) int
	waiting int
	shares  map[string]*share
	turns   list.List // of *share, the front one is served next
}

// push queues w. In a full lane the tenant with the most waiting for its
// weight makes room with its newest operation, which is answered as evicted,
// unless w's tenant would then wait with as much: then ok is false. So a flood
// from one tenant fills the queue but cannot keep another out of it.
func (l *lane) push(w *waiter) (evicted *waiter, ok bool) {
	s := l.shares[w.tenant]
	if s == nil {
		weight := max(1, l.weight(w.tenant))
		s = &share{tenant: w.tenant, weight: weight, credit: weight}
	}
	if l.waiting >= l.limit {
		heavy := l.heaviest()
		if heavy.queue.Len()*s.weight <= (s.queue.Len()+1)*heavy.weight {
			return nil, false
		}
		evicted = heavy.queue.Back().Value.(*waiter)
		l.remove(evicted)
	}
	if s.turn == nil {
		s.turn = l.turns.PushBack(s)
		l.shares[w.tenant] = s
	}
	w.place = s.queue.PushBack(w)
	l.waiting++
	return evicted, true
}

// heaviest gives the share with the most waiting for its weight. The lane must
// not be empty.
func (l *lane) heaviest() *share {
	top := l.turns.Front().Value.(*share)
	for e := l.turns.Front().Next(); e != nil; e = e.Next() {
		s := e.Value.(*share)
		if s.queue.Len()*top.weight > top.queue.Len()*s.weight {
			top = s
		}
	}
	return top
}

// pop takes the operation whose turn it is; nil where none waits.
func (l *lane) pop() *waiter {
	front := l.turns.Front()
	if front == nil {
		return nil
	}
	s := front.Value.(*share)
	w := s.queue.Front().Value.(*waiter)
	l.remove(w)
	s.credit--
	if s.credit == 0 && s.turn != nil {
		s.credit = s.weight
		l.turns.MoveToBack(s.turn)
	}
	return w
}

// remove takes w out and tells whether it still waited. A tenant with nothing
// waiting is forgotten, and starts a new turn at the end when it comes back.
func (l *lane) remove(w *waiter) bool {
	if w.place == nil {
		return false
	}
	s := l.shares[w.tenant]
	s.queue.Remove(w.place)
	w.place = nil
	l.waiting--
	if s.queue.Len() == 0 {
		l.turns.Remove(s.turn)
		s.turn = nil
		delete(l.shares, s.tenant)
	}
	return true
}
