// Package crl publishes certificate revocation lists (RFC 5280 section 5): one
// complete list for each generation of a CA, shards of it for certificates that
// name one, and delta lists. One replica at a time makes them; every replica
// serves them from memory.
//
// Revoking does not wait for any of it. A list is made from the store's current
// statuses, read by page after the end of the status feed was noted; the store
// takes it only with a higher number and a feed position that is not lower, so
// a publisher that was paused in between cannot undo newer work. Numbers are at
// least the time in seconds since 1970, so that they go on past the gap when
// the store is restored from a backup.
//
// Left out: indirect lists, lists by reason, deltas of shards.
package crl

import "time"

// Settings say how a CA publishes.
type Settings struct {
	Interval     time.Duration // between complete lists
	Lifetime     time.Duration // from thisUpdate to nextUpdate
	Overlap      time.Duration // a list with less life left is replaced, and its lateness is a warning
	OnRevocation time.Duration // how long a change of a status waits for more before it is published

	DeltaInterval time.Duration // between delta lists; 0: there are none
	DeltaLifetime time.Duration

	Shards int // of new certificates' lists; 0: they name the complete list

	KeepExpired bool // list certificates after they expired, and say so (X.509 section 9.5.2.8)
}

const (
	// Pulse is how often replicas look for new lists, and their publisher for
	// what is due.
	Pulse = 2 * time.Second
	// backdated is how much a list's thisUpdate lies in the past, for clients
	// whose clock is slow: they would refuse a list from the future.
	backdated = time.Minute
	// againAfter is the pause after a list could not be made.
	againAfter = 15 * time.Second
	// restFactor times as long as the last list took to make is the least time
	// before another one because of a revocation.
	restFactor = 10
	// listedFor is how long before a list's thisUpdate a revocation must have
	// been recorded for the list to have it for sure.
	listedFor = time.Hour
	// maxDelta bounds the entries of a delta; with more changes a complete list
	// is made.
	maxDelta = 50_000
	// maxURLs bounds the names of a shard's distribution point.
	maxURLs = 16
)
