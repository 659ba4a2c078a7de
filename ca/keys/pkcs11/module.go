//go:build cgo

package pkcs11

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
)

// module owns one PKCS #11 library in this process. Every call into it stands
// between enter and leave, so that it is initialised again only while none runs.
type module struct {
	path string
	ctx  *p11.Ctx

	mu       sync.Mutex
	ready    bool
	starting bool   // C_Initialize runs
	foreign  bool   // somebody else in this process initialised it: not ours to finalise
	restart  bool   // initialise again as soon as nothing runs
	epoch    uint64 // counts initialisations; handles are of one epoch
	running  int    // calls between enter and leave
	lost     int    // those of them that a watchdog has given up
	closed   bool
	retryAt  time.Time // after a failed C_Initialize
	failures int
	cause    error
	tokens   map[string]*token // by identity
}

// loadModule opens the library without calling into it.
func loadModule(path string) (*module, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, ca.Wrap(ca.NotFound, fmt.Errorf("%s: %w", path, errors.Join(err, errors.New("not a file"))), "the PKCS#11 module does not exist; install the token's software and check module-path")
	}
	ctx := p11.New(path)
	if ctx == nil {
		return nil, ca.Wrap(ca.BadRequest, errors.New(path), "the PKCS#11 module cannot be loaded; it must be a library for this system that has C_GetFunctionList (see `ldd`)")
	}
	return &module{path: path, ctx: ctx, tokens: map[string]*token{}}, nil
}

// enter counts a call in and gives the epoch that it belongs to. Where the
// module is not ready it is made so by this very call, once those that run have
// left; all others are refused meanwhile.
func (m *module) enter() (epoch uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ca.UnavailableError(errors.New("the PKCS#11 module is closed"), retryAfter)
	}
	if m.restart && m.lost > 0 {
		m.restart = false // a call that does not return would hold it up for ever
	}
	if !m.ready || m.restart {
		if err := m.start(); err != nil {
			return 0, err
		}
	}
	m.running++
	return m.epoch, nil
}

func (m *module) leave() {
	m.mu.Lock()
	m.running--
	m.mu.Unlock()
}

// start initialises the module, the lock held but for the calls themselves.
func (m *module) start() error {
	switch {
	case m.starting:
		return ca.UnavailableError(fmt.Errorf("module %s is being initialised", m.path), retryAfter)
	case m.running > 0:
		return ca.UnavailableError(fmt.Errorf("module %s waits for %d calls before it is initialised again", m.path, m.running), retryAfter)
	case time.Now().Before(m.retryAt):
		return ca.UnavailableError(m.cause, time.Until(m.retryAt)+time.Second)
	}
	m.starting = true
	again := m.ready
	m.mu.Unlock()
	foreign, err := initialize(m.ctx, again && !m.foreign)
	m.mu.Lock()
	m.starting = false
	if err != nil {
		m.ready = false
		m.cause = fmt.Errorf("module %s: %w", m.path, err)
		m.retryAt = time.Now().Add(backoff(m.failures))
		m.failures++
		return ca.UnavailableError(m.cause, retryAfter)
	}
	m.ready, m.restart, m.foreign, m.failures = true, false, foreign, 0
	m.epoch++
	return nil
}

// initialize calls C_Initialize with locking by the operating system (PKCS #11
// base, section 5.4), after C_Finalize where it was initialised before.
func initialize(ctx *p11.Ctx, again bool) (foreign bool, err error) {
	if again {
		// A module that has lost its token may refuse; what counts is C_Initialize.
		_ = ctx.Finalize()
	}
	switch err := ctx.Initialize(); {
	case err == p11.Error(p11.CKR_CRYPTOKI_ALREADY_INITIALIZED):
		return true, nil
	default:
		return false, callError("C_Initialize", err)
	}
}

// backoff is the time between attempts that fail: 250 ms, doubled up to 8 s.
func backoff(failures int) time.Duration { return 250 * time.Millisecond << min(failures, 5) }

// wantRestart has the module initialised again by the next call, unless
// another token in it works or a call in it will not return. It tells whether it will,
// or has been since the epoch of the failure.
func (m *module) wantRestart(because error, epoch uint64, asker *token) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch != epoch {
		return true
	}
	gone := fateOf(because) == moduleGone
	if m.foreign && !gone || m.lost > 0 || m.closed {
		return false
	}
	if !gone {
		for _, t := range m.tokens {
			if t != asker && time.Since(time.Unix(0, t.workedAt.Load())) < working {
				return false
			}
		}
	}
	m.restart = true
	return true
}

// gaveUp and cameBack count calls that a watchdog has given up.
func (m *module) gaveUp() {
	m.mu.Lock()
	m.lost++
	m.mu.Unlock()
}

func (m *module) cameBack() {
	m.mu.Lock()
	m.lost--
	m.mu.Unlock()
}

// call runs fn, which calls into the module, for at most limit.
func (m *module) call(limit time.Duration, fn func() error) error {
	done := make(chan error)
	given := make(chan struct{})
	go func() {
		_, err := m.enter()
		if err == nil {
			err = fn()
			m.leave()
		}
		select {
		case done <- err:
		case <-given:
			m.cameBack()
		}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		m.gaveUp()
		close(given)
		return ca.UnavailableError(fmt.Errorf("module %s has not answered for %v", m.path, limit), retryAfter)
	}
}

// close finalises the module once its tokens are closed. The library stays
// mapped: many cannot be unloaded.
func (m *module) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.running > 0 || m.starting {
		return fmt.Errorf("module %s: %d calls have not returned; it is not finalised", m.path, m.running)
	}
	if !m.ready || m.foreign {
		return nil
	}
	m.ready = false
	if err := callError("C_Finalize", m.ctx.Finalize()); err != nil && fateOf(err) == refused {
		return fmt.Errorf("module %s: %w", m.path, err)
	}
	return nil // a module whose token is gone has nothing to finalise
}
