// Package keygen makes subject keys for clients that cannot make their own: EST
// server-side key generation (RFC 7030 section 4.4) and CMP central key
// generation (RFC 9483 section 4.1.6). A door gets a Key, which cannot be
// printed, and hands it on wrapped to its recipient or over TLS; here nothing is
// kept.
//
// Left out: keys that are made in a token, and key archival.
package keygen

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
)

// algorithms is every type of key that is made, as pkix.PublicKey.Algorithm
// writes it; those of RSA wait for their turn.
var algorithms = map[string]struct {
	slow bool
	make func() (crypto.Signer, error)
}{
	"ecdsa-p256": {make: ec(elliptic.P256())},
	"ecdsa-p384": {make: ec(elliptic.P384())},
	"ecdsa-p521": {make: ec(elliptic.P521())},
	"ed25519": {make: func() (crypto.Signer, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}},
	"rsa-2048": {true, ofRSA(2048)},
	"rsa-3072": {true, ofRSA(3072)},
	"rsa-4096": {true, ofRSA(4096)},
}

func ec(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
}

func ofRSA(bits int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
}

// Algorithms lists the types of keys that are made, sorted.
func Algorithms() (names []string) {
	for name := range algorithms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Choose picks the type of a key: the one that is asked for where the profile
// has such keys made, else the first that the profile names. Denied where it
// names none.
func Choose(asked string, made []string) (string, error) {
	if len(made) == 0 {
		err := ca.Errorf(ca.Denied, "keys are not made for their holders under this profile")
		err.Field, err.Rule = "key", "server_keys"
		return "", err
	}
	if slices.Contains(made, asked) {
		return asked, nil
	}
	return made[0], nil
}

// waitForTurn is how long a request for an RSA key waits for those before it.
const waitForTurn = 20 * time.Second

// Maker makes keys for one door. RSA keys take from tenths of a second to
// seconds of a processor, so that only some are made at a time; others take
// microseconds and wait for nobody. It is safe for concurrent use.
type Maker struct {
	claims claim.Verifier
	turns  chan struct{}
}

// New makes a Maker that is busy with at most atOnce RSA keys.
func New(v claim.Verifier, atOnce int) *Maker {
	return &Maker{v, make(chan struct{}, max(1, atOnce))}
}

// Make makes a key of a type that Algorithms lists. Unavailable where too many
// wait for their RSA keys; BadRequest for another type.
func (m *Maker) Make(ctx context.Context, algorithm string) (*Key, error) {
	a, ok := algorithms[algorithm]
	if !ok {
		return nil, ca.Errorf(ca.BadRequest, "keys of type %s are not made here", algorithm)
	}
	if a.slow {
		ctx, cancel := context.WithTimeout(ctx, waitForTurn)
		defer cancel()
		select {
		case m.turns <- struct{}{}:
			defer func() { <-m.turns }()
		case <-ctx.Done():
			return nil, ca.UnavailableError(ctx.Err(), waitForTurn)
		}
	}
	private, err := a.make()
	if err != nil {
		return nil, ca.InternalError(err)
	}
	made, err := newKey(m.claims, private)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return made, nil
}
