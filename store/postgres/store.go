package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/commit"
	"github.com/enrollgate/enrollgate/store/trail"
)

// Options say how to open a store. URL, Replica and Log are needed.
type Options struct {
	// URL is that of the runtime role: postgres://user:password@host/database.
	// With default_query_exec_mode=exec nothing stays in a session between
	// transactions, as a pooler in transaction mode wants it.
	URL string
	// Replica names this process among those on the same database; its audit chains carry it.
	Replica  string
	Writers  int   // concurrent batches, default 1; more share less
	MaxConns int32 // of readers, default 8; each writer has one connection more
	// UnsafeReason is why an engine that is not durable, or cannot say so, is
	// accepted all the same. It is logged loudly and given back by Unsafe.
	UnsafeReason string
	Log          *slog.Logger
	// Offset moves the store's clock, for tests; nil: the database's own.
	Offset func() time.Duration
	// BatchTimeout is the time for a batch with its settlement, default 30 s.
	BatchTimeout time.Duration
}

// Session limits, as PostgreSQL reads them. A statement never needs seconds;
// a transaction idles for one round trip.
const (
	statementTimeout = "10s"
	lockTimeout      = "5s"
	idleTimeout      = "10s"
	connectTimeout   = 5 * time.Second
)

// Stats counts what the writers did.
type Stats struct {
	Batches  atomic.Int64 // committed
	Members  atomic.Int64 // committed in them
	Reruns   atomic.Int64 // runs rolled back without a refused member
	Doubtful atomic.Int64 // commits of unknown outcome that had to be settled
}

// Store is a ledger in PostgreSQL, with everything else the daemon remembers.
// It implements ca.Ledger, ca.Leases, ca.Outbox, ca.Generations, seal.Store,
// credential.Burner and the ACME door's state.Store.
type Store struct {
	pool       *pgxpool.Pool
	config     *pgx.ConnConfig // of writers
	pooled     bool            // sessions are shared by a pooler: nothing may stay in them
	durability string          // synchronous_commit, as found and then pinned
	unsafe     string
	queue      *commit.Queue[*work]
	notes      *trail.Notes
	idle       chan *writer
	writers    []*writer
	gate       sync.RWMutex // tests hold commits back with it
	profiles   kept
	offset     func() time.Duration
	log        *slog.Logger
	stats      Stats
}

// Open opens the store. It refuses a connection that can be listened to, an
// engine that is not durable, and a schema that was not migrated.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Replica == "" || o.Log == nil {
		return nil, errors.New("postgres: a replica name and a log are needed")
	}
	config, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{log: o.Log, offset: o.Offset}
	if s.offset == nil {
		s.offset = func() time.Duration { return 0 }
	}
	mode := config.ConnConfig.DefaultQueryExecMode
	s.pooled = mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
	s.prepare(config, o)
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, ca.UnavailableError(err, 2*time.Second)
	}
	if err := s.check(ctx, o.UnsafeReason); err != nil {
		s.pool.Close()
		return nil, err
	}
	s.config = config.ConnConfig.Copy()
	writers := max(o.Writers, 1)
	s.idle = make(chan *writer, writers)
	for i := range writers {
		w := &writer{store: s, name: o.Replica + "/" + strconv.Itoa(i), months: map[int32]bool{}}
		s.writers = append(s.writers, w)
		s.idle <- w
	}
	s.queue = commit.New(s.run, commit.Options{Writers: writers, Timeout: o.BatchTimeout})
	s.notes = trail.NewNotes(s.writeNotes, s.log)
	return s, nil
}

// prepare sets what every session of ours needs.
func (s *Store) prepare(config *pgxpool.Config, o Options) {
	config.MaxConns = max(o.MaxConns, 0)
	if config.MaxConns == 0 {
		config.MaxConns = 8
	}
	params := config.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "enrollgate " + o.Replica
	}
	if !s.pooled { // poolers refuse start parameters that they do not know
		params["statement_timeout"] = statementTimeout
		params["lock_timeout"] = lockTimeout
		params["idle_in_transaction_session_timeout"] = idleTimeout
		// Every statement is made for its index and planned once. A plan that was
		// made while a table was empty must not go on reading it whole.
		params["enable_seqscan"] = "off"
		params["plan_cache_mode"] = "force_generic_plan"
	}
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > connectTimeout {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
}

// connect opens a writer's connection and pins its durability, so that a later
// change of a default does not reach it.
func (s *Store) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if s.pooled || s.durability == "" {
		return conn, nil
	}
	if _, err := conn.Exec(ctx, sql.PinSession, s.durability); err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("pin synchronous_commit: %w", err)
	}
	return conn, nil
}

// Close writes what is queued and ends every connection. A commit whose outcome
// is unknown is left to the next process of this replica's name: its batch
// either is in the chain or never will be believed.
func (s *Store) Close() error {
	s.notes.Close()
	s.queue.Close()
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	var failed error
	for range s.writers {
		w := <-s.idle
		if w.doubt != nil {
			if _, err := w.settleNow(ctx); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		if w.conn != nil {
			failed = errors.Join(failed, w.conn.Close(ctx))
		}
	}
	s.pool.Close()
	return failed
}

// Stats gives the writers' counters.
func (s *Store) Stats() *Stats { return &s.stats }

// NotesDropped counts the audit rows of refusals that were not written.
func (s *Store) NotesDropped() int64 { return s.notes.Dropped() }

// Unsafe gives the operator's reason for accepting an engine that is not known
// to be durable; empty where it is.
func (s *Store) Unsafe() string { return s.unsafe }

// Now is the database's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.pool.QueryRow(ctx, sql.Now, s.offset()).Scan(&now)
	return now.UTC(), readError(err, "clock")
}

// submit commits work together with whatever else waits.
func (s *Store) submit(ctx context.Context, w *work) error { return s.queue.Submit(ctx, w) }

// kept remembers which profile texts are in the store; none is ever deleted.
type kept struct {
	mu  sync.RWMutex
	set map[[32]byte]bool
}

func (k *kept) has(hash [32]byte) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.set[hash]
}

func (k *kept) add(hash [32]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set == nil {
		k.set = map[[32]byte]bool{}
	}
	k.set[hash] = true
}
