package acme

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// A nonce is 36 octets in base64url, 48 characters:
//
//	 1  format, 1
//	 4  version of the data key
//	 5  Unix time of minting in seconds
//	10  random
//	16  the first half of HMAC-SHA256 over the 20 octets before, under the data key
//
// Whoever has the data keys can check it, so it needs no storage, works on any
// replica and outlives restarts (RFC 8555 section 6.5 asks for uniqueness, which 80
// random bits a second give). That it is used once is for others to see to, who
// strike its id.
const (
	nonceFormat   = 1
	nonceSigned   = 20
	nonceSize     = nonceSigned + 16
	nonceLifetime = 2 * time.Hour   // some clients take the last nonce of a long wait and never retry badNonce
	nonceSkew     = 2 * time.Minute // how far another replica's clock may be ahead
)

// NonceKey is a data key of purpose "nonce". The version, from 1, is written into
// nonces; the secret has at least 32 octets and is not changed after it was given.
type NonceKey struct {
	Version uint32
	Secret  []byte
}

// NonceKeys gives the key that mints and all keys that check, the current one among
// them. It is called for every nonce, from many goroutines, and must not block.
type NonceKeys func() (current NonceKey, all []NonceKey)

// noncer mints and checks nonces. It is safe for concurrent use.
type noncer struct {
	keys NonceKeys
	now  func() time.Time
	macs sync.Map // version -> *sync.Pool of hash.Hash that have the key in them
}

func newNoncer(keys NonceKeys, now func() time.Time) *noncer {
	return &noncer{keys: keys, now: now}
}

// mint makes a fresh nonce.
func (n *noncer) mint() string {
	key, _ := n.keys()
	var b [nonceSize]byte
	var clock [8]byte
	b[0] = nonceFormat
	binary.BigEndian.PutUint32(b[1:], key.Version)
	binary.BigEndian.PutUint64(clock[:], uint64(n.now().Unix()))
	copy(b[5:10], clock[3:])
	rand.Read(b[10:nonceSigned]) // never fails (crypto/rand)
	tag := n.tag(key, b[:nonceSigned])
	copy(b[nonceSigned:], tag[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// check tells whether nonce was minted with one of the keys and is not too old. The
// id names it and no other nonce; it must be kept struck until expiry. The error is
// a *ca.Error of kind BadProof with Field badNonce.
func (n *noncer) check(nonce string) (id [16]byte, expiry time.Time, err error) {
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nonceSize) {
		return id, expiry, refuseNonce("another length")
	}
	b, err := decodeBase64URL(nonce)
	if err != nil || b[0] != nonceFormat {
		return id, expiry, refuseNonce("another format")
	}
	version := binary.BigEndian.Uint32(b[1:])
	_, all := n.keys()
	authentic := false
	for _, key := range all {
		if key.Version == version {
			tag := n.tag(key, b[:nonceSigned])
			authentic = hmac.Equal(tag[:], b[nonceSigned:])
		}
	}
	if !authentic {
		return id, expiry, refuseNonce("not minted with a key that is in use")
	}
	var clock [8]byte
	copy(clock[3:], b[5:10])
	minted := time.Unix(int64(binary.BigEndian.Uint64(clock[:])), 0)
	expiry = minted.Add(nonceLifetime)
	now := n.now()
	if !now.Before(expiry) {
		return id, time.Time{}, refuseNonce("expired")
	}
	if minted.After(now.Add(nonceSkew)) {
		return id, time.Time{}, refuseNonce("minted in the future: the replicas' clocks differ")
	}
	return nonceID([nonceSize]byte(b)), expiry, nil
}

// nonceID names a nonce by its time and 88 bits of its MAC: those of one second
// lie together in the store's index.
func nonceID(b [nonceSize]byte) (id [16]byte) {
	copy(id[:], b[5:10])
	copy(id[5:], b[nonceSigned:])
	return id
}

// tag is the first half of the HMAC. Setting up a MAC costs more than a nonce's
// two blocks, so those that are set up are used again.
func (n *noncer) tag(key NonceKey, signed []byte) [16]byte {
	pool, ok := n.macs.Load(key.Version)
	if !ok {
		pool, _ = n.macs.LoadOrStore(key.Version, &sync.Pool{New: func() any { return hmac.New(sha256.New, key.Secret) }})
	}
	mac := pool.(*sync.Pool).Get().(hash.Hash)
	defer pool.(*sync.Pool).Put(mac)
	mac.Reset()
	mac.Write(signed)
	var sum [sha256.Size]byte
	return [16]byte(mac.Sum(sum[:0]))
}

func refuseNonce(why string) *ca.Error {
	e := refusal(ca.BadProof, "badNonce", "the nonce is not one of this server or too old; use the Replay-Nonce of this answer and try again")
	e.Err = errors.New("nonce: " + why)
	return e
}
