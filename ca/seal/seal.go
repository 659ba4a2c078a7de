// Package seal keeps secrets that a protocol needs back. One key-encryption
// key, given by configuration, wraps versioned data keys in the store, one for
// each purpose; data keys seal rows with their id and tenant as associated data
// (AES-256-GCM, RFC 5116).
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Purpose says what a data key is for; keys of different purposes never meet.
type Purpose string

const (
	Nonce Purpose = "nonce" // authenticates ACME nonces
	Audit Purpose = "audit" // seals the key that signs audit checkpoints
	RA    Purpose = "ra"    // seals the keys of registration authorities

	Pending Purpose = "pending" // seals requests that wait for an operator, and the operator's word
	Reply   Purpose = "reply"   // seals replies that are kept for clients that lose them
	EAB     Purpose = "eab"     // seals the secrets of credentials that a protocol needs back
	Lookup  Purpose = "lookup"  // finds one-time secrets by a keyed hash
)

// Purposes lists every purpose, for `seal rotate --purpose all`.
func Purposes() []Purpose { return []Purpose{Nonce, Audit, RA, Pending, Reply, EAB, Lookup} }

// KeySize is the length of key-encryption and data keys in octets.
const KeySize = 32

// WrappedKey is a data key as the store keeps it.
type WrappedKey struct {
	Purpose   Purpose
	Version   int      // 1, 2, ...
	KEK       [32]byte // names the key-encryption key, without telling anything about it
	Wrapped   []byte
	CreatedAt time.Time // the store's clock; set by the store
}

// Store keeps wrapped data keys, and which key-encryption key they are wrapped
// with: the first key added says so, and Rewrap alone changes it.
type Store interface {
	// DataKeys lists every data key by purpose and version.
	DataKeys(ctx context.Context) ([]WrappedKey, error)
	// AddDataKey adds one together with its audit row. Conflict where purpose and
	// version are taken, or the keys are wrapped with another key-encryption key.
	AddDataKey(ctx context.Context, k WrappedKey, a ca.Audit) error
	// Rewrap puts the keys of to in the place of those of from, which are the same
	// ones in the same order, in one commit with the audit row. Conflict where the
	// store does not hold exactly from.
	Rewrap(ctx context.Context, from, to []WrappedKey, a ca.Audit) error
	// Now is the store's clock.
	Now(ctx context.Context) (time.Time, error)
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

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
