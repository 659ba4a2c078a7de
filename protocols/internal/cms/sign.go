package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Signer is what makes one signature.
type Signer struct {
	Key         crypto.Signer
	Certificate Certificate // of the key; it names the signer
	ByKeyID     bool        // by its subject key identifier instead of issuer and serial

	Hash crypto.Hash // digest algorithm; 0 is SHA-256, and Ed25519 always has SHA-512

	// PlainRSA says rsaEncryption for the signature algorithm of PKCS #1 v1.5
	// (RFC 3370 section 3.2), which the oldest clients want; otherwise it is
	// sha256WithRSAEncryption or its like (RFC 5754 section 3.2).
	PlainRSA bool
	PSS      bool // RSASSA-PSS with a salt as long as the digest (RFC 4056)

	Attributes  Attributes // signed beside content-type and message-digest
	Unsigned    Attributes
	SigningTime time.Time // zero: not said
}

// Sign makes a ContentInfo with a SignedData that holds the content. All
// signatures are over signed attributes. The certificates and CRLs, DER, go in
// as they are, in their order; the signers' own go in only as one of them.
func Sign(contentType pkix.OID, content []byte, certificates, crls [][]byte, signers ...Signer) ([]byte, error) {
	data, err := SignData(contentType, content, certificates, crls, signers...)
	if err != nil {
		return nil, err
	}
	return MarshalContentInfo(OIDSignedData, data)
}

// SignData is Sign without the ContentInfo around it.
func SignData(contentType pkix.OID, content []byte, certificates, crls [][]byte, signers ...Signer) ([]byte, error) {
	var infos, hashes [][]byte
	version := int64(1) // RFC 5652 section 5.1
	if !contentType.Equal(OIDData) {
		version = 3
	}
	for _, s := range signers {
		if s.ByKeyID {
			version = 3
		}
		info, err := s.info(contentType, content)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
		var b cryptobyte.Builder
		addDigest(&b, cbasn1.SEQUENCE, s.hash())
		hash, err := b.Bytes()
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, len(content)+2048))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(version)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(sortedSet(distinct(hashes))) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(contentType)
			b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
		})
		addAll(b, 0, certificates)
		addAll(b, 1, crls)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(sortedSet(infos)) })
	})
	return b.Bytes()
}

func distinct(all [][]byte) (out [][]byte) {
	seen := map[string]bool{}
	for _, one := range all {
		if !seen[string(one)] {
			seen[string(one)] = true
			out = append(out, one)
		}
	}
	return out
}

func (s Signer) hash() crypto.Hash {
	if _, ok := s.Key.Public().(ed25519.PublicKey); ok {
		return crypto.SHA512 // RFC 8419 section 3.1
	}
	if s.Hash == 0 {
		return crypto.SHA256
	}
	return s.Hash
}

// info makes the SignerInfo.
func (s Signer) info(contentType pkix.OID, content []byte) ([]byte, error) {
	id, err := s.Certificate.identifier(s.ByKeyID)
	if err != nil {
		return nil, err
	}
	hash := s.hash()
	if _, err := digestOID(hash); err != nil {
		return nil, err
	}
	set, err := s.signed(contentType, digest(hash, content))
	if err != nil {
		return nil, err
	}
	addScheme, signature, err := s.sign(hash, asSet(set))
	if err != nil {
		return nil, err
	}
	unsigned, err := s.Unsigned.marshal()
	if err != nil {
		return nil, err
	}
	version := int64(1) // RFC 5652 section 5.3
	if s.ByKeyID {
		version = 3
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(version)
		id.add(b)
		addDigest(b, cbasn1.SEQUENCE, hash)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddBytes(set) })
		addScheme(b)
		b.AddASN1OctetString(signature)
		if len(unsigned) > 0 {
			b.AddASN1(tag1, func(b *cryptobyte.Builder) { b.AddBytes(unsigned) })
		}
	})
	return b.Bytes()
}

// signed makes the content of the signed attributes.
func (s Signer) signed(contentType pkix.OID, sum []byte) ([]byte, error) {
	typed, err := contentTypeAttribute(contentType)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1OctetString(sum)
	value, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	all := append(Attributes{typed, NewAttribute(oidMessageDigest, value)}, s.Attributes...)
	if !s.SigningTime.IsZero() {
		at, err := signingTime(s.SigningTime)
		if err != nil {
			return nil, err
		}
		all = append(all, at)
	}
	return all.marshal()
}

// sign makes the signature and tells how signatureAlgorithm is written.
func (s Signer) sign(hash crypto.Hash, message []byte) (func(*cryptobyte.Builder), []byte, error) {
	public := s.Key.Public()
	if err := checkKey(public); err != nil {
		return nil, nil, err
	}
	rsaOID, ecdsaOID := signatureOIDs(hash)
	var opts crypto.SignerOpts = hash
	var oid asn1.ObjectIdentifier
	var params func(*cryptobyte.Builder)
	input := digest(hash, message)
	switch public.(type) {
	case *rsa.PublicKey:
		oid, params = rsaOID, null
		switch {
		case s.PSS:
			oid, opts = oidPSS, &rsa.PSSOptions{SaltLength: hash.Size(), Hash: hash}
			params = func(b *cryptobyte.Builder) { addPSS(b, hash) }
		case s.PlainRSA:
			oid = oidRSA
		}
	case *ecdsa.PublicKey:
		oid = ecdsaOID
	case ed25519.PublicKey:
		oid, opts, input = oidEd25519, crypto.Hash(0), message
	}
	if oid == nil {
		return nil, nil, algorithmf("%v with a key of type %T", hash, public)
	}
	signature, err := s.Key.Sign(rand.Reader, input, opts)
	return func(b *cryptobyte.Builder) { addAlgorithm(b, cbasn1.SEQUENCE, oid, params) }, signature, err
}

// addPSS writes RSASSA-PSS-params (RFC 4055 section 3.1).
func addPSS(b *cryptobyte.Builder, hash crypto.Hash) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addHashes(b, hash)
		b.AddASN1(tag2, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(hash.Size())) })
	})
}
