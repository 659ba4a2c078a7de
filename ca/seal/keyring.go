package seal

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// How replicas agree on a new version: every one reads the list again each
// RefreshEvery, and none uses a version before it is CurrentAfter old by the
// store's clock, when all of them have it.
const (
	RefreshEvery = 5 * time.Second
	CurrentAfter = 30 * time.Second
)

// Keyring unwraps data keys, makes the first of a purpose, and follows what
// other processes add. It is safe for concurrent use.
type Keyring struct {
	kek   cipher.AEAD
	kekID [32]byte
	store Store
	mu    sync.Mutex // one change of the snapshot at a time
	sets  atomic.Pointer[map[Purpose]*Set]
}

// Set is the data keys of one purpose at one time. It does not change.
type Set struct {
	Current Key   // what new things are made with
	All     []Key // what old things are checked with, by version, the current one among them
}

// NewKeyring takes the key-encryption key: at least 32 octets of high entropy,
// stretched by HKDF-SHA256 so that its encoding does not matter.
func NewKeyring(secret []byte, store Store) (*Keyring, error) {
	if len(secret) < KeySize {
		return nil, fmt.Errorf("seal: the key-encryption key has %d octets; make one with `openssl rand -base64 32`", len(secret))
	}
	k, err := hkdf.Key(sha256.New, secret, nil, "enrollgate/seal/kek/1", KeySize)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Key(sha256.New, secret, nil, "enrollgate/seal/kek-id/1", KeySize)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(k)
	if err != nil {
		return nil, err
	}
	r := &Keyring{kek: aead, kekID: [32]byte(id), store: store}
	r.sets.Store(&map[Purpose]*Set{})
	return r, nil
}

// Keys gives the data keys of a purpose and makes the first where there is none
// yet. Once a purpose was asked for, Keys answers from memory.
func (r *Keyring) Keys(ctx context.Context, p Purpose) (*Set, error) {
	if s := r.Cached(p); s != nil {
		return s, nil
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	if s := r.Cached(p); s != nil {
		return s, nil
	}
	err := r.add(ctx, p, 1, ca.Audit{Tenant: ca.Installation, Event: "seal.key_added", Actor: "service:seal", Detail: keyDetail(p, 1)})
	if err != nil && !ca.IsKind(err, ca.Conflict) { // Conflict: another replica was first
		return nil, err
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	if s := r.Cached(p); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("seal: the data key of purpose %q was stored but is not found", p)
}

// Cached gives the data keys of a purpose as last read, or nil. It never blocks.
func (r *Keyring) Cached(p Purpose) *Set { return (*r.sets.Load())[p] }

// Refresh reads every purpose's keys again. After an error what was read before
// stays in use.
func (r *Keyring) Refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, err := r.store.Now(ctx)
	if err != nil {
		return err
	}
	rows, err := r.store.DataKeys(ctx)
	if err != nil {
		return err
	}
	sets := map[Purpose]*Set{}
	for _, row := range rows {
		k, err := r.unwrap(row)
		if err != nil {
			return err
		}
		s := sets[row.Purpose]
		if s == nil {
			s = &Set{Current: k} // the first version: nobody has another
			sets[row.Purpose] = s
		}
		if k.Version > s.Current.Version && !now.Before(row.CreatedAt.Add(CurrentAfter)) {
			s.Current = k
		}
		s.All = append(s.All, k)
	}
	r.sets.Store(&sets)
	return nil
}

// Follow refreshes until ctx ends.
func (r *Keyring) Follow(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(RefreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
				log.Error("seal.refresh", "error", err)
			}
		}
	}
}

// Rotate adds a version of a purpose's data key, together with the audit row,
// and gives its number. It is used from CurrentAfter later on; older versions
// stay, because what they sealed is still there.
func (r *Keyring) Rotate(ctx context.Context, p Purpose, a ca.Audit) (version int, err error) {
	if err := r.Refresh(ctx); err != nil {
		return 0, err
	}
	version = 1
	if s := r.Cached(p); s != nil {
		version = s.All[len(s.All)-1].Version + 1
	}
	a.Detail = keyDetail(p, version)
	if err := r.add(ctx, p, version, a); err != nil {
		return 0, err
	}
	return version, r.Refresh(ctx)
}

// ErrOtherKey says that a data key was not wrapped with this key-encryption key.
var ErrOtherKey = errors.New("seal: a data key in the store does not open with this seal.key: it is another installation's key, seal.key was rotated elsewhere, or the store was tampered with")

func (r *Keyring) unwrap(row WrappedKey) (Key, error) {
	plain, err := r.kek.Open(nil, nil, row.Wrapped, associated(row.Purpose, row.Version))
	if err != nil || len(plain) != KeySize {
		return Key{}, ErrOtherKey
	}
	return Key{Version: row.Version, secret: [KeySize]byte(plain)}, nil
}

func (r *Keyring) wrap(k Key, p Purpose) WrappedKey {
	return WrappedKey{Purpose: p, Version: k.Version, KEK: r.kekID, Wrapped: r.kek.Seal(nil, nil, k.secret[:], associated(p, k.Version))}
}

func (r *Keyring) add(ctx context.Context, p Purpose, version int, a ca.Audit) error {
	k := Key{Version: version}
	rand.Read(k.secret[:]) // never fails (crypto/rand)
	return r.store.AddDataKey(ctx, r.wrap(k, p), a)
}

func associated(p Purpose, version int) []byte {
	return fmt.Appendf(nil, "enrollgate/seal/datakey/%s/%d", p, version)
}

func keyDetail(p Purpose, version int) []byte {
	return fmt.Appendf(nil, `{"purpose":%q,"version":%d}`, p, version)
}
