package probe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// keyType says what kind of key to make.
type keyType struct {
	curve elliptic.Curve // nil: RSA or Ed25519
	bits  int            // of RSA
}

var p256 = keyType{curve: elliptic.P256()}

// maxRSA bounds how long a run takes that makes a key.
const maxRSA = 4096

func (k keyType) String() string {
	switch {
	case k.curve != nil:
		return k.curve.Params().Name
	case k.bits > 0:
		return fmt.Sprintf("RSA-%d", k.bits)
	}
	return "Ed25519"
}

func (k keyType) generate() (crypto.Signer, error) {
	switch {
	case k.curve != nil:
		return ecdsa.GenerateKey(k.curve, rand.Reader)
	case k.bits > 0:
		return rsa.GenerateKey(rand.Reader, k.bits)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

var (
	oidChallengePassword = pkix.OID{1, 2, 840, 113549, 1, 9, 7}
	oidRSA               = pkix.OID{1, 2, 840, 113549, 1, 1, 1}
	oidEC                = pkix.OID{1, 2, 840, 10045, 2, 1}
	oidEd25519           = pkix.OID{1, 3, 101, 112}
	curves               = map[string]elliptic.Curve{"1.2.840.10045.3.1.7": elliptic.P256(), "1.3.132.0.34": elliptic.P384(), "1.3.132.0.35": elliptic.P521()}
)

// attributes are what csrattrs says, as far as it matters here.
type attributes struct {
	bound bool      // requests need the channel binding of their connection
	keys  []keyType // that may be sent, the best first; nothing said: none
}

// readAttributes reads CsrAttrs (RFC 7030 section 4.5.2): object identifiers and
// attributes; those that are not known are passed over.
func readAttributes(der []byte) (out attributes, err error) {
	malformed := errors.New("the answer is no CsrAttrs (RFC 7030 section 4.5.2)")
	in := cryptobyte.String(der)
	var items cryptobyte.String
	if !in.ReadASN1(&items, casn1.SEQUENCE) || !in.Empty() {
		return out, malformed
	}
	for !items.Empty() {
		var id pkix.OID
		if items.PeekASN1Tag(casn1.OBJECT_IDENTIFIER) {
			if !items.ReadASN1ObjectIdentifier(&id) {
				return out, malformed
			}
			out.bound = out.bound || id.Equal(oidChallengePassword)
			continue
		}
		var attribute, values cryptobyte.String
		if !items.ReadASN1(&attribute, casn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&id) || !attribute.ReadASN1(&values, casn1.SET) || !attribute.Empty() {
			return out, malformed
		}
		if key, ok := readKeyType(id, values); ok {
			out.keys = append(out.keys, key)
		}
	}
	return out, nil
}

// readKeyType reads an attribute that tells a type of keys (RFC 9908 section 3.2).
func readKeyType(id pkix.OID, values cryptobyte.String) (keyType, bool) {
	switch {
	case id.Equal(oidEC):
		var name pkix.OID
		if !values.ReadASN1ObjectIdentifier(&name) {
			return keyType{}, false
		}
		curve, known := curves[name.String()]
		return keyType{curve: curve}, known
	case id.Equal(oidRSA):
		var bits int
		ok := values.ReadASN1Integer(&bits) && bits >= 2048 && bits <= maxRSA
		return keyType{bits: bits}, ok
	case id.Equal(oidEd25519):
		return keyType{}, true
	}
	return keyType{}, false
}
