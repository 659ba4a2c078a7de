package cms

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
)

// RFC 4055 section 4.1.
var (
	oidOAEP    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidPSource = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 9}
)

// KeyTransport encrypts for the RSA key of a certificate (RFC 5652 section 6.2.1).
type KeyTransport struct {
	Certificate Certificate
	ByKeyID     bool        // named by subject key identifier
	OAEP        crypto.Hash // RSAES-OAEP with this hash, in MGF1 too; 0 is PKCS #1 v1.5
}

// RSAKey opens what was encrypted for the RSA key of a certificate. Decrypter
// is asked with *rsa.PKCS1v15DecryptOptions that have SessionKeyLen set, or
// with *rsa.OAEPOptions.
type RSAKey struct {
	Certificate Certificate
	Decrypter   crypto.Decrypter
}

// readKeyTransport reads KeyTransRecipientInfo.
func readKeyTransport(in cryptobyte.String) ([]RecipientInfo, bool) {
	r := RecipientInfo{Kind: KeyTransportRecipient}
	var version int
	ok := in.ReadASN1Integer(&version) && r.Identifier.read(&in)
	if !ok {
		return nil, false
	}
	if r.algorithm, ok = readAlgorithm(&in, cbasn1.SEQUENCE); !ok {
		return nil, false
	}
	ok = in.ReadASN1Bytes(&r.encryptedKey, cbasn1.OCTET_STRING) && in.Empty()
	return []RecipientInfo{r}, ok
}

func (k KeyTransport) wrap(cek []byte) ([]byte, int, error) {
	key, ok := k.Certificate.Key.Parsed().(*rsa.PublicKey)
	if !ok {
		return nil, 0, algorithmf("RSA key transport for a key of type %s", k.Certificate.Key.Algorithm())
	}
	if err := checkKey(key); err != nil {
		return nil, 0, err
	}
	if _, err := digestOID(k.OAEP); k.OAEP != 0 && (err != nil || k.OAEP == crypto.MD5) {
		return nil, 0, algorithmf("RSAES-OAEP with %v", k.OAEP)
	}
	id, err := k.Certificate.identifier(k.ByKeyID)
	if err != nil {
		return nil, 0, err
	}
	var encrypted []byte
	if k.OAEP == 0 {
		encrypted, err = rsa.EncryptPKCS1v15(rand.Reader, key, cek)
	} else {
		encrypted, err = rsa.EncryptOAEP(k.OAEP.New(), rand.Reader, key, cek, nil)
	}
	if err != nil {
		return nil, 0, err
	}
	version := 0
	if k.ByKeyID {
		version = 2
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(version))
		id.add(b)
		k.addAlgorithm(b)
		b.AddASN1OctetString(encrypted)
	})
	der, err := b.Bytes()
	return der, version, err
}

func (k KeyTransport) addAlgorithm(b *cryptobyte.Builder) {
	if k.OAEP == 0 {
		addAlgorithm(b, cbasn1.SEQUENCE, oidRSA, null)
		return
	}
	addAlgorithm(b, cbasn1.SEQUENCE, oidOAEP, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if k.OAEP != crypto.SHA1 { // the DEFAULT, which DER leaves out
				addHashes(b, k.OAEP)
			}
		})
	})
}

func (k RSAKey) matches(r *RecipientInfo) bool {
	return r.Kind == KeyTransportRecipient && r.Identifier.Matches(k.Certificate)
}

func (k RSAKey) prepare(r *RecipientInfo, _ Floor) (unwrapper, error) {
	if k.Decrypter == nil {
		return nil, algorithmf("RSA key transport with a key that does not decrypt")
	}
	public, ok := k.Decrypter.Public().(*rsa.PublicKey)
	if !ok {
		return nil, algorithmf("RSA key transport for a key of type %T", k.Decrypter.Public())
	}
	if err := checkKey(public); err != nil {
		return nil, err
	}
	switch {
	case r.algorithm.oid.Equal(oidRSA) && r.algorithm.empty():
		return func(size int, _ blockMaker) ([]byte, int, error) {
			return k.unwrap(r.encryptedKey, size, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: size})
		}, nil
	case r.algorithm.oid.Equal(oidOAEP):
		opts, err := readOAEP(r.algorithm.params)
		return func(size int, _ blockMaker) ([]byte, int, error) { return k.unwrap(r.encryptedKey, size, opts) }, err
	}
	return nil, algorithmf("key encryption %s", r.algorithm.oid)
}

// unwrap makes a random key first and goes on with it where the private key
// has none to give, so that the failure is that of the content (RFC 3218
// section 2.3.2). With PKCS #1 v1.5 nobody here learns which of both it is.
func (k RSAKey) unwrap(encrypted []byte, size int, opts crypto.DecrypterOpts) ([]byte, int, error) {
	random := make([]byte, size)
	rand.Read(random) // never fails (crypto/rand)
	cek, err := k.Decrypter.Decrypt(rand.Reader, encrypted, opts)
	if err != nil {
		if notOfTheMessage(err) {
			return nil, 0, err
		}
		cek = nil
	}
	candidate, ok := sized(cek, size)
	clear(cek)
	return choose(ok, candidate, random), 1, nil
}

// notOfTheMessage tells a key that cannot be asked now from a message that it
// does not decrypt; only the first may show.
func notOfTheMessage(err error) bool {
	return ca.IsKind(err, ca.Unavailable) || ca.IsKind(err, ca.Internal) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// readOAEP reads RSAES-OAEP-params (RFC 4055 section 4.1). SHA-1 is fine here:
// nothing rests on its collisions.
func readOAEP(params cryptobyte.String) (*rsa.OAEPOptions, error) {
	opts := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	if len(params) == 0 {
		return opts, nil
	}
	var seq, field cryptobyte.String
	var has bool
	if !params.ReadASN1(&seq, cbasn1.SEQUENCE) || !params.Empty() {
		return nil, syntaxf("malformed RSAES-OAEP parameters")
	}
	if err := readHashes(&seq, &opts.Hash, &opts.MGFHash); err != nil {
		return nil, err
	}
	if opts.Hash == crypto.MD5 || opts.MGFHash == crypto.MD5 {
		return nil, algorithmf("RSAES-OAEP with MD5")
	}
	if !seq.ReadOptionalASN1(&field, &has, tag2) || !seq.Empty() {
		return nil, syntaxf("malformed RSAES-OAEP parameters")
	}
	if has {
		source, ok := readAlgorithm(&field, cbasn1.SEQUENCE)
		if !ok || !field.Empty() || !source.oid.Equal(oidPSource) || !source.params.ReadASN1Bytes(&opts.Label, cbasn1.OCTET_STRING) {
			return nil, syntaxf("malformed RSAES-OAEP label")
		}
	}
	return opts, nil
}
