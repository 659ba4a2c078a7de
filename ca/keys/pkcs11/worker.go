//go:build cgo

package pkcs11

import (
	"sync/atomic"
	"time"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// session is what a call gets: an open session and the handles found in it.
type session struct {
	ctx    *p11.Ctx
	handle p11.SessionHandle
	slot   uint
	found  map[*key]p11.ObjectHandle
}

// job is one call on a worker.
type job struct {
	run    func(*session) error
	secret keys.Secret
	flags  uint // of a session of its own; 0: the worker's
}

const (
	running uint32 = iota
	returned
	givenUp
)

// worker is a goroutine that makes one call after the other. When the watchdog
// gives it up, another takes its number and this one ends with its call.
type worker struct {
	token  *token
	number int
	jobs   chan job      // buffered for the one job of whoever holds the number
	done   chan error    // buffered: who gave the job may have left
	limit  *time.Timer   // of whoever holds the number
	state  atomic.Uint32 // of the job: running, returned or given up

	session
	open  bool
	epoch uint64

	withdrawn bool // given up and not replaced; guarded by token.mu
}

// newWorker starts a worker; the token's lock is held.
func (t *token) newWorker(number int) *worker {
	w := &worker{token: t, number: number, jobs: make(chan job, 1), done: make(chan error, 1), limit: time.NewTimer(time.Hour)}
	w.limit.Stop()
	t.serving.Add(1)
	go func() {
		if w.serve() {
			t.serving.Done()
		} else {
			w.cameBack()
		}
	}()
	return w
}

// serve works until there are no more jobs. False: it was given up meanwhile,
// and nobody waits for it.
func (w *worker) serve() (kept bool) {
	defer w.leave()
	for j := range w.jobs {
		err := w.carryOut(j)
		if !w.state.CompareAndSwap(running, returned) {
			return false
		}
		w.done <- err
	}
	return true
}

// leave closes the session of a worker that ends, if the module is still there.
func (w *worker) leave() {
	if epoch, err := w.token.module.enterIfReady(); err == nil {
		if w.open && w.epoch == epoch {
			w.token.disconnect(w.handle)
		}
		w.token.module.leave()
	}
}

// carryOut makes the call, once more after a loss that a new session or a new
// start of the module may mend.
func (w *worker) carryOut(j job) error {
	for attempt := 1; ; attempt++ {
		connected, epoch, err := w.try(j)
		switch fate := fateOf(err); {
		case err == nil:
			w.token.worked()
			return nil
		case fate == refused || fate == noSession || ca.IsKind(err, ca.Unavailable):
			return err
		case connected && attempt < 3:
			// What had a session lost it: take a new one.
			w.token.lapsed(err, false)
			if fate == moduleGone {
				w.token.module.wantRestart(err, epoch, w.token)
			}
		case !connected && attempt < 3 && w.token.module.wantRestart(err, epoch, w.token):
			// There is no new one: initialise the module again.
		default:
			w.token.lapsed(err, true)
			return unavailable(w.token.name, err)
		}
	}
}

// try makes one attempt, and tells whether it got as far as a session.
func (w *worker) try(j job) (connected bool, epoch uint64, err error) {
	m := w.token.module
	epoch, err = m.enter()
	if err != nil {
		return false, epoch, err
	}
	defer m.leave()
	if w.open && w.epoch != epoch {
		w.open = false // the handle died with its epoch
	}
	if j.flags != 0 { // a session for this call alone, and not one more than there are workers
		w.drop()
		defer w.drop()
	}
	if !w.open {
		handle, err := w.token.connect(epoch, j.secret, j.flags)
		if err != nil {
			return false, epoch, err
		}
		w.session = session{ctx: m.ctx, handle: handle, slot: w.token.slotNow(), found: map[*key]p11.ObjectHandle{}}
		w.open, w.epoch = true, epoch
	}
	err = j.run(&w.session)
	if f := fateOf(err); f != refused && f != noSession {
		w.drop()
	}
	return true, epoch, err
}

// drop closes the worker's session.
func (w *worker) drop() {
	if w.open {
		w.token.disconnect(w.handle)
		w.open = false
	}
}

func (t *token) slotNow() uint {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.slot
}

// enterIfReady is enter that does not initialise anything.
func (m *module) enterIfReady() (epoch uint64, err error) {
	m.mu.Lock()
	ready := m.ready && !m.restart
	m.mu.Unlock()
	if !ready {
		return 0, p11.Error(p11.CKR_CRYPTOKI_NOT_INITIALIZED)
	}
	return m.enter()
}

// giveUp marks a worker lost whose call does not return, and puts another in
// its place as long as the bound allows. False: the call returned just now.
func (t *token) giveUp(w *worker) bool {
	t.mu.Lock()
	if !w.state.CompareAndSwap(running, givenUp) {
		t.mu.Unlock()
		return false
	}
	t.module.gaveUp()
	t.serving.Done()
	t.lost++
	t.lapses++
	replaced := t.lost <= t.replace && !t.closed
	if replaced {
		t.workers[w.number] = t.newWorker(w.number)
	} else {
		w.withdrawn = true
		t.inService--
	}
	t.mu.Unlock()
	t.workedAt.Store(0)
	if replaced {
		t.pool.Release(w.number)
	} else {
		t.pool.Withdraw(w.number, false)
	}
	return true
}

// cameBack is what a lost worker does when its call returns after all.
func (w *worker) cameBack() {
	t := w.token
	t.mu.Lock()
	t.lost--
	t.module.cameBack()
	again := w.withdrawn && !t.closed
	if again {
		t.workers[w.number] = t.newWorker(w.number)
		t.inService++
	}
	t.mu.Unlock()
	if again {
		t.pool.Add(w.number)
	}
}
