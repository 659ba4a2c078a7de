// Package seal keeps secrets that a protocol needs back. One key-encryption
// key, given by configuration, wraps versioned data keys in the store, one for
// each purpose; data keys seal rows with their id and tenant as associated data
// (AES-256-GCM, RFC 5116).
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Purpose says what a data key is for; keys of different purposes never meet.
type Purpose string

// Nonce keys authenticate ACME nonces.
const Nonce Purpose = "nonce"

// KeySize is the length of key-encryption and data keys in octets.
const KeySize = 32

// WrappedKey is a data key as the store keeps it.
type WrappedKey struct {
	Purpose   Purpose
	Version   int // 1, 2, ...; the highest is current
	Wrapped   []byte
	CreatedAt time.Time
}

// Store keeps wrapped data keys. AddDataKey answers Conflict where purpose and
// version are taken: another replica was first, and its key is the one to read.
type Store interface {
	DataKeys(ctx context.Context, p Purpose) ([]WrappedKey, error) // by version
	AddDataKey(ctx context.Context, k WrappedKey) error
}

// Key is one data key in the clear. It does not print.
type Key struct {
	Version int
	secret  [KeySize]byte
}

// Secret gives the raw key to the code that computes with it.
func (k Key) Secret() []byte { return k.secret[:] }

// String keeps the key out of logs.
func (Key) String() string { return "[sealed]" }

// GoString keeps the key out of logs.
func (Key) GoString() string { return "[sealed]" }

// Keyring unwraps data keys and makes the first of a purpose.
type Keyring struct {
	kek   cipher.AEAD
	store Store
	mu    sync.Mutex
	cache map[Purpose][]Key
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
	aead, err := newAEAD(k)
	if err != nil {
		return nil, err
	}
	return &Keyring{kek: aead, store: store, cache: map[Purpose][]Key{}}, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Keys gives every data key of a purpose, the current one last, and makes the
// first where there is none yet.
func (r *Keyring) Keys(ctx context.Context, p Purpose) ([]Key, error) {
	r.mu.Lock()
	cached := r.cache[p]
	r.mu.Unlock()
	if cached != nil {
		return cached, nil
	}
	keys, err := r.load(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		if err := r.add(ctx, p, 1); err != nil && !ca.IsKind(err, ca.Conflict) {
			return nil, err
		}
		if keys, err = r.load(ctx, p); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("seal: the data key of purpose %q was stored but is not found", p)
	}
	r.mu.Lock()
	r.cache[p] = keys
	r.mu.Unlock()
	return keys, nil
}

func (r *Keyring) load(ctx context.Context, p Purpose) ([]Key, error) {
	rows, err := r.store.DataKeys(ctx, p)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(rows))
	for _, row := range rows {
		plain, err := r.kek.Open(nil, nil, row.Wrapped, associated(p, row.Version))
		if err != nil || len(plain) != KeySize {
			return nil, errors.New("seal: a data key in the store does not open with this seal.key: it is another installation's key, or the store was tampered with")
		}
		keys = append(keys, Key{Version: row.Version, secret: [KeySize]byte(plain)})
	}
	return keys, nil
}

func (r *Keyring) add(ctx context.Context, p Purpose, version int) error {
	fresh := make([]byte, KeySize)
	rand.Read(fresh) // never fails (crypto/rand)
	wrapped := r.kek.Seal(nil, nil, fresh, associated(p, version))
	return r.store.AddDataKey(ctx, WrappedKey{Purpose: p, Version: version, Wrapped: wrapped})
}

func associated(p Purpose, version int) []byte {
	return fmt.Appendf(nil, "enrollgate/seal/datakey/%s/%d", p, version)
}
