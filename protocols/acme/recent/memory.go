package recent

import (
	"sync"
	"time"
)

// Memory remembers a bounded number of values for a short time. It keeps two
// generations: when the young one is full or as old as a value may get, it
// becomes the old one, whose values are forgotten together. It is safe for
// concurrent use.
type Memory[K comparable, V any] struct {
	lasting time.Duration
	limit   int
	now     func() time.Time

	mu         sync.Mutex
	young, old map[K]entry[V]
	turned     time.Time // when young was begun
}

type entry[V any] struct {
	value V
	until time.Time
}

// NewMemory makes an empty one of at most 2*limit values that last so long.
func NewMemory[K comparable, V any](lasting time.Duration, limit int, now func() time.Time) *Memory[K, V] {
	return &Memory[K, V]{lasting: lasting, limit: limit, now: now, young: map[K]entry[V]{}, turned: now()}
}

// Get finds a value that was put less than the lasting time ago.
func (m *Memory[K, V]) Get(k K) (V, bool) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.find(k, now)
	return e.value, ok
}

func (m *Memory[K, V]) find(k K, now time.Time) (entry[V], bool) {
	e, ok := m.young[k]
	if !ok {
		e, ok = m.old[k]
	}
	if !ok || !now.Before(e.until) {
		return entry[V]{}, false
	}
	return e, true
}

// Put remembers a value in place of what was known.
func (m *Memory[K, V]) Put(k K, v V) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(k, entry[V]{v, now.Add(m.lasting)}, now)
}

// PutRead remembers a value that somebody began to read at since, unless
// something is known by now: that is not older.
func (m *Memory[K, V]) PutRead(k K, v V, since time.Time) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.find(k, now); !known {
		m.put(k, entry[V]{v, since.Add(m.lasting)}, now)
	}
}

func (m *Memory[K, V]) put(k K, e entry[V], now time.Time) {
	if len(m.young) >= m.limit || now.Sub(m.turned) >= m.lasting {
		m.old, m.young, m.turned = m.young, map[K]entry[V]{}, now
	}
	delete(m.old, k)
	m.young[k] = e
}

// Drop forgets a value.
func (m *Memory[K, V]) Drop(k K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, k)
	delete(m.old, k)
}
