//go:build cgo

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11uri"
)

const (
	defaultWorkers = 8
	defaultStuck   = 20 * time.Second
	generateStuck  = 30 // times Stuck

	// working is for how long a call that worked keeps the module of its token
	// from being initialised again. An idle token does not mind it.
	working = 2 * time.Second

	// sessionRetry is when a worker that found no session is tried again.
	sessionRetry = 30 * time.Second
)

// token is one token with its workers. It outlives its slot: after a loss it
// is looked for by what it is called.
type token struct {
	module   *module
	name     string // in errors
	id       pkcs11uri.URI
	pool     *keys.Pool
	stuck    time.Duration
	replace  int
	workedAt atomic.Int64 // when a call last worked, in ns since 1970; 0 after a loss
	troubled atomic.Bool  // there was a loss since
	serving  sync.WaitGroup

	connecting chan struct{} // held while a session is opened
	login      login         // guarded by connecting

	mu        sync.Mutex
	workers   []*worker
	inService int
	lost      int
	lapses    uint64
	closed    bool
	slot      uint
	slotEpoch uint64 // epoch that slot was found in; 0: it must be looked for
	downUntil time.Time
	failures  int
	cause     error
}

// slotOf finds the one slot whose token a URI matches (RFC 7512 section 2.5).
// shared tells whether another token could not be told from it.
func (m *module) slotOf(u pkcs11uri.URI) (slot uint, info p11.TokenInfo, shared bool, err error) {
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return 0, info, false, callError("C_GetSlotList", err)
	}
	var found []uint
	var there []string
	same := map[pkcs11uri.URI]int{}
	for _, s := range slots {
		i, err := m.ctx.GetTokenInfo(s)
		if err != nil || i.Flags&p11.CKF_TOKEN_INITIALIZED == 0 {
			continue // taken out meanwhile, or an empty token
		}
		id := identity(i)
		same[id]++
		there = append(there, fmt.Sprintf("%q (serial %s, slot-id %d)", id.Token, id.Serial, s))
		if (u.Token == "" || u.Token == id.Token) && (u.Manufacturer == "" || u.Manufacturer == id.Manufacturer) &&
			(u.Serial == "" || u.Serial == id.Serial) && (u.Model == "" || u.Model == id.Model) && (u.SlotID == nil || *u.SlotID == s) {
			found = append(found, s)
			info = i
		}
	}
	list := errors.New("module " + m.path + " has " + strings.Join(there, ", "))
	if len(there) == 0 {
		list = fmt.Errorf("module %s has no initialised token", m.path)
	}
	switch len(found) {
	case 1:
		return found[0], info, same[identity(info)] > 1, nil
	case 0:
		return 0, info, false, ca.Wrap(ca.NotFound, list, "no token matches the key URI; check token=, serial= and slot-id=, and that the token is there")
	}
	return 0, info, false, ca.Wrap(ca.BadRequest, list, fmt.Sprintf("%d tokens match the key URI; add serial= or slot-id= to name one", len(found)))
}

// identity is what a token says of itself, without padding.
func identity(i p11.TokenInfo) pkcs11uri.URI {
	trim := func(s string) string { return strings.TrimRight(s, " \x00") }
	return pkcs11uri.URI{Token: trim(i.Label), Manufacturer: trim(i.ManufacturerID), Model: trim(i.Model), Serial: trim(i.SerialNumber)}
}

// locate gives the token's slot in this epoch. The caller holds connecting.
func (t *token) locate(epoch uint64) (uint, error) {
	t.mu.Lock()
	slot, known := t.slot, t.slotEpoch == epoch
	t.mu.Unlock()
	if known {
		return slot, nil
	}
	slot, _, _, err := t.module.slotOf(t.id)
	if err != nil {
		if ca.IsKind(err, ca.NotFound) { // it was there before
			err = fmt.Errorf("%w: %w", err, p11.Error(p11.CKR_TOKEN_NOT_PRESENT))
		}
		return 0, err
	}
	t.mu.Lock()
	t.slot, t.slotEpoch = slot, epoch
	t.mu.Unlock()
	return slot, nil
}

// connect opens a session and sees to it that the user is logged in.
func (t *token) connect(epoch uint64, secret keys.Secret, flags uint) (p11.SessionHandle, error) {
	t.connecting <- struct{}{} // freed within Stuck, or its holder is lost and so is this one
	defer func() { <-t.connecting }()
	t.mu.Lock()
	down, cause := time.Until(t.downUntil), t.cause
	t.mu.Unlock()
	if down > 0 {
		return 0, ca.UnavailableError(cause, down+time.Second)
	}
	slot, err := t.locate(epoch)
	if err != nil {
		return 0, err
	}
	session, err := t.module.ctx.OpenSession(slot, flags|p11.CKF_SERIAL_SESSION)
	if err != nil {
		return 0, callError("C_OpenSession", err)
	}
	if err := t.login.ensure(t, slot, session, secret); err != nil {
		t.disconnect(session)
		return 0, err
	}
	return session, nil
}

// disconnect closes a session. One that the token has lost already cannot be
// closed, which leaves nothing to do.
func (t *token) disconnect(session p11.SessionHandle) { _ = t.module.ctx.CloseSession(session) }

// lapsed notes a loss: the slot is looked for again. A token that could not be
// reached at all is left alone for a while.
func (t *token) lapsed(err error, unreachable bool) {
	t.workedAt.Store(0)
	t.troubled.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lapses++
	t.slotEpoch = 0
	if unreachable {
		t.cause = fmt.Errorf("token %s: %w", t.name, err)
		t.downUntil = time.Now().Add(backoff(t.failures))
		t.failures++
	}
}

// worked notes that the token answers.
func (t *token) worked() {
	t.workedAt.Store(time.Now().UnixNano())
	if !t.troubled.CompareAndSwap(true, false) {
		return
	}
	t.mu.Lock()
	t.failures, t.downUntil = 0, time.Time{}
	t.mu.Unlock()
}

// do runs a call on one of the token's workers. Errors are those of run, or
// ca.Unavailable.
func (t *token) do(ctx context.Context, lane ca.Lane, tenant string, limit time.Duration, secret keys.Secret, flags uint, run func(*session) error) error {
	for {
		n, err := t.pool.Acquire(ctx, lane, tenant)
		if err != nil {
			return err
		}
		t.mu.Lock()
		w := t.workers[n]
		t.mu.Unlock()
		w.state.Store(running)
		w.limit.Reset(limit)
		w.jobs <- job{run, secret, flags}
		select {
		case err = <-w.done:
			w.limit.Stop()
		case <-w.limit.C:
			if t.giveUp(w) {
				return ca.UnavailableError(fmt.Errorf("token %s: a call has not returned for %v", t.name, limit), retryAfter)
			}
			err = <-w.done // it returned just now
		}
		if fateOf(err) == noSession && t.pool.Withdraw(n, true) {
			t.count(-1)
			time.AfterFunc(sessionRetry, func() { t.count(1); t.pool.Add(n) })
			continue // on another worker, which may have a session
		}
		t.pool.Release(n)
		if fateOf(err) == noSession {
			return unavailable(t.name, err)
		}
		return err
	}
}

func (t *token) count(n int) {
	t.mu.Lock()
	t.inService += n
	t.mu.Unlock()
}

// close lets what runs and waits finish, and ends the sessions.
func (t *token) close() {
	t.pool.Close()
	t.mu.Lock()
	t.closed = true
	for _, w := range t.workers {
		close(w.jobs)
	}
	t.mu.Unlock()
	t.serving.Wait()
}

func (t *token) status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{Token: strings.ToValidUTF8(t.name, "?"), Serial: strings.ToValidUTF8(t.id.Serial, "?"), Module: t.module.path, Workers: t.inService, Lost: t.lost, Lapses: t.lapses,
		Logins: t.login.accepted.Load(), Refused: t.login.failed.Load()}
	t.module.mu.Lock()
	defer t.module.mu.Unlock()
	s.Restarts = max(t.module.epoch, 1) - 1
	return s
}
