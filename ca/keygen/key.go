package keygen

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Key is a private key that was made for a client. It neither prints nor
// marshals: the key comes out of PKCS8 and Package alone.
type Key struct {
	der        []byte // PrivateKeyInfo
	possession claim.Possession
}

func newKey(v claim.Verifier, private crypto.Signer) (*Key, error) {
	possession, err := claim.PossessionOfMade(v, private)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &Key{der, possession}, nil
}

// Public is the public half.
func (k *Key) Public() pkix.PublicKey { return k.possession.Key() }

// Possession is the proof that the two halves fit.
func (k *Key) Possession() claim.Possession { return k.possession }

var errCleared = errors.New("keygen: the key was cleared")

// PKCS8 gives the private key as DER PrivateKeyInfo (RFC 5958 section 2). The
// caller clears it as soon as it is sent.
func (k *Key) PKCS8() ([]byte, error) {
	if k.der == nil {
		return nil, errCleared
	}
	return append([]byte(nil), k.der...), nil
}

// Package gives the private key as DER AsymmetricKeyPackage of one key (RFC 5958
// section 2), which goes into signed and encrypted messages. The caller clears it.
func (k *Key) Package() ([]byte, error) {
	if k.der == nil {
		return nil, errCleared
	}
	// Room for all from the start, so that no copy is left behind.
	b := cryptobyte.NewBuilder(make([]byte, 0, len(k.der)+16))
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(k.der) })
	return b.Bytes()
}

// Clear forgets the private key. What the runtime copied while it was made is
// left to the garbage collector.
func (k *Key) Clear() {
	clear(k.der)
	k.der = nil
}

const guarded = "[private key]"

// String keeps the key out of logs.
func (Key) String() string { return guarded }

// GoString keeps the key out of logs.
func (Key) GoString() string { return guarded }

// Format keeps the key out of whatever is printed.
func (Key) Format(f fmt.State, _ rune) {
	io.WriteString(f, guarded) // an error is the printer's
}

// LogValue keeps the key out of logs.
func (Key) LogValue() slog.Value { return slog.StringValue(guarded) }

// errMarshal keeps the key out of whatever is written down.
var errMarshal = errors.New("keygen: a private key is not marshalled")

// MarshalJSON refuses.
func (Key) MarshalJSON() ([]byte, error) { return nil, errMarshal }

// MarshalText refuses.
func (Key) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary refuses.
func (Key) MarshalBinary() ([]byte, error) { return nil, errMarshal }
