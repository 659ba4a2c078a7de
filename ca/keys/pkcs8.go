package keys

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/enrollgate/enrollgate/ca"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	pemEncrypted = "ENCRYPTED PRIVATE KEY" // RFC 7468 section 11
	pemPlain     = "PRIVATE KEY"           // RFC 7468 section 10

	writeIterations = 600_000 // PBKDF2-HMAC-SHA256

	encryptHint = "openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000 -in OLD.pem -out NEW.pem"
)

var (
	errWrongPassword = ca.Errorf(ca.BadProof, "the password does not open this key; check the secret (a damaged file looks the same)")
	errNotPKCS8      = ca.Errorf(ca.BadRequest, "this is not a PKCS #8 private key in PEM; convert it with: %s", encryptHint)
	errPlain         = ca.Errorf(ca.Denied, "this private key is not encrypted; encrypt it with: %s", encryptHint)
	errCipher        = ca.Errorf(ca.BadRequest, "this private key is encrypted in a way that is not read here; encrypt it again with: %s", encryptHint)
)

// parseKeyPEM reads a file with exactly one PKCS #8 key. The secret is looked
// up only where the key is encrypted.
func parseKeyPEM(content []byte, secret Secret, plaintext bool) (crypto.Signer, error) {
	block, rest := pem.Decode(content)
	if block == nil || bytes.Contains(rest, []byte("-----BEGIN")) || len(block.Headers) > 0 {
		return nil, errNotPKCS8
	}
	defer clear(block.Bytes)
	switch block.Type {
	case pemEncrypted:
		sealed, err := parseEncrypted(block.Bytes)
		if err != nil {
			return nil, err
		}
		password, err := secret.Resolve()
		if err != nil {
			return nil, err
		}
		defer clear(password)
		plain, err := sealed.open(password)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		return parsePlain(plain)
	case pemPlain:
		if !plaintext {
			return nil, errPlain
		}
		if !isPrivateKeyInfo(block.Bytes) {
			return nil, errNotPKCS8
		}
		return parsePlain(block.Bytes)
	default:
		return nil, errNotPKCS8
	}
}

// parsePlain reads a PrivateKeyInfo.
func parsePlain(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, ca.Wrap(ca.BadRequest, err, "this private key is of a kind that is not supported here")
	}
	return checkKey(key)
}

// isPrivateKeyInfo checks the outer form of RFC 5958 section 2: version,
// algorithm, key, and what may follow. After a decryption it tells the right
// password from one that left valid padding by chance.
func isPrivateKeyInfo(der []byte) bool {
	in := cryptobyte.String(der)
	var info cryptobyte.String
	var version int
	return in.ReadASN1(&info, cbasn1.SEQUENCE) && in.Empty() &&
		info.ReadASN1Integer(&version) && (version == 0 || version == 1) &&
		info.SkipASN1(cbasn1.SEQUENCE) && info.SkipASN1(cbasn1.OCTET_STRING)
}

// open decrypts. Wrong padding and a wrong inner form give the same error.
func (k *encryptedKey) open(password []byte) ([]byte, error) {
	derived, err := k.kdf.derive(password, k.keyLen)
	if err != nil {
		return nil, ca.InternalError(fmt.Errorf("derive a key: %w", err))
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	plain := make([]byte, len(k.data))
	cipher.NewCBCDecrypter(block, k.iv).CryptBlocks(plain, k.data)
	// RFC 8018 section 6.1.1, step 4.
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(pad)}, pad)) ||
		!isPrivateKeyInfo(plain[:len(plain)-pad]) {
		clear(plain)
		return nil, errWrongPassword
	}
	return plain[:len(plain)-pad], nil
}

// sealPEM encrypts a PrivateKeyInfo with PBES2: PBKDF2-HMAC-SHA256 over a
// 16-octet salt, AES-256-CBC.
func sealPEM(der, password []byte, iterations int) ([]byte, error) {
	if len(password) == 0 {
		return nil, errors.New("no password to encrypt with")
	}
	salt, iv := make([]byte, 16), make([]byte, aes.BlockSize)
	rand.Read(salt) // never fails (crypto/rand)
	rand.Read(iv)
	params := pbkdf2Params{prf: sha256.New, salt: salt, iterations: iterations}
	derived, err := params.derive(password, 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(der)%aes.BlockSize
	data := append(bytes.Clone(der), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)

	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addAlgorithm(b, oidPBES2, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addAlgorithm(b, oidPBKDF2, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1OctetString(salt)
						b.AddASN1Int64(int64(iterations))
						addAlgorithm(b, oidSHA256, (*cryptobyte.Builder).AddASN1NULL)
					})
				})
				addAlgorithm(b, oidAES256, func(b *cryptobyte.Builder) { b.AddASN1OctetString(iv) })
			})
		})
		b.AddASN1OctetString(data)
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemEncrypted, Bytes: out}), nil
}

// addAlgorithm writes an AlgorithmIdentifier.
func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, params func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		params(b)
	})
}
