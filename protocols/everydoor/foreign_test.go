package everydoor_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// What is wrong with a request decides how it is refused.
type fault string

const (
	none  fault = ""
	proof fault = "proof" // possession is not shown: the request does not read, or its signature does not hold or is by what is not taken
	key   fault = "key"   // possession is shown, of a key that nobody gets a certificate for
)

// foreign is a request that no door may take, or one that each must.
type foreign struct {
	name   string
	fault  fault
	holder crypto.Signer // the key that it is for; messages and handshakes are signed with it where it can
	sign   func(t *testing.T, info []byte) []byte
}

// der is the request for a subject and names, with further attributes.
func (f *foreign) der(t *testing.T, extensions []pkix.Extension, more ...[]byte) []byte {
	t.Helper()
	info := requestInfo(t, pkix.EmptyName, f.holder.Public(), extensions, more...)
	if f.sign == nil {
		return signedBy(t, info, f.holder)
	}
	return f.sign(t, info)
}

// assembled puts a request together with whatever algorithm and signature.
func assembled(info, algorithm, signature []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(info)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	return b.BytesOrPanic() // bytes always encode
}

// algorithm is an AlgorithmIdentifier; parameters are DER, nil: none.
func algorithm(id pkix.OID, parameters []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddBytes(parameters)
	})
	return b.BytesOrPanic() // the identifiers are constants
}

var null = []byte{5, 0}

// signature is that of a signer over a message, with a digest.
func signature(t *testing.T, s crypto.Signer, hash crypto.Hash, message []byte) []byte {
	t.Helper()
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	return fixture.Must(s.Sign(rand.Reader, message, hash))(t)
}

// foreignRequests are shared by all doors.
func foreignRequests(t *testing.T, g *gateway, blocked crypto.Signer) []foreign {
	t.Helper()
	curve, modulus := fixture.Key(t), fixture.Must(rsa.GenerateKey(rand.Reader, 2048))(t)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	others := map[crypto.Signer]crypto.Signer{curve: fixture.Key(t), modulus: g.keys["rsa-2048"][keyOfGo]}
	rsaSHA256, ecdsaSHA256 := algorithm(pkix.OID{1, 2, 840, 113549, 1, 1, 11}, null), algorithm(pkix.OID{1, 2, 840, 10045, 4, 3, 2}, nil)
	all := []foreign{
		{name: "sound, P-256", holder: curve},
		{name: "sound, RSA", holder: modulus},
		{name: "sound, Ed25519", holder: edwards},

		{"Ed25519, by another key", proof, edwards, func(t *testing.T, info []byte) []byte {
			_, other, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return assembled(info, algorithm(pkix.OID{1, 3, 101, 112}, nil), ed25519.Sign(other, info))
		}},
		{"Ed25519 with parameters", proof, edwards, func(_ *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 3, 101, 112}, null), ed25519.Sign(edwards, info)) // RFC 8410 section 3
		}},
		{"Ed448", proof, edwards, func(_ *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 3, 101, 113}, nil), ed25519.Sign(edwards, info))
		}},
		{"an RSA algorithm for a P-256 key", proof, curve, func(t *testing.T, info []byte) []byte {
			return assembled(info, rsaSHA256, signature(t, curve, crypto.SHA256, info))
		}},
		{"an RSA signature for a P-256 key", proof, curve, func(t *testing.T, info []byte) []byte {
			return assembled(info, rsaSHA256, signature(t, modulus, crypto.SHA256, info))
		}},
		{"an ECDSA algorithm for an RSA key", proof, modulus, func(t *testing.T, info []byte) []byte {
			return assembled(info, ecdsaSHA256, signature(t, modulus, crypto.SHA256, info))
		}},
		{"another digest than it says", proof, modulus, func(t *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 2, 840, 113549, 1, 1, 12}, null), signature(t, modulus, crypto.SHA256, info))
		}},
		{"SHA-1 with RSA", proof, modulus, func(t *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 2, 840, 113549, 1, 1, 5}, null), signature(t, modulus, crypto.SHA1, info))
		}},
		{"SHA-1 with ECDSA", proof, curve, func(t *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 2, 840, 10045, 4, 1}, nil), signature(t, curve, crypto.SHA1, info))
		}},
		{"MD5 with RSA", proof, modulus, func(t *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 2, 840, 113549, 1, 1, 4}, null), signature(t, modulus, crypto.MD5, info))
		}},
		{"RSA-PSS", proof, modulus, func(t *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 2, 840, 113549, 1, 1, 10}, pssSHA256), pss(t, modulus, info))
		}},
		{"RSA-PSS under the name of PKCS #1 v1.5", proof, modulus, func(t *testing.T, info []byte) []byte {
			return assembled(info, rsaSHA256, pss(t, modulus, info))
		}},
		{"PKCS #1 v1.5 with parameters of PSS", proof, modulus, func(t *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 2, 840, 113549, 1, 1, 11}, pssSHA256), signature(t, modulus, crypto.SHA256, info))
		}},
		{"an algorithm that nobody knows", proof, curve, func(t *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 2, 3, 4}, nil), signature(t, curve, crypto.SHA256, info))
		}},
		{"no signature, as RFC 9925 has it", proof, curve, func(_ *testing.T, info []byte) []byte {
			return assembled(info, algorithm(pkix.OID{1, 3, 6, 1, 5, 5, 7, 6, 36}, nil), nil)
		}},
		{"an ECDSA signature of zeros", proof, curve, func(_ *testing.T, info []byte) []byte {
			return assembled(info, ecdsaSHA256, []byte{0x30, 6, 2, 1, 0, 2, 1, 0})
		}},
		{"octets behind it", proof, curve, func(t *testing.T, info []byte) []byte {
			return append(signedBy(t, info, curve), 5, 0)
		}},
		{"the CA's own key", key, g.issuer.key, nil},
		{"a key that was revoked for compromise", key, blocked, nil},
	}
	for name, signer := range map[string]crypto.Signer{"P-256": curve, "RSA": modulus} {
		by := map[string][]byte{"P-256": ecdsaSHA256, "RSA": rsaSHA256}[name]
		all = append(all,
			foreign{name + ", by another key", proof, signer, func(t *testing.T, info []byte) []byte {
				return assembled(info, by, signature(t, others[signer], crypto.SHA256, info))
			}},
			foreign{name + ", over other octets", proof, signer, func(t *testing.T, info []byte) []byte {
				changed := slices.Clone(info)
				changed[len(changed)-1] ^= 1
				return assembled(info, by, signature(t, signer, crypto.SHA256, changed))
			}},
			foreign{name + ", cut short", proof, signer, func(t *testing.T, info []byte) []byte {
				s := signature(t, signer, crypto.SHA256, info)
				return assembled(info, by, s[:len(s)-1])
			}},
			foreign{name + ", empty", proof, signer, func(_ *testing.T, info []byte) []byte { return assembled(info, by, nil) }},
			foreign{name + ", a whole request cut short", proof, signer, func(t *testing.T, info []byte) []byte {
				whole := assembled(info, by, signature(t, signer, crypto.SHA256, info))
				return whole[:len(whole)-8]
			}})
	}
	for name, weak := range map[string]crypto.Signer{"P-224": fixture.Must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t), "RSA of 1024 bits": weakRSA(prime(t, 512), prime(t, 512), 65537),
		"RSA with exponent 3": weakRSA(primeFor3(t), primeFor3(t), 3), "RSA with the ROCA fingerprint": weakRSA(rocaPrime(t), rocaPrime(t), 65537), "RSA with close primes": closeRSA(t)} {
		by := rsaSHA256
		if name == "P-224" {
			by = ecdsaSHA256
		}
		all = append(all, foreign{name, key, weak, func(t *testing.T, info []byte) []byte {
			return assembled(info, by, signature(t, weak, crypto.SHA256, info))
		}})
	}
	return all
}

// pssSHA256 is RSASSA-PSS-params for SHA-256 and a salt of 32 octets (RFC 4055 section 3.1).
var pssSHA256 = []byte{0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
	0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
	0xa2, 0x03, 0x02, 0x01, 0x20}

func pss(t *testing.T, k *rsa.PrivateKey, message []byte) []byte {
	t.Helper()
	digest := crypto.SHA256.New()
	digest.Write(message)
	return fixture.Must(rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest.Sum(nil), &rsa.PSSOptions{SaltLength: 32}))(t)
}

// weakKey signs by the textbook, as crypto/rsa would not with such a key.
type weakKey struct {
	public *rsa.PublicKey
	d      *big.Int
}

func weakRSA(p, q *big.Int, e int64) *weakKey {
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	return &weakKey{&rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e)}, new(big.Int).ModInverse(big.NewInt(e), phi)}
}

func (k *weakKey) Public() crypto.PublicKey { return k.public }

// sha256Prefix is the DigestInfo of RFC 8017 section 9.2 before a SHA-256 digest.
var sha256Prefix = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// Sign is RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2.1).
func (k *weakKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	info := append(slices.Clone(sha256Prefix), digest...)
	size := k.public.Size()
	padded := append(append(append([]byte{0, 1}, slices.Repeat([]byte{0xff}, size-len(info)-3)...), 0), info...)
	return new(big.Int).Exp(new(big.Int).SetBytes(padded), k.d, k.public.N).FillBytes(make([]byte, size)), nil
}

func prime(t *testing.T, bits int) *big.Int {
	t.Helper()
	return fixture.Must(rand.Prime(rand.Reader, bits))(t)
}

// primeFor3 is a prime whose predecessor 3 does not divide.
func primeFor3(t *testing.T) *big.Int {
	t.Helper()
	for {
		if p := prime(t, 1024); new(big.Int).Mod(p, big.NewInt(3)).Int64() == 2 {
			return p
		}
	}
}

// rocaPrime is one as RSALib made them: k times the product of the first primes,
// and a power of 65537 (CVE-2017-15361).
func rocaPrime(t *testing.T) *big.Int {
	t.Helper()
	product := big.NewInt(1)
	for n := int64(2); n <= 167; n++ {
		if big.NewInt(n).ProbablyPrime(0) {
			product.Mul(product, big.NewInt(n))
		}
	}
	top := new(big.Int).Lsh(big.NewInt(3), 1022) // so that two of them make 2048 bits
	for {
		a := fixture.Must(rand.Int(rand.Reader, product))(t)
		power := new(big.Int).Exp(big.NewInt(65537), a, product)
		k := fixture.Must(rand.Int(rand.Reader, new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 1022), product)))(t)
		k.Add(k, new(big.Int).Div(top, product))
		p := new(big.Int).Add(k.Mul(k, product), power)
		if p.BitLen() == 1024 && p.ProbablyPrime(20) && new(big.Int).Mod(p, big.NewInt(65537)).Int64() != 1 {
			return p
		}
	}
}

// closeRSA has two primes that follow each other.
func closeRSA(t *testing.T) *weakKey {
	t.Helper()
	p := prime(t, 1024)
	q := new(big.Int).Add(p, big.NewInt(2))
	for !q.ProbablyPrime(20) {
		q.Add(q, big.NewInt(2))
	}
	return weakRSA(p, q, 65537)
}

// certificateFor is a certificate for any key, signed by another one.
func certificateFor(t *testing.T, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(78), NotBefore: now, NotAfter: now}
	return fixture.Must(x509.ParseCertificate(fixture.Must(x509.CreateCertificate(rand.Reader, template, template, public, fixture.Key(t)))(t)))(t)
}
