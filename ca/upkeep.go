package ca

import (
	"context"
	"time"
)

// Replica is one process on a store, as it tells the others about itself.
type Replica struct {
	ID      string        // random, a new one with every start
	Started time.Time     // by its own clock
	Seen    time.Time     // of its last beat, by the store's clock
	Config  [32]byte      // digest of its policy; replicas that differ decide differently
	Schema  int64         // newest version of the tables that its program knows
	Version string        // of the program
	Offset  time.Duration // store's clock minus its own, as it measured last
}

// Replicas is where the processes on one store find each other.
type Replicas interface {
	// Beat writes r's row and gives the store's clock at that moment. It
	// succeeds only where the store takes writes. r.Seen is ignored.
	Beat(ctx context.Context, r *Replica) (time.Time, error)
	// Replicas lists those that beat within a time, by id.
	Replicas(ctx context.Context, within time.Duration) ([]Replica, error)
	// ForgetReplicas deletes at most limit rows of replicas that were not seen
	// for a time. See Upkeep for the lease.
	ForgetReplicas(ctx context.Context, l *Lease, unseen time.Duration, limit int) (int64, error)
}

// Upkeep is the background work inside the store. Each call is one bounded
// commit that also asks whether the lease is held: Conflict where it is not,
// and then nothing was changed, however late the call comes. Each tells how
// many rows it changed; fewer than limit means that nothing is left to do.
type Upkeep interface {
	// SweepIdempotency deletes idempotency keys past their window.
	SweepIdempotency(ctx context.Context, l *Lease, limit int) (int64, error)
	LifeUpkeep
	// MakeMonths makes room for certificates that expire in the n months from
	// first on; a month that is there already is not counted.
	MakeMonths(ctx context.Context, l *Lease, first Month, n int) (int64, error)
	// Schema gives the version of the store's tables and the newest that this program knows.
	Schema(ctx context.Context) (stored, known int64, err error)
}

// LifeUpkeep is the part of it that profiles make necessary.
type LifeUpkeep interface {
	// SweepUnique forgets what was unique to certificates that have ended.
	SweepUnique(ctx context.Context, l *Lease, limit int) (int64, error)
	// SweepPending forgets requests that waited for an approval and ended
	// longer ago than kept, and whose window for repetitions has passed; the audit trail remembers them.
	SweepPending(ctx context.Context, l *Lease, kept time.Duration, limit int) (int64, error)
	// SweepSuperseded takes certificates off the list of the superseded that
	// have ended or were revoked.
	SweepSuperseded(ctx context.Context, l *Lease, limit int) (int64, error)
}

// StoreCounters is what a store counted since the process started.
type StoreCounters struct {
	Commits  int64 // durable commits of the shared queue
	Members  int64 // writes committed in them
	Waiting  int64 // writes that wait now
	Failed   int64 // writes that the store could not take: nothing was recorded
	NotesOut int64 // audit rows of refusals that were dropped

	// The first and the last write that the store could not take since it took
	// one; zero where the last outcome was a success, or nothing was written.
	FailingSince, LastFailed time.Time
}

// LeaseLost is the answer of work whose lease is no longer held.
func LeaseLost(l *Lease) *Error {
	return Errorf(Conflict, "the lease %s with fence %d is no longer held", l.Name, l.Fence)
}

// Durability is one setting that decides whether a commit that was answered is
// still there after a crash.
type Durability struct {
	Setting string
	Value   string
	Safe    bool
}
