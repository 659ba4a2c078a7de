package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"encoding/asn1"
	"math/bits"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Cipher is a content-encryption algorithm.
type Cipher uint8

// RFC 3565 section 2.2, RFC 5084 section 3.2, RFC 3370 section 5.1; DES-CBC is
// from before them (OIW) and what the oldest SCEP clients have.
const (
	AES128CBC Cipher = iota + 1
	AES192CBC
	AES256CBC
	AES128GCM
	AES192GCM
	AES256GCM
	DES3CBC
	DESCBC
)

// cipherRow is what there is to know of one.
type cipherRow struct {
	id      Cipher
	name    string
	oid     asn1.ObjectIdentifier
	kind    blockKind
	key     int // octets
	nonce   int // octets of IV or nonce
	block   int // octets of a block in CBC
	gcm     bool
	granted func(Floor) bool // nil: always
}

// blockKind is a block cipher.
type blockKind uint8

const (
	kindAES blockKind = iota
	kindDES3
	kindDES
)

// blockMaker makes a block cipher. Tests count what it does.
type blockMaker func(kind blockKind, key []byte) (cipher.Block, error)

func newBlock(kind blockKind, key []byte) (cipher.Block, error) {
	switch kind {
	case kindDES3:
		return des.NewTripleDESCipher(key)
	case kindDES:
		return des.NewCipher(key)
	}
	return aes.NewCipher(key)
}

const gcmNonce = 12 // octets (RFC 5084 section 3.2)

var ciphers = []cipherRow{
	{id: AES128CBC, name: "aes-128-cbc", oid: nistAES(2), key: 16, nonce: 16, block: 16},
	{id: AES192CBC, name: "aes-192-cbc", oid: nistAES(22), key: 24, nonce: 16, block: 16},
	{id: AES256CBC, name: "aes-256-cbc", oid: nistAES(42), key: 32, nonce: 16, block: 16},
	{id: AES128GCM, name: "aes-128-gcm", oid: nistAES(6), key: 16, nonce: gcmNonce, gcm: true},
	{id: AES192GCM, name: "aes-192-gcm", oid: nistAES(26), key: 24, nonce: gcmNonce, gcm: true},
	{id: AES256GCM, name: "aes-256-gcm", oid: nistAES(46), key: 32, nonce: gcmNonce, gcm: true},
	{id: DES3CBC, name: "des-ede3-cbc", oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, kind: kindDES3, key: 24, nonce: 8, block: 8,
		granted: func(f Floor) bool { return f.DES3 }},
	{id: DESCBC, name: "des-cbc", oid: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}, kind: kindDES, key: 8, nonce: 8, block: 8,
		granted: func(f Floor) bool { return f.DES }},
}

// nistAES is an object identifier of NIST's AES arc.
func nistAES(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, last}
}

// String names the cipher as openssl does.
func (c Cipher) String() string {
	if row := c.row(); row != nil {
		return row.name
	}
	return "unknown cipher"
}

// Authenticated tells whether the content goes into AuthEnvelopedData.
func (c Cipher) Authenticated() bool {
	row := c.row()
	return row != nil && row.gcm
}

// GrantedBy tells whether the cipher may be used over this floor.
func (c Cipher) GrantedBy(f Floor) bool {
	row := c.row()
	return row != nil && (row.granted == nil || row.granted(f))
}

// CipherByName finds a cipher by the name that String gives.
func CipherByName(name string) (Cipher, bool) {
	for i := range ciphers {
		if ciphers[i].name == name {
			return ciphers[i].id, true
		}
	}
	return 0, false
}

func (c Cipher) row() *cipherRow {
	for i := range ciphers {
		if ciphers[i].id == c {
			return &ciphers[i]
		}
	}
	return nil
}

func cipherRowOf(oid asn1.ObjectIdentifier) *cipherRow {
	for i := range ciphers {
		if ciphers[i].oid.Equal(oid) {
			return &ciphers[i]
		}
	}
	return nil
}

// newKey makes a content-encryption key; those of DES have odd parity.
func (row *cipherRow) newKey() []byte {
	key := make([]byte, row.key)
	rand.Read(key) // never fails (crypto/rand)
	if row.kind != kindAES {
		for i, b := range key {
			key[i] = b&0xfe | byte(bits.OnesCount8(b&0xfe)+1)&1
		}
	}
	return key
}

// contentParams are the parameters of a content-encryption algorithm.
type contentParams struct {
	nonce []byte
	tag   int // octets of GCM's tag
}

// readParams reads the IV, or GCMParameters (RFC 5084 section 3.2), and checks
// the lengths.
func (row *cipherRow) readParams(params cryptobyte.String) (contentParams, error) {
	p := contentParams{tag: gcmNonce} // aes-ICVlen DEFAULT 12
	in := params
	if row.gcm && (!params.ReadASN1(&in, cbasn1.SEQUENCE) || !params.Empty()) {
		return p, syntaxf("malformed parameters of %s", row.name)
	}
	if !in.ReadASN1Bytes(&p.nonce, cbasn1.OCTET_STRING) ||
		row.gcm && !in.Empty() && !in.ReadASN1Integer(&p.tag) || !in.Empty() {
		return p, syntaxf("malformed parameters of %s", row.name)
	}
	if len(p.nonce) != row.nonce || p.tag < 12 || p.tag > 16 {
		return p, algorithmf("%s with a nonce of %d and a tag of %d octets", row.name, len(p.nonce), p.tag)
	}
	return p, nil
}

// add writes the AlgorithmIdentifier that readParams reads from.
func (row *cipherRow) add(b *cryptobyte.Builder, p contentParams) {
	addAlgorithm(b, cbasn1.SEQUENCE, row.oid, func(b *cryptobyte.Builder) {
		if !row.gcm {
			b.AddASN1OctetString(p.nonce)
			return
		}
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(p.nonce)
			b.AddASN1Int64(int64(p.tag))
		})
	})
}
