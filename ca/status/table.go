package status

import (
	"math"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Entry is where a certificate stands whose status is not that of issuance.
// Times are in whole seconds.
type Entry struct {
	State   ca.State // Held or Revoked
	Reason  ca.Reason
	At      time.Time
	Invalid time.Time // invalidity date, zero: none
}

// packed is an Entry in 12 octets without pointers, so that a million of them
// cost the garbage collector nothing.
type packed struct {
	at, invalid uint32 // seconds since 1970; 0: none
	reason      ca.Reason
	held        bool
}

func pack(s *ca.Status) packed {
	return packed{at: seconds(s.At), invalid: seconds(s.Invalid), reason: s.Reason, held: s.State == ca.Held}
}

// seconds clips what 32 bits do not hold (before 1970, after 2105).
func seconds(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(t.Unix(), 1), math.MaxUint32))
}

func (p packed) entry() Entry {
	e := Entry{State: ca.Revoked, Reason: p.reason, At: time.Unix(int64(p.at), 0).UTC()}
	if p.held {
		e.State = ca.Held
	}
	if p.invalid != 0 {
		e.Invalid = time.Unix(int64(p.invalid), 0).UTC()
	}
	return e
}

// Table holds the statuses of one CA's certificates.
type Table struct {
	tenant, ca string

	loading sync.Mutex // held by whoever loads

	mu      sync.RWMutex // held for a map access at a time, never for a query
	entries map[ca.Serial]packed
	state   loadState
	pending []ca.Status // rows of the feed that came while pages were read
	changed func(*ca.Status)
}

type loadState uint8

const (
	empty loadState = iota
	reading
	loaded
)

// find tells what is known of a serial; ok is false where the table is not loaded.
func (t *Table) find(serial ca.Serial) (e Entry, found, ok bool) {
	t.mu.RLock()
	p, found := t.entries[serial]
	ok = t.state == loaded
	t.mu.RUnlock()
	if !found {
		return Entry{}, false, ok
	}
	return p.entry(), true, ok
}

// apply takes one row of the feed.
func (t *Table) apply(s *ca.Status) {
	t.mu.Lock()
	switch t.state {
	case reading:
		t.pending = append(t.pending, *s)
	case loaded:
		t.put(s)
	}
	tell := t.changed
	if t.state != loaded {
		tell = nil
	}
	t.mu.Unlock()
	if tell != nil {
		tell(s)
	}
}

func (t *Table) put(s *ca.Status) {
	if s.State == ca.Issued { // a released hold
		delete(t.entries, s.Serial)
		return
	}
	t.entries[s.Serial] = pack(s)
}

// begin makes the feed's rows wait until the pages are read.
func (t *Table) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state, t.entries, t.pending = reading, map[ca.Serial]packed{}, nil
}

// page takes rows that were read from the store. Nobody is answered from the
// table yet, so only the feed waits for the lock.
func (t *Table) page(rows []ca.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range rows {
		t.put(&rows[i])
	}
}

// end puts the table to use; without success it is empty again.
func (t *Table) end(success bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !success {
		t.state, t.entries, t.pending = empty, nil, nil
		return
	}
	for i := range t.pending { // in the feed's order; what a page showed already comes out the same
		t.put(&t.pending[i])
	}
	t.state, t.pending = loaded, nil
}

func (t *Table) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.entries)
}
