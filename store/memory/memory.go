// Package memory is a store that forgets: everything lives in maps. It is there
// for examples and for tests of what sits above a store; it passes the same
// conformance suite as the real drivers. It has no ACME state.
package memory

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/commit"
	"github.com/enrollgate/enrollgate/store/trail"
)

// Options may be zero.
type Options struct {
	Clock func() time.Time // the store's clock; default time.Now
	Log   *slog.Logger     // default: discarded
}

type (
	certKey struct{ tenant, ca, serial string }
	nameKey struct{ tenant, id string }
	idemKey struct{ tenant, key string }
	genKey  struct {
		tenant, ca string
		number     int
	}
	dataKey struct {
		purpose seal.Purpose
		version int
	}
)

// certificate is a recorded entry and where it stands now.
type certificate struct {
	ca.Certificate
	names       []pkix.GeneralName
	keyHash     [32]byte
	decision    []byte
	profileHash [32]byte
}

type answered struct {
	digest  [32]byte
	ca      string
	serial  ca.Serial
	expires time.Time
}

// Store keeps everything in memory. Create it with New.
type Store struct {
	opts  Options
	queue *commit.Queue[*write]
	notes *trail.Notes
	once  sync.Once

	mu           sync.RWMutex
	certificates map[certKey]*certificate
	feed         []ca.Status
	blocked      map[[32]byte]bool
	answered     map[idemKey]answered
	profiles     map[[32]byte][]byte
	leases       map[string]ca.Lease
	outbox       []ca.Message
	posted       int64 // last message id
	credentials  map[nameKey]credential.Record
	dataKeys     map[dataKey]seal.WrappedKey
	generations  map[genKey]ca.Generation
	activations  map[genKey]ca.Activation // by position
	services     map[serviceKey]ca.ServiceCertificate
	crls         map[crlKey]ca.CRL
	crlHeads     map[scopeKey]ca.CRLHead
	unique       map[uniqueKey]holder
	pending      map[nameKey]*pending
	superseded   map[certKey]ca.SupersededCertificate
	replies      map[nameKey]reply
	trail        []trail.Batch
}

// New makes an empty store.
func New(o Options) *Store {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{opts: o, certificates: map[certKey]*certificate{}, blocked: map[[32]byte]bool{}, answered: map[idemKey]answered{},
		profiles: map[[32]byte][]byte{}, leases: map[string]ca.Lease{}, credentials: map[nameKey]credential.Record{},
		dataKeys: map[dataKey]seal.WrappedKey{}, generations: map[genKey]ca.Generation{},
		activations: map[genKey]ca.Activation{}, crls: map[crlKey]ca.CRL{}, crlHeads: map[scopeKey]ca.CRLHead{},
		services: map[serviceKey]ca.ServiceCertificate{}, unique: map[uniqueKey]holder{}, pending: map[nameKey]*pending{},
		superseded: map[certKey]ca.SupersededCertificate{}, replies: map[nameKey]reply{}}
	s.queue = commit.New(s.run, commit.Options{})
	s.notes = trail.NewNotes(func(ctx context.Context, rows []ca.Audit) error {
		return s.queue.Submit(ctx, &write{change: func(*tx) error { return nil }, audits: rows})
	}, o.Log)
	return s
}

// Close ends the background work. The data is gone with the Store.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.notes.Close()
		s.queue.Close()
	})
	return nil
}

// Stats counts commits and the writes they carried.
func (s *Store) Stats() *commit.Stats { return s.queue.Stats() }

// Now is the store's clock, in UTC with microseconds.
func (s *Store) Now(context.Context) (time.Time, error) { return s.now(), nil }

func (s *Store) now() time.Time { return s.opts.Clock().UTC().Truncate(time.Microsecond) }

// write is one caller's part of a batch: change makes all its changes or fails.
type write struct {
	change func(*tx) error
	audits []ca.Audit
	silent bool // set by change: nothing was written, so nothing is audited
}

// tx is one member's changes, with the way back.
type tx struct {
	*Store
	now  time.Time
	undo []func()
}

// set puts a value into a map.
func set[K comparable, V any](t *tx, m map[K]V, k K, v V) {
	old, had := m[k]
	t.undo = append(t.undo, func() {
		if had {
			m[k] = old
		} else {
			delete(m, k)
		}
	})
	m[k] = v
}

// remove takes a value out of a map.
func remove[K comparable, V any](t *tx, m map[K]V, k K) {
	old := m[k]
	t.undo = append(t.undo, func() { m[k] = old })
	delete(m, k)
}

// assign changes a field.
func assign[V any](t *tx, field *V, v V) {
	old := *field
	t.undo = append(t.undo, func() { *field = old })
	*field = v
}

// run commits one batch: members one after the other, each whole or undone.
func (s *Store) run(_ context.Context, members []*commit.Member[*write]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link := trail.Batch{Chain: "memory", Seq: 1, At: s.now()}
	for _, m := range members {
		w, t := m.Payload, &tx{Store: s, now: link.At}
		w.silent = false
		if err := w.change(t); err != nil {
			for i := len(t.undo) - 1; i >= 0; i-- {
				t.undo[i]()
			}
			m.Answer(err)
			continue
		}
		defer m.Answer(nil) // once the audit rows are there
		if w.silent {
			continue
		}
		for _, a := range w.audits {
			if a.At.IsZero() {
				a.At = t.now
			}
			a.At = a.At.UTC().Truncate(time.Microsecond)
			link.Rows = append(link.Rows, a)
		}
	}
	if len(link.Rows) == 0 {
		return
	}
	rand.Read(link.ID[:]) // never fails (crypto/rand)
	if n := len(s.trail); n > 0 {
		link.Seq, link.Prev = s.trail[n-1].Seq+1, s.trail[n-1].Hash
	}
	link.Hash = link.Sum()
	s.trail = append(s.trail, link)
}

// change commits fn alone or with others.
func (s *Store) change(ctx context.Context, fn func(*tx) error, audits ...ca.Audit) error {
	return s.queue.Submit(ctx, &write{change: fn, audits: audits})
}
