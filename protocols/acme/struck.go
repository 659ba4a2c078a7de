package acme

import (
	"sync"
	"time"
)

const (
	struckShards = 16
	struckLimit  = 1 << 18 // ids kept: about 12 MiB
)

// struckSet remembers which nonces this replica has seen, until they expire. It is
// bounded: when a shard is full it forgets the ids that expire first, a minute's
// worth at a time, so that under a flood of requests an old read can be replayed
// here. State-changing requests strike theirs in the store too. It is safe for
// concurrent use.
type struckSet struct {
	now    func() time.Time
	shards [struckShards]struckShard
}

// struckShard holds the ids by the minute in which they expire.
type struckShard struct {
	mu      sync.Mutex
	limit   int
	count   int
	swept   int64 // the minute of the last sweep
	minutes map[int64]map[[16]byte]struct{}
}

// newStruckSet makes an empty set of at most limit ids; 0 means 262,144.
func newStruckSet(limit int, now func() time.Time) *struckSet {
	if limit <= 0 {
		limit = struckLimit
	}
	s := &struckSet{now: now}
	for i := range s.shards {
		s.shards[i].limit = max(limit/struckShards, 1)
		s.shards[i].minutes = make(map[int64]map[[16]byte]struct{})
	}
	return s
}

// strike takes the id of a nonce that expires at expiry. It reports false if the id
// was taken before or has expired.
func (s *struckSet) strike(id [16]byte, expiry time.Time) bool {
	now := s.now()
	if !now.Before(expiry) {
		return false
	}
	shard := &s.shards[id[15]%struckShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.sweep(minuteOf(now))
	minute := minuteOf(expiry)
	if _, taken := shard.minutes[minute][id]; taken {
		return false
	}
	for shard.count >= shard.limit {
		shard.dropOldest()
	}
	ids := shard.minutes[minute]
	if ids == nil {
		ids = make(map[[16]byte]struct{})
		shard.minutes[minute] = ids
	}
	ids[id] = struct{}{}
	shard.count++
	return true
}

// has reports whether strike has taken the id and still remembers it.
func (s *struckSet) has(id [16]byte, expiry time.Time) bool {
	shard := &s.shards[id[15]%struckShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	_, taken := shard.minutes[minuteOf(expiry)][id]
	return taken
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// sweep forgets the minutes before the given one, once a minute.
func (s *struckShard) sweep(minute int64) {
	if minute == s.swept {
		return
	}
	s.swept = minute
	for m, ids := range s.minutes {
		if m < minute {
			s.count -= len(ids)
			delete(s.minutes, m)
		}
	}
}

// dropOldest forgets the ids that expire first.
func (s *struckShard) dropOldest() {
	oldest, found := int64(0), false
	for m := range s.minutes {
		if !found || m < oldest {
			oldest, found = m, true
		}
	}
	s.count -= len(s.minutes[oldest])
	delete(s.minutes, oldest)
}
