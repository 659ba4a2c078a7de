package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

func subjectKey(t testing.TB, pub crypto.PublicKey) pkix.PublicKey {
	t.Helper()
	key, err := pkix.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func prime(t testing.TB, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func next(p *big.Int) *big.Int {
	q := new(big.Int).Add(p, big.NewInt(2))
	for !q.ProbablyPrime(10) {
		q.Add(q, big.NewInt(2))
	}
	return q
}

// rocaModulus has the fingerprint of RSALib's keys and is otherwise sound: a
// power of 65537 modulo the product of the primes up to 167.
func rocaModulus(t testing.TB) *big.Int {
	t.Helper()
	m := big.NewInt(2)
	for _, p := range smallPrimes {
		if p <= 167 {
			m.Mul(m, big.NewInt(p))
		}
	}
	residue := new(big.Int).Exp(big.NewInt(65537), prime(t, 60), m)
	for {
		k, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(2048-m.BitLen())))
		if err != nil {
			t.Fatal(err)
		}
		n := k.Mul(k, m).Add(k, residue)
		if n.BitLen() == 2048 && !hasSmallFactor(n) {
			return n
		}
	}
}

func TestCheckKeyRefuses(t *testing.T) {
	sound, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := prime(t, 1024)
	product := func(a, b *big.Int) *big.Int { return new(big.Int).Mul(a, b) }
	withFactor := product(big.NewInt(751), prime(t, 2040))
	for name, c := range map[string]struct {
		key  crypto.PublicKey
		says string
	}{
		"1024 bits":      {&rsa.PublicKey{N: product(prime(t, 512), prime(t, 512)), E: 65537}, "shorter"},
		"2047 bits":      {&rsa.PublicKey{N: new(big.Int).Rsh(sound.N, 1), E: 65537}, "shorter"},
		"8193 bits":      {&rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).Set(sound.N), 8192, 1), E: 65537}, "longer"},
		"exponent 3":     {&rsa.PublicKey{N: sound.N, E: 3}, "exponent"},
		"exponent 65535": {&rsa.PublicKey{N: sound.N, E: 65535}, "exponent"},
		"even exponent":  {&rsa.PublicKey{N: sound.N, E: 65538}, "exponent"},
		"even modulus":   {&rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).Set(sound.N), 0, 0), E: 65537}, "even"},
		"factor 751":     {&rsa.PublicKey{N: withFactor, E: 65537}, "small prime factor"},
		"ROCA":           {&rsa.PublicKey{N: rocaModulus(t), E: 65537}, "ROCA"},
		"close primes":   {&rsa.PublicKey{N: product(p, next(p)), E: 65537}, "close together"},
		"equal primes":   {&rsa.PublicKey{N: product(p, p), E: 65537}, "close together"},
		"P-224":          {p224.Public(), "curve"},
	} {
		err := CheckKey(subjectKey(t, c.key))
		if e := AsError(err); !IsKind(err, Denied) || !strings.Contains(e.Public, c.says) || e.Field != "key" || e.Rule != "global floor" {
			t.Errorf("%s: %v, want Denied that says %q", name, err, c.says)
		}
	}
	unknown, err := pkix.ParsePublicKey([]byte{0x30, 0x0b, 0x30, 4, 6, 2, 0x2a, 3, 3, 3, 0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []pkix.PublicKey{unknown, {}} {
		if err := CheckKey(key); !IsKind(err, Denied) {
			t.Errorf("a key of type %q: %v", key.Algorithm(), err)
		}
	}
}

func TestCheckKeyAccepts(t *testing.T) {
	for range 3 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckKey(subjectKey(t, k.Public())); err != nil {
			t.Errorf("a fresh RSA key: %v", err)
		}
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckKey(subjectKey(t, k.Public())); err != nil {
			t.Errorf("%s: %v", curve.Params().Name, err)
		}
	}
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckKey(subjectKey(t, pub)); err != nil {
		t.Errorf("Ed25519: %v", err)
	}
}
