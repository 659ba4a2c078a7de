package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1} // RFC 3370 section 3.2
	oidMGF1    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8} // RFC 4055 section 2.1
	oidPSS     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112} // RFC 8419 section 2.3
)

// signatures that name their digest (RFC 3370 section 3, RFC 5754 section 3).
var signatures = []struct {
	hash       crypto.Hash
	rsa, ecdsa asn1.ObjectIdentifier
}{
	{crypto.SHA256, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
	{crypto.SHA384, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}},
	{crypto.SHA512, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}},
	{crypto.SHA1, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}},
	{crypto.MD5, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, nil},
}

func signatureOIDs(h crypto.Hash) (rsa, ecdsa asn1.ObjectIdentifier) {
	for _, s := range signatures {
		if s.hash == h {
			return s.rsa, s.ecdsa
		}
	}
	return nil, nil
}

// checkKey takes the keys this package signs, verifies and encrypts with: RSA
// of 2048 to 8192 bits (design.md, invariant 4), ECDSA on the three curves,
// Ed25519.
func checkKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return algorithmf("an RSA key of %d bits", bits)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return nil
		}
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return nil
		}
	}
	return algorithmf("a key of type %T", key)
}

// verifierFor reads signatureAlgorithm for a key. The digest it names, if any,
// must be the digest algorithm (RFC 5754 section 3, RFC 5753 section 2.1.1).
func verifierFor(a algorithm, hash crypto.Hash, key crypto.PublicKey) (check func(message, signature []byte) error, err error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	rsaOID, ecdsaOID := signatureOIDs(hash)
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch {
		case a.oid.Equal(oidPSS):
			opts, err := readPSS(a, hash)
			return func(m, s []byte) error { return rsa.VerifyPSS(k, hash, digest(hash, m), s, opts) }, err
		case (a.oid.Equal(oidRSA) || a.oid.Equal(rsaOID)) && a.empty():
			return func(m, s []byte) error { return rsa.VerifyPKCS1v15(k, hash, digest(hash, m), s) }, nil
		}
	case *ecdsa.PublicKey:
		if ecdsaOID != nil && a.oid.Equal(ecdsaOID) && a.empty() {
			return func(m, s []byte) error { return verified(ecdsa.VerifyASN1(k, digest(hash, m), s)) }, nil
		}
	case ed25519.PublicKey:
		// RFC 8419 section 3.1: the digest algorithm is SHA-512.
		if a.oid.Equal(oidEd25519) && len(a.params) == 0 && hash == crypto.SHA512 {
			return func(m, s []byte) error { return verified(ed25519.Verify(k, m, s)) }, nil
		}
	}
	return nil, algorithmf("signature algorithm %s with %v and a key of type %T", a.oid, hash, key)
}

func verified(ok bool) error {
	if !ok {
		return errors.New("wrong signature")
	}
	return nil
}

// readPSS reads RSASSA-PSS-params (RFC 4055 section 3.1). Both hashes are the
// digest algorithm, as RFC 4056 section 3 wants it.
func readPSS(a algorithm, hash crypto.Hash) (*rsa.PSSOptions, error) {
	in := a.params
	var seq, field cryptobyte.String
	var has bool
	of, mgf, salt, trailer := crypto.SHA1, crypto.SHA1, 20, 1
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, algorithmf("RSASSA-PSS without parameters")
	}
	if err := readHashes(&seq, &of, &mgf); err != nil {
		return nil, err
	}
	if !seq.ReadOptionalASN1(&field, &has, tag2) || has && (!field.ReadASN1Integer(&salt) || !field.Empty()) {
		return nil, syntaxf("malformed RSASSA-PSS salt length")
	}
	if !seq.ReadOptionalASN1(&field, &has, cbasn1.Tag(3).ContextSpecific().Constructed()) ||
		has && (!field.ReadASN1Integer(&trailer) || !field.Empty()) || !seq.Empty() {
		return nil, syntaxf("malformed RSASSA-PSS parameters")
	}
	if of != hash || mgf != hash || trailer != 1 || salt < 1 || salt > 512 {
		return nil, algorithmf("RSASSA-PSS with %v, MGF1 with %v, a salt of %d octets and digest %v", of, mgf, salt, hash)
	}
	return &rsa.PSSOptions{SaltLength: salt, Hash: hash}, nil
}

// readHashes reads hash [0] and mask generation [1], which RSASSA-PSS-params
// and RSAES-OAEP-params begin with (RFC 4055 sections 3.1 and 4.1).
func readHashes(seq *cryptobyte.String, hash, mgf *crypto.Hash) error {
	var field cryptobyte.String
	var has bool
	var err error
	if !seq.ReadOptionalASN1(&field, &has, tag0) {
		return syntaxf("malformed hash algorithm of RSA parameters")
	}
	if has {
		a, ok := readAlgorithm(&field, cbasn1.SEQUENCE)
		if !ok || !field.Empty() {
			return syntaxf("malformed hash algorithm of RSA parameters")
		}
		if *hash, err = hashOf(a); err != nil {
			return err
		}
	}
	if !seq.ReadOptionalASN1(&field, &has, tag1) {
		return syntaxf("malformed mask generation of RSA parameters")
	}
	if !has {
		return nil
	}
	outer, ok := readAlgorithm(&field, cbasn1.SEQUENCE)
	if !ok || !field.Empty() {
		return syntaxf("malformed mask generation of RSA parameters")
	}
	inner, ok := readAlgorithm(&outer.params, cbasn1.SEQUENCE)
	if !ok || !outer.oid.Equal(oidMGF1) {
		return algorithmf("mask generation %s", outer.oid)
	}
	*mgf, err = hashOf(inner)
	return err
}

// addHashes writes what readHashes reads.
func addHashes(b *cryptobyte.Builder, hash crypto.Hash) {
	b.AddASN1(tag0, func(b *cryptobyte.Builder) { addDigest(b, cbasn1.SEQUENCE, hash) })
	b.AddASN1(tag1, func(b *cryptobyte.Builder) {
		addAlgorithm(b, cbasn1.SEQUENCE, oidMGF1, func(b *cryptobyte.Builder) { addDigest(b, cbasn1.SEQUENCE, hash) })
	})
}
