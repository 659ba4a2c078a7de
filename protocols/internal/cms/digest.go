package cms

import (
	"crypto"
	_ "crypto/md5"  // where a Floor grants it
	_ "crypto/sha1" // where a Floor grants it, and in OAEP and PBKDF2
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Floor grants what is refused by default (design.md, invariant 4). The caller
// counts what was used: SignerInfo.Hash and Envelope.Cipher tell.
type Floor struct {
	MD5  bool // in signatures
	SHA1 bool // in signatures, and in the key derivation of ECDH recipients
	DES3 bool // DES-EDE3-CBC
	DES  bool // DES-CBC
}

func (f Floor) hash(h crypto.Hash) error {
	switch {
	case h == crypto.MD5 && !f.MD5, h == crypto.SHA1 && !f.SHA1:
		return algorithmf("digest %v is not granted here", h)
	}
	return nil
}

// digests (RFC 3370 section 2, RFC 5754 section 2).
var digests = []struct {
	hash crypto.Hash
	oid  asn1.ObjectIdentifier
}{
	{crypto.SHA256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}},
	{crypto.SHA384, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}},
	{crypto.SHA512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}},
	{crypto.SHA1, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}},
	{crypto.MD5, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}},
}

// hashOf reads a digest algorithm; its parameters are absent or NULL.
func hashOf(a algorithm) (crypto.Hash, error) {
	for _, d := range digests {
		if d.oid.Equal(a.oid) && a.empty() {
			return d.hash, nil
		}
	}
	return 0, algorithmf("digest %s", a.oid)
}

func digestOID(h crypto.Hash) (asn1.ObjectIdentifier, error) {
	for _, d := range digests {
		if d.hash == h {
			return d.oid, nil
		}
	}
	return nil, algorithmf("digest %v", h)
}

// addDigest adds a digest algorithm. SHA-1 and MD5 have NULL for parameters,
// the others none (RFC 3370 section 2, RFC 5754 section 2).
func addDigest(b *cryptobyte.Builder, tag cbasn1.Tag, h crypto.Hash) {
	oid, err := digestOID(h)
	if err != nil {
		b.SetError(err)
		return
	}
	params := null
	if h != crypto.SHA1 && h != crypto.MD5 {
		params = nil
	}
	addAlgorithm(b, tag, oid, params)
}

func digest(h crypto.Hash, message []byte) []byte {
	w := h.New()
	w.Write(message)
	return w.Sum(nil)
}
