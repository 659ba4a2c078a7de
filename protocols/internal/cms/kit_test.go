package cms

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// old grants everything.
var old = Floor{MD5: true, SHA1: true, DES3: true, DES: true}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pemBlock(t testing.TB, name string) []byte {
	t.Helper()
	block, _ := pem.Decode(fixture(t, name))
	if block == nil {
		t.Fatalf("%s is not PEM", name)
	}
	return block.Bytes
}

// certificate of the fixture keys rsa, p256, p384 and p521.
func certificate(t testing.TB, name string) Certificate {
	t.Helper()
	return must[Certificate](t)(ReadCertificate(pemBlock(t, name+".pem")))
}

func privateKey(t testing.TB, name string) crypto.Signer {
	t.Helper()
	if key, ok := parsedKeys.Load(name); ok {
		return key.(crypto.Signer)
	}
	key, err := x509.ParsePKCS8PrivateKey(pemBlock(t, name+".key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	parsedKeys.Store(name, key)
	return key.(crypto.Signer)
}

// parsedKeys holds private keys, whose primes are tested whenever they are parsed.
var parsedKeys sync.Map

func rsaKey(t testing.TB) RSAKey {
	t.Helper()
	return RSAKey{Certificate: certificate(t, "rsa"), Decrypter: privateKey(t, "rsa").(crypto.Decrypter)}
}

func ecKey(t testing.TB, name string) ECKey {
	t.Helper()
	return ECKey{Certificate: certificate(t, name), Agreer: must[*ecdh.PrivateKey](t)(privateKey(t, name).(*ecdsa.PrivateKey).ECDH())}
}

// kek is what make.sh gives openssl for a KEK of that many octets.
func kek(size int) *KEK {
	k := &KEK{ID: []byte{0xc0, 0xff, 0xee}, Key: make([]byte, size)}
	for i := range k.Key {
		k.Key[i] = byte(i)
	}
	return k
}

func password() *Password { return &Password{Secret: []byte("secret")} }

var ed25519Key = sync.OnceValue(func() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return key
})

// smallKey has fewer bits than this package takes.
var smallKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return key
})

var p224Key = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return key
})

// selfSigned makes a certificate of a key.
func selfSigned(t testing.TB, key crypto.Signer) Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: stdpkix.Name{CommonName: "self"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), SubjectKeyId: []byte("self")}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return must[Certificate](t)(ReadCertificate(der))
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// openssl runs the program and fails the test where it does.
func openssl(t testing.TB, args ...string) []byte {
	t.Helper()
	harness.NeedPrograms(t)
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return out
}

// file writes bytes where openssl reads them.
func file(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
