package cms

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// oidECKey is id-ecPublicKey (RFC 5480 section 2.1.1).
var oidECKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// agreements are dhSinglePass-stdDH and, the same on these curves,
// dhSinglePass-cofactorDH with X9.63 key derivation (RFC 5753 section 7.1.4).
var agreements = []struct {
	hash          crypto.Hash
	std, cofactor asn1.ObjectIdentifier
}{
	{crypto.SHA256, asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, asn1.ObjectIdentifier{1, 3, 132, 1, 14, 1}},
	{crypto.SHA384, asn1.ObjectIdentifier{1, 3, 132, 1, 11, 2}, asn1.ObjectIdentifier{1, 3, 132, 1, 14, 2}},
	{crypto.SHA512, asn1.ObjectIdentifier{1, 3, 132, 1, 11, 3}, asn1.ObjectIdentifier{1, 3, 132, 1, 14, 3}},
	{crypto.SHA1, asn1.ObjectIdentifier{1, 3, 133, 16, 840, 63, 0, 2}, asn1.ObjectIdentifier{1, 3, 133, 16, 840, 63, 0, 3}},
}

// KeyAgreement encrypts for the key of a certificate on P-256, P-384 or P-521
// by ephemeral-static ECDH (RFC 5753 section 3.1). The key wrap is AES with a
// key at least as long as the content's.
type KeyAgreement struct {
	Certificate Certificate
	ByKeyID     bool        // named by subject key identifier
	Hash        crypto.Hash // of the key derivation; 0 is SHA-256
}

// ECKey opens what was encrypted for the EC key of a certificate.
type ECKey struct {
	Certificate Certificate
	Agreer      Agreer
}

// Agreer is a private key that does ECDH; *ecdh.PrivateKey is one.
type Agreer interface {
	ECDH(remote *ecdh.PublicKey) ([]byte, error)
}

// readKeyAgreement reads KeyAgreeRecipientInfo (RFC 5652 section 6.2.2): one
// recipient for each key in it. The originator must be an ephemeral public key.
func readKeyAgreement(in cryptobyte.String) (all []RecipientInfo, ok bool) {
	r := RecipientInfo{Kind: KeyAgreementRecipient}
	var version int
	var originator, public, ukm, keys cryptobyte.String
	var has bool
	if !in.ReadASN1Integer(&version) || !in.ReadASN1(&originator, tag0) || !in.ReadOptionalASN1(&ukm, &has, tag1) {
		return nil, false
	}
	if has && (!ukm.ReadASN1Bytes(&r.ukm, cbasn1.OCTET_STRING) || !ukm.Empty()) {
		return nil, false
	}
	if r.algorithm, ok = readAlgorithm(&in, cbasn1.SEQUENCE); !ok || !in.ReadASN1(&keys, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	if originator.PeekASN1Tag(tag1) { // a certificate's key is for nobody here
		a, ok := algorithm{}, originator.ReadASN1(&public, tag1) && originator.Empty()
		if ok {
			a, ok = readAlgorithm(&public, cbasn1.SEQUENCE)
		}
		if !ok || !public.ReadASN1BitStringAsBytes(&r.originator) || !public.Empty() {
			return nil, false
		}
		if !a.oid.Equal(oidECKey) {
			r.originator = nil
		}
	}
	for !keys.Empty() {
		one := r
		var key cryptobyte.String
		if len(all) >= maxRecipients || !keys.ReadASN1(&key, cbasn1.SEQUENCE) || !one.readKeyIdentifier(&key) ||
			!key.ReadASN1Bytes(&one.encryptedKey, cbasn1.OCTET_STRING) || !key.Empty() {
			return nil, false
		}
		all = append(all, one)
	}
	return all, true
}

// readKeyIdentifier reads KeyAgreeRecipientIdentifier; date and other of
// RecipientKeyIdentifier are passed over.
func (r *RecipientInfo) readKeyIdentifier(in *cryptobyte.String) bool {
	if in.PeekASN1Tag(cbasn1.SEQUENCE) {
		return r.Identifier.readIssuerAndSerial(in)
	}
	var id cryptobyte.String
	return in.ReadASN1(&id, tag0) && id.ReadASN1Bytes(&r.SubjectKeyID, cbasn1.OCTET_STRING) && len(r.SubjectKeyID) > 0
}

func (k KeyAgreement) wrap(cek []byte) ([]byte, int, error) {
	public, err := ecdhKey(k.Certificate)
	if err != nil {
		return nil, 0, err
	}
	id, err := k.Certificate.identifier(k.ByKeyID)
	if err != nil {
		return nil, 0, err
	}
	hash, scheme := k.Hash, asn1.ObjectIdentifier(nil)
	if hash == 0 {
		hash = crypto.SHA256
	}
	for _, a := range agreements {
		if a.hash == hash && hash != crypto.SHA1 {
			scheme = a.std
		}
	}
	if scheme == nil {
		return nil, 0, algorithmf("key agreement with %v", hash)
	}
	ephemeral, err := public.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, 0, err
	}
	z, err := ephemeral.ECDH(public)
	if err != nil {
		return nil, 0, err
	}
	defer clear(z)
	size := max(16, (len(cek)+7)/8*8)
	var wb cryptobyte.Builder
	addAlgorithm(&wb, cbasn1.SEQUENCE, wrapOID(size), nil)
	wrapAlgorithm, err := wb.Bytes()
	if err != nil {
		return nil, 0, err
	}
	kek, err := deriveX963(hash, z, wrapAlgorithm, nil, size)
	if err != nil {
		return nil, 0, err
	}
	defer clear(kek)
	wrapped, err := wrapKey(kek, cek)
	if err != nil {
		return nil, 0, err
	}
	var b cryptobyte.Builder
	b.AddASN1(tag1, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(tag1, func(b *cryptobyte.Builder) {
				addAlgorithm(b, cbasn1.SEQUENCE, oidECKey, nil)
				b.AddASN1BitString(ephemeral.PublicKey().Bytes())
			})
		})
		addAlgorithm(b, cbasn1.SEQUENCE, scheme, func(b *cryptobyte.Builder) { b.AddBytes(wrapAlgorithm) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				id.addForAgreement(b)
				b.AddASN1OctetString(wrapped)
			})
		})
	})
	der, err := b.Bytes()
	return der, 3, err
}

// addForAgreement writes KeyAgreeRecipientIdentifier.
func (i Identifier) addForAgreement(b *cryptobyte.Builder) {
	if len(i.SubjectKeyID) > 0 {
		b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(i.SubjectKeyID) })
		return
	}
	i.addIssuerAndSerial(b)
}

func ecdhKey(c Certificate) (*ecdh.PublicKey, error) {
	public, ok := c.Key.Parsed().(*ecdsa.PublicKey)
	if !ok {
		return nil, algorithmf("key agreement for a key of type %s", c.Key.Algorithm())
	}
	if err := checkKey(public); err != nil {
		return nil, err
	}
	return public.ECDH()
}

func (k ECKey) matches(r *RecipientInfo) bool {
	return r.Kind == KeyAgreementRecipient && r.Identifier.Matches(k.Certificate)
}

func (k ECKey) prepare(r *RecipientInfo, floor Floor) (unwrapper, error) {
	public, err := ecdhKey(k.Certificate)
	if err != nil {
		return nil, err
	}
	var hash crypto.Hash
	for _, a := range agreements {
		if a.std.Equal(r.algorithm.oid) || a.cofactor.Equal(r.algorithm.oid) {
			hash = a.hash
		}
	}
	if hash == 0 || k.Agreer == nil {
		return nil, algorithmf("key agreement %s", r.algorithm.oid)
	}
	if err := floor.hash(hash); err != nil {
		return nil, err
	}
	params := r.algorithm.params
	wrap, ok := readAlgorithm(&params, cbasn1.SEQUENCE)
	if !ok {
		return nil, syntaxf("malformed key wrap of a key agreement")
	}
	size, err := wrapKeySize(wrap)
	if err != nil {
		return nil, err
	}
	remote, err := public.Curve().NewPublicKey(r.originator)
	if err != nil {
		return nil, syntaxf("the ephemeral key is not a point of the recipient's curve")
	}
	return unwrapperOf(r.encryptedKey, func() ([]byte, error) {
		z, err := k.Agreer.ECDH(remote)
		if err != nil {
			if notOfTheMessage(err) {
				return nil, err
			}
			z = make([]byte, len(r.originator)) // a made-up secret, so that the failure is that of the content
			rand.Read(z)                        // never fails (crypto/rand)
		}
		defer clear(z)
		return deriveX963(hash, z, wrap.raw, r.ukm, size)
	}), nil
}
