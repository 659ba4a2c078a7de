package status

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// CacheSize bounds how many signed answers a replica keeps, over all its CAs;
// one is about a kilobyte.
const CacheSize = 50_000

// key names a cached answer: the same certificate has one for each way its
// issuer was hashed.
type key struct {
	responder *Responder
	issuer    int // generation
	hash      pkix.OCSPHash
	serial    ca.Serial
}

// Answer is a signed OCSPResponse.
type Answer struct {
	DER        []byte
	ProducedAt time.Time
	ThisUpdate time.Time
	NextUpdate time.Time
	// MaxAge is how long caches may keep it; zero: they must not.
	MaxAge time.Duration
	// Prepared is what Options.Prepare made of it when it was signed.
	Prepared any

	outcome   Outcome
	refreshAt time.Time   // hot answers are signed again from here on
	staleAt   time.Time   // nobody gets it from here on
	used      atomic.Bool // since it was signed, or since a search for room
}

// cache keeps answers by what names them; size bounds how many.
type cache[K comparable] struct {
	size int

	mu      sync.RWMutex
	answers map[K]*Answer
	flights map[K]*flight
}

// flight is one signature that others wait for.
type flight struct {
	done   chan struct{}
	answer *Answer
	err    error
}

func newCache[K comparable](size int) *cache[K] {
	return &cache[K]{size: size, answers: map[K]*Answer{}, flights: map[K]*flight{}}
}

// get gives a kept answer that is still good.
func (c *cache[K]) get(k K, now time.Time) *Answer {
	c.mu.RLock()
	a := c.answers[k]
	c.mu.RUnlock()
	if a == nil || !now.Before(a.staleAt) {
		return nil
	}
	if !a.used.Load() {
		a.used.Store(true)
	}
	return a
}

// put keeps an answer if right says, while nothing can change in between, that
// it still is.
func (c *cache[K]) put(k K, a *Answer, right func() bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !right() {
		return false
	}
	if _, there := c.answers[k]; !there && len(c.answers) >= c.size {
		c.makeRoom()
	}
	c.answers[k] = a
	return true
}

// makeRoom takes out an answer that nobody asked for lately: of a few that the
// map happens to give, the first such, or the last.
func (c *cache[K]) makeRoom() {
	looked := 0
	for k, a := range c.answers {
		if looked++; !a.used.Swap(false) || looked == 16 {
			delete(c.answers, k)
			return
		}
	}
}

// drop takes out a key and tells whether it was there.
func (c *cache[K]) drop(k K) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, there := c.answers[k]
	delete(c.answers, k)
	return there
}

// due lists what to sign again, and takes out what nobody gets any more.
func (c *cache[K]) due(now time.Time) (keys []K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, a := range c.answers {
		switch {
		case now.Before(a.refreshAt):
		case a.used.Load() || a.outcome == Revoked:
			keys = append(keys, k)
		case !now.Before(a.staleAt):
			delete(c.answers, k)
		}
	}
	return keys
}

func (c *cache[K]) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.answers)
}

// join gives the flight for a key; first tells that the caller must make it.
func (c *cache[K]) join(k K) (f *flight, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f = c.flights[k]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	c.flights[k] = f
	return f, true
}

// land ends a flight that the caller made.
func (c *cache[K]) land(k K, f *flight, a *Answer, err error) {
	f.answer, f.err = a, err
	c.mu.Lock()
	delete(c.flights, k)
	c.mu.Unlock()
	close(f.done)
}
