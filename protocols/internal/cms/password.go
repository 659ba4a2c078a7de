package cms

import (
	"crypto"
	"crypto/pbkdf2"
	"crypto/rand"
	"encoding/asn1"
	"hash"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	tagPassword = cbasn1.Tag(3).ContextSpecific().Constructed()

	oidPBKDF2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}       // RFC 8018 appendix A.2
	oidPWRIKEK = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 9} // RFC 3211 section 2.3
)

// prfs are the HMACs of PBKDF2 (RFC 8018 appendix B.1).
var prfs = []struct {
	hash crypto.Hash
	last int // of 1.2.840.113549.2
}{{crypto.SHA1, 7}, {crypto.SHA256, 9}, {crypto.SHA384, 10}, {crypto.SHA512, 11}}

// What PBKDF2 may cost, and its salt.
const (
	defaultIterations    = 10_000
	defaultMinIterations = 1_000 // RFC 8018 section 4.2
	defaultMaxIterations = 1_000_000
	minSalt              = 8   // octets, RFC 8018 section 4.1
	maxSalt              = 128 // octets
)

// Password is a secret that both sides have (RFC 5652 section 6.2.4), under
// PBKDF2. It encrypts and opens.
type Password struct {
	Secret []byte

	// Iterations to encrypt with, 0 for 10,000: enough for the random secrets
	// that this program makes, too few for words that people choose.
	Iterations int
	Hash       crypto.Hash // HMAC to encrypt with; 0 is SHA-256
	// KeyWrap encrypts with AES-256 key wrap, as CMP wants it (RFC 9481 section
	// 4.3), instead of the PWRI-KEK of RFC 3211 with AES-256-CBC.
	KeyWrap bool

	// Bounds of iterations to open with; 0 for 1,000 and 1,000,000.
	MinIterations, MaxIterations int
}

// readPassword reads PasswordRecipientInfo.
func readPassword(in cryptobyte.String) ([]RecipientInfo, bool) {
	r := RecipientInfo{Kind: PasswordRecipient}
	var version int
	ok := in.ReadASN1Integer(&version)
	if ok && in.PeekASN1Tag(tag0) {
		r.derivation, ok = readAlgorithm(&in, tag0)
	}
	if !ok {
		return nil, false
	}
	if r.algorithm, ok = readAlgorithm(&in, cbasn1.SEQUENCE); !ok {
		return nil, false
	}
	ok = in.ReadASN1Bytes(&r.encryptedKey, cbasn1.OCTET_STRING) && in.Empty()
	return []RecipientInfo{r}, ok
}

// derivation is PBKDF2-params (RFC 8018 appendix A.2).
type derivation struct {
	salt       []byte
	iterations int
	hash       crypto.Hash
}

func (d derivation) key(secret []byte, size int) ([]byte, error) {
	return pbkdf2.Key(func() hash.Hash { return d.hash.New() }, string(secret), d.salt, d.iterations, size)
}

// readDerivation reads the parameters and bounds what they cost; size is that of
// the key.
func (k *Password) readDerivation(a algorithm, size int) (d derivation, err error) {
	if !a.oid.Equal(oidPBKDF2) {
		return d, algorithmf("key derivation %s", a.oid)
	}
	in := a.params
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1Bytes(&d.salt, cbasn1.OCTET_STRING) || !seq.ReadASN1Integer(&d.iterations) {
		return d, syntaxf("malformed PBKDF2 parameters")
	}
	length := size
	if seq.PeekASN1Tag(cbasn1.INTEGER) && !seq.ReadASN1Integer(&length) {
		return d, syntaxf("malformed PBKDF2 key length")
	}
	d.hash = crypto.SHA1 // the DEFAULT
	if !seq.Empty() {
		prf, ok := readAlgorithm(&seq, cbasn1.SEQUENCE)
		if !ok || !seq.Empty() {
			return d, syntaxf("malformed PBKDF2 function")
		}
		d.hash = 0
		for _, p := range prfs {
			if prf.oid.Equal(prfOID(p.last)) && prf.empty() {
				d.hash = p.hash
			}
		}
		if d.hash == 0 {
			return d, algorithmf("PBKDF2 with %s", prf.oid)
		}
	}
	low, high := k.MinIterations, k.MaxIterations
	if low == 0 {
		low = defaultMinIterations
	}
	if high == 0 {
		high = defaultMaxIterations
	}
	if d.iterations < low || d.iterations > high || len(d.salt) < minSalt || len(d.salt) > maxSalt || length != size {
		return d, algorithmf("PBKDF2 with %d iterations, a salt of %d and a key of %d octets", d.iterations, len(d.salt), length)
	}
	return d, nil
}

func prfOID(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 2, last}
}

func (k *Password) matches(r *RecipientInfo) bool { return r.Kind == PasswordRecipient }

func (k *Password) prepare(r *RecipientInfo, floor Floor) (unwrapper, error) {
	if len(k.Secret) == 0 {
		return nil, algorithmf("password recipient with an empty password")
	}
	if !r.algorithm.oid.Equal(oidPWRIKEK) {
		size, err := wrapKeySize(r.algorithm)
		if err != nil {
			return nil, err
		}
		d, err := k.readDerivation(r.derivation, size)
		return unwrapperOf(r.encryptedKey, func() ([]byte, error) { return d.key(k.Secret, size) }), err
	}
	params := r.algorithm.params
	inner, ok := readAlgorithm(&params, cbasn1.SEQUENCE)
	if !ok {
		return nil, syntaxf("malformed cipher of a password recipient")
	}
	row := cipherRowOf(inner.oid)
	if row == nil || row.gcm || !row.id.GrantedBy(floor) {
		return nil, algorithmf("password recipient with cipher %s", inner.oid)
	}
	p, err := row.readParams(inner.params)
	if err != nil {
		return nil, err
	}
	d, err := k.readDerivation(r.derivation, row.key)
	return func(size int, blocks blockMaker) ([]byte, int, error) {
		kek, err := d.key(k.Secret, row.key)
		if err != nil {
			return nil, 0, err
		}
		defer clear(kek)
		block, err := blocks(row.kind, kek)
		if err != nil {
			return nil, 0, err
		}
		cek, ok := unwrapPWRI(block, p.nonce, r.encryptedKey, size)
		return cek, ok, nil
	}, err
}

func (k *Password) wrap(cek []byte) ([]byte, int, error) {
	if len(k.Secret) == 0 {
		return nil, 0, algorithmf("password recipient with an empty password")
	}
	d := derivation{salt: make([]byte, 16), iterations: k.Iterations, hash: k.Hash}
	rand.Read(d.salt) // never fails (crypto/rand)
	if d.iterations == 0 {
		d.iterations = defaultIterations
	}
	if d.hash == 0 {
		d.hash = crypto.SHA256
	}
	prf := 0
	for _, p := range prfs {
		if p.hash == d.hash {
			prf = p.last
		}
	}
	if prf == 0 || d.iterations < defaultMinIterations {
		return nil, 0, algorithmf("PBKDF2 with %v and %d iterations", d.hash, d.iterations)
	}
	row := AES256CBC.row()
	kek, err := d.key(k.Secret, row.key)
	if err != nil {
		return nil, 0, err
	}
	defer clear(kek)
	var wrapped, iv []byte
	if k.KeyWrap {
		if wrapped, err = wrapKey(kek, cek); err != nil {
			return nil, 0, err
		}
	} else {
		block, err := newBlock(row.kind, kek)
		if err != nil {
			return nil, 0, err
		}
		iv = make([]byte, row.nonce)
		rand.Read(iv) // never fails (crypto/rand)
		wrapped = wrapPWRI(block, iv, cek)
	}
	var b cryptobyte.Builder
	b.AddASN1(tagPassword, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		addAlgorithm(b, tag0, oidPBKDF2, func(b *cryptobyte.Builder) { d.add(b, prf) })
		if k.KeyWrap {
			addAlgorithm(b, cbasn1.SEQUENCE, wrapOID(row.key), nil)
		} else {
			addAlgorithm(b, cbasn1.SEQUENCE, oidPWRIKEK, func(b *cryptobyte.Builder) { row.add(b, contentParams{nonce: iv}) })
		}
		b.AddASN1OctetString(wrapped)
	})
	der, err := b.Bytes()
	return der, 0, err
}

// add writes PBKDF2-params.
func (d derivation) add(b *cryptobyte.Builder, prf int) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(d.salt)
		b.AddASN1Int64(int64(d.iterations))
		if d.hash != crypto.SHA1 { // the DEFAULT, which DER leaves out
			addAlgorithm(b, cbasn1.SEQUENCE, prfOID(prf), null)
		}
	})
}
