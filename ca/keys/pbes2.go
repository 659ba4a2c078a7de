package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"fmt"
	"hash"

	"github.com/enrollgate/enrollgate/ca"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/scrypt"
)

const (
	minIterations   = 1_000 // RFC 8018 section 4.2
	maxIterations   = 10_000_000
	minSalt         = 8 // octets, RFC 8018 section 4.1
	maxSalt         = 128
	maxScryptMemory = 256 << 20 // octets
	maxScryptPasses = 16
)

// RFC 8018 appendices A and B, RFC 7914 section 7, NIST's AES arc.
var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// prfOf gives the hash of an HMAC object identifier; nil for one not read.
func prfOf(oid asn1.ObjectIdentifier) func() hash.Hash {
	switch oid.String() {
	case "1.2.840.113549.2.7":
		return sha1.New
	case "1.2.840.113549.2.8":
		return sha256.New224
	case oidSHA256.String():
		return sha256.New
	case "1.2.840.113549.2.10":
		return sha512.New384
	case "1.2.840.113549.2.11":
		return sha512.New
	}
	return nil
}

// aesKeyLen gives the key length of an AES-CBC object identifier in octets; 0
// for one not read.
func aesKeyLen(oid asn1.ObjectIdentifier) int {
	switch oid.String() {
	case "2.16.840.1.101.3.4.1.2":
		return 16
	case "2.16.840.1.101.3.4.1.22":
		return 24
	case oidAES256.String():
		return 32
	}
	return 0
}

// encryptedKey is a checked EncryptedPrivateKeyInfo (RFC 5958 section 3) under
// PBES2 with AES-CBC.
type encryptedKey struct {
	kdf    kdf
	keyLen int // octets
	iv     []byte
	data   []byte
}

// kdf makes a key of keyLen octets from a password.
type kdf interface {
	derive(password []byte, keyLen int) ([]byte, error)
}

type pbkdf2Params struct {
	prf        func() hash.Hash
	salt       []byte
	iterations int
}

func (p pbkdf2Params) derive(password []byte, keyLen int) ([]byte, error) {
	return pbkdf2.Key(p.prf, string(password), p.salt, p.iterations, keyLen)
}

type scryptParams struct {
	salt    []byte
	n, r, p int
}

func (p scryptParams) derive(password []byte, keyLen int) ([]byte, error) {
	return scrypt.Key(password, p.salt, p.n, p.r, p.p, keyLen)
}

// parseEncrypted reads the structure and bounds every cost in it before any
// password is tried.
func parseEncrypted(der []byte) (*encryptedKey, error) {
	in := cryptobyte.String(der)
	var info, pbes2, kdfAlg, encAlg, data cryptobyte.String
	var scheme, kdfOID, encOID asn1.ObjectIdentifier
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, errNotPKCS8
	}
	var alg cryptobyte.String
	if !info.ReadASN1(&alg, cbasn1.SEQUENCE) || !info.ReadASN1(&data, cbasn1.OCTET_STRING) || !info.Empty() ||
		!alg.ReadASN1ObjectIdentifier(&scheme) {
		return nil, errNotPKCS8
	}
	if !scheme.Equal(oidPBES2) {
		return nil, errCipher
	}
	// RFC 8018 appendix A.4.
	if !alg.ReadASN1(&pbes2, cbasn1.SEQUENCE) || !alg.Empty() ||
		!pbes2.ReadASN1(&kdfAlg, cbasn1.SEQUENCE) || !pbes2.ReadASN1(&encAlg, cbasn1.SEQUENCE) || !pbes2.Empty() ||
		!kdfAlg.ReadASN1ObjectIdentifier(&kdfOID) || !encAlg.ReadASN1ObjectIdentifier(&encOID) {
		return nil, errNotPKCS8
	}
	key := &encryptedKey{keyLen: aesKeyLen(encOID), data: data}
	if key.keyLen == 0 {
		return nil, errCipher
	}
	// RFC 8018 appendix B.2.5.
	if !encAlg.ReadASN1Bytes(&key.iv, cbasn1.OCTET_STRING) || !encAlg.Empty() || len(key.iv) != aes.BlockSize ||
		len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, errNotPKCS8
	}
	var params cryptobyte.String
	if !kdfAlg.ReadASN1(&params, cbasn1.SEQUENCE) || !kdfAlg.Empty() {
		return nil, errNotPKCS8
	}
	var err error
	switch {
	case kdfOID.Equal(oidPBKDF2):
		key.kdf, err = parsePBKDF2(params, key.keyLen)
	case kdfOID.Equal(oidScrypt):
		key.kdf, err = parseScrypt(params, key.keyLen)
	default:
		err = errCipher
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

// parsePBKDF2 reads PBKDF2-params (RFC 8018 appendix A.2).
func parsePBKDF2(in cryptobyte.String, keyLen int) (kdf, error) {
	p := pbkdf2Params{prf: sha1.New} // the DEFAULT
	if !in.ReadASN1Bytes(&p.salt, cbasn1.OCTET_STRING) || !in.ReadASN1Integer(&p.iterations) || !readKeyLen(&in, keyLen) {
		return nil, errNotPKCS8
	}
	if !in.Empty() {
		var prf cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !in.ReadASN1(&prf, cbasn1.SEQUENCE) || !in.Empty() || !prf.ReadASN1ObjectIdentifier(&oid) ||
			!prf.Empty() && !bytes.Equal(prf, []byte{5, 0}) { // NULL
			return nil, errNotPKCS8
		}
		if p.prf = prfOf(oid); p.prf == nil {
			return nil, errCipher
		}
	}
	if p.iterations < minIterations || p.iterations > maxIterations || len(p.salt) < minSalt || len(p.salt) > maxSalt {
		return nil, ca.Wrap(ca.BadRequest, fmt.Errorf("%d iterations, salt of %d octets", p.iterations, len(p.salt)), errCipher.Public)
	}
	return p, nil
}

// parseScrypt reads scrypt-params (RFC 7914 section 7.1).
func parseScrypt(in cryptobyte.String, keyLen int) (kdf, error) {
	var p scryptParams
	if !in.ReadASN1Bytes(&p.salt, cbasn1.OCTET_STRING) || !in.ReadASN1Integer(&p.n) || !in.ReadASN1Integer(&p.r) ||
		!in.ReadASN1Integer(&p.p) || !readKeyLen(&in, keyLen) || !in.Empty() {
		return nil, errNotPKCS8
	}
	// N is a power of two above 1; the work is 128*N*r octets, p times over.
	if p.n < 2 || p.n&(p.n-1) != 0 || p.n > maxScryptMemory/128 || p.r < 1 || p.r > maxScryptMemory/128/p.n ||
		p.p < 1 || p.p > maxScryptPasses || len(p.salt) < minSalt || len(p.salt) > maxSalt {
		return nil, ca.Wrap(ca.BadRequest, fmt.Errorf("scrypt with N %d, r %d, p %d, salt of %d octets", p.n, p.r, p.p, len(p.salt)), errCipher.Public)
	}
	return p, nil
}

// readKeyLen reads the optional key length, which must be the cipher's.
func readKeyLen(in *cryptobyte.String, want int) bool {
	if !in.PeekASN1Tag(cbasn1.INTEGER) {
		return true
	}
	var got int
	return in.ReadASN1Integer(&got) && got == want
}
