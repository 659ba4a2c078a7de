package pkix

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// PublicKey is a SubjectPublicKeyInfo: the raw DER and, where Go knows the
// algorithm, its parsed form. The zero value is not a key.
type PublicKey struct {
	raw       []byte
	bits      []byte // content of the subjectPublicKey BIT STRING
	parsed    crypto.PublicKey
	algorithm string
}

// maxSPKI bounds a SubjectPublicKeyInfo read from outside, in octets.
const maxSPKI = 16 << 10

// ParsePublicKey reads a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
// An algorithm that Go does not know is kept raw with a nil Parsed.
func ParsePublicKey(spki []byte) (PublicKey, error) {
	if len(spki) > maxSPKI {
		return PublicKey{}, fmt.Errorf("public key: longer than %d octets", maxSPKI)
	}
	in := cryptobyte.String(spki)
	var seq, alg cryptobyte.String
	var oid OID
	var bits []byte
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1(&alg, casn1.SEQUENCE) ||
		!alg.ReadASN1ObjectIdentifier((*OID)(&oid)) || !seq.ReadASN1BitStringAsBytes(&bits) || !seq.Empty() {
		return PublicKey{}, errors.New("public key: malformed SubjectPublicKeyInfo")
	}
	k := PublicKey{raw: spki, bits: bits, algorithm: oid.String()}
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		if isKnownKeyOID(oid) {
			return PublicKey{}, fmt.Errorf("public key: %w", err)
		}
		return k, nil
	}
	k.parsed, k.algorithm = parsed, keyAlgorithm(parsed, oid)
	return k, nil
}

// NewPublicKey encodes a key Go knows.
func NewPublicKey(pub crypto.PublicKey) (PublicKey, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return PublicKey{}, err
	}
	return ParsePublicKey(der)
}

// Raw is the DER SubjectPublicKeyInfo.
func (k PublicKey) Raw() []byte { return k.raw }

// Parsed is the key as crypto knows it, nil for algorithms it does not know.
func (k PublicKey) Parsed() crypto.PublicKey { return k.parsed }

// Algorithm names key type and size: "ecdsa-p256", "rsa-2048", "ed25519";
// RSA sizes are the modulus length in bits; unknown algorithms give the dotted OID.
func (k PublicKey) Algorithm() string { return k.algorithm }

// IsZero tells whether this is no key at all.
func (k PublicKey) IsZero() bool { return len(k.raw) == 0 }

// KeyID is the leftmost 160 bits of SHA-256 over the subjectPublicKey bits
// (RFC 7093 section 2, method 1).
func (k PublicKey) KeyID() []byte {
	sum := sha256.Sum256(k.bits)
	return sum[:20]
}

// Hash is SHA-256 over the whole SubjectPublicKeyInfo: how the store knows a key.
func (k PublicKey) Hash() [32]byte { return sha256.Sum256(k.raw) }

func keyAlgorithm(pub crypto.PublicKey, oid OID) string {
	switch p := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", p.N.BitLen())
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			return "ecdsa-p256"
		case elliptic.P384():
			return "ecdsa-p384"
		case elliptic.P521():
			return "ecdsa-p521"
		}
		return "ecdsa-" + p.Curve.Params().Name
	case ed25519.PublicKey:
		return "ed25519"
	}
	return oid.String()
}

func isKnownKeyOID(oid OID) bool {
	return oid.Equal(OID{1, 2, 840, 113549, 1, 1, 1}) || oid.Equal(OID{1, 2, 840, 10045, 2, 1}) || oid.Equal(OID{1, 3, 101, 112})
}
