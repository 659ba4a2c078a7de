package pkix

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1" // CSRs of granted legacy clients only
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// SignatureAlgorithm is one row of the table: how a signature is named on the
// wire, and how it is made and checked. A new algorithm is a new row.
type SignatureAlgorithm struct {
	Name   string      // as openssl and configuration print it
	Hash   crypto.Hash // 0: the algorithm signs the message itself (Ed25519)
	Legacy bool        // SHA-1: never in what we sign; on a CSR only where the endpoint grants it
	oid    OID
	null   bool // parameters are NULL (RFC 4055 section 5) instead of absent
	family string
	der    []byte // the whole AlgorithmIdentifier
}

var signatureTable = []*SignatureAlgorithm{
	{Name: "sha256WithRSAEncryption", Hash: crypto.SHA256, oid: OID{1, 2, 840, 113549, 1, 1, 11}, null: true, family: "rsa"},
	{Name: "sha384WithRSAEncryption", Hash: crypto.SHA384, oid: OID{1, 2, 840, 113549, 1, 1, 12}, null: true, family: "rsa"},
	{Name: "sha512WithRSAEncryption", Hash: crypto.SHA512, oid: OID{1, 2, 840, 113549, 1, 1, 13}, null: true, family: "rsa"},
	{Name: "ecdsa-with-SHA256", Hash: crypto.SHA256, oid: OID{1, 2, 840, 10045, 4, 3, 2}, family: "ecdsa"},
	{Name: "ecdsa-with-SHA384", Hash: crypto.SHA384, oid: OID{1, 2, 840, 10045, 4, 3, 3}, family: "ecdsa"},
	{Name: "ecdsa-with-SHA512", Hash: crypto.SHA512, oid: OID{1, 2, 840, 10045, 4, 3, 4}, family: "ecdsa"},
	{Name: "Ed25519", oid: OID{1, 3, 101, 112}, family: "ed25519"},
	{Name: "sha1WithRSAEncryption", Hash: crypto.SHA1, Legacy: true, oid: OID{1, 2, 840, 113549, 1, 1, 5}, null: true, family: "rsa"},
	{Name: "ecdsa-with-SHA1", Hash: crypto.SHA1, Legacy: true, oid: OID{1, 2, 840, 10045, 4, 1}, family: "ecdsa"},
}

// keySignature says which row a signing key uses: the key decides the digest.
var keySignature = map[string]string{
	"ecdsa-p256": "ecdsa-with-SHA256",
	"ecdsa-p384": "ecdsa-with-SHA384",
	"ecdsa-p521": "ecdsa-with-SHA512",
	"rsa-2048":   "sha256WithRSAEncryption",
	"rsa-3072":   "sha256WithRSAEncryption",
	"rsa-4096":   "sha512WithRSAEncryption",
	"ed25519":    "Ed25519",
}

func init() {
	for _, a := range signatureTable {
		var b cryptobyte.Builder
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(a.oid)
			if a.null {
				b.AddASN1NULL()
			}
		})
		a.der = b.BytesOrPanic() // constant input
	}
}

// SignatureFor gives the algorithm that a key signs with, by the key alone.
func SignatureFor(key PublicKey) (*SignatureAlgorithm, error) {
	name, ok := keySignature[key.Algorithm()]
	if !ok {
		return nil, fmt.Errorf("no signature algorithm for a key of type %s", key.Algorithm())
	}
	return signatureByName(name), nil
}

func signatureByName(name string) *SignatureAlgorithm {
	for _, a := range signatureTable {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// parseSignatureAlgorithm finds the row of an AlgorithmIdentifier, given whole.
// RSA parameters may also be absent, as RFC 4055 section 5 lets verifiers accept.
func parseSignatureAlgorithm(der []byte) (*SignatureAlgorithm, error) {
	for _, a := range signatureTable {
		if bytes.Equal(a.der, der) {
			return a, nil
		}
	}
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	var oid OID
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1ObjectIdentifier((*OID)(&oid)) {
		return nil, errors.New("signature algorithm: malformed AlgorithmIdentifier")
	}
	for _, a := range signatureTable {
		if a.oid.Equal(oid) && a.null && seq.Empty() {
			return a, nil
		}
	}
	return nil, fmt.Errorf("signature algorithm %s with these parameters is not supported", oid)
}

// DER is the whole AlgorithmIdentifier.
func (a *SignatureAlgorithm) DER() []byte { return a.der }

// Digest hashes a message as the algorithm's signer wants it: the digest, or
// the message itself for algorithms without a separate digest.
func (a *SignatureAlgorithm) Digest(message []byte) []byte {
	if a.Hash == 0 {
		return message
	}
	h := a.Hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// Verify checks a signature over a message.
func (a *SignatureAlgorithm) Verify(key PublicKey, message, signature []byte) error {
	ok := false
	switch pub := key.Parsed().(type) {
	case *rsa.PublicKey:
		ok = a.family == "rsa" && rsa.VerifyPKCS1v15(pub, a.Hash, a.Digest(message), signature) == nil
	case *ecdsa.PublicKey:
		ok = a.family == "ecdsa" && ecdsa.VerifyASN1(pub, a.Digest(message), signature)
	case ed25519.PublicKey:
		ok = a.family == "ed25519" && ed25519.Verify(pub, message, signature)
	default:
		return fmt.Errorf("cannot verify with a key of type %s", key.Algorithm())
	}
	if !ok {
		return fmt.Errorf("%s signature does not verify with this %s key", a.Name, key.Algorithm())
	}
	return nil
}
