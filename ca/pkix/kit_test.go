package pkix

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
	"time"
)

// signers are made once, by the name that PublicKey.Algorithm gives.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	out := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{"ecdsa-p256": elliptic.P256(), "ecdsa-p384": elliptic.P384(), "ecdsa-p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		out[name] = k
	}
	for name, bits := range map[string]int{"rsa-2048": 2048, "rsa-4096": 4096} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		out[name] = k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	out["ed25519"] = ed
	return out
})

// must gives a result or ends the test.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	return must[[]byte](t)(hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s)))
}

func mustName(t testing.TB, rdns ...RDN) RawName {
	t.Helper()
	return must[RawName](t)(MarshalName(rdns))
}

func attribute(t testing.TB, name, text string) Attribute {
	t.Helper()
	oid, ok := AttributeOID(name)
	if !ok {
		t.Fatalf("no attribute %s", name)
	}
	return must[Attribute](t)(NewAttribute(oid, text))
}

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	end   = time.Date(2051, 3, 1, 11, 59, 59, 0, time.UTC) // GeneralizedTime
)

// template is a certificate with every extension that we encode.
func template(t testing.TB, subject, issuer PublicKey, isCA bool) *Template {
	t.Helper()
	ext := must[Extension](t)
	usage, pathLen := DigitalSignature|NonRepudiation, -1
	if isCA {
		usage, pathLen = KeyCertSign|CRLSign, 0
	}
	tpl := &Template{
		Serial: unhex(t, "5f0a0102030405060708090a0b0c0d0e"), Signature: must[*SignatureAlgorithm](t)(SignatureFor(issuer)),
		Issuer:    mustName(t, RDN{attribute(t, "C", "DE")}, RDN{attribute(t, "O", "Examplé")}, RDN{attribute(t, "CN", "Test Root")}),
		Subject:   mustName(t, RDN{attribute(t, "DC", "example")}, RDN{attribute(t, "CN", "host.example"), attribute(t, "SERIALNUMBER", "42")}),
		NotBefore: start, NotAfter: end, Key: subject,
		Extensions: []Extension{
			ext(MarshalBasicConstraints(isCA, pathLen)),
			ext(MarshalKeyUsage(usage)),
			ext(MarshalExtKeyUsage([]OID{ExtKeyUsages["serverAuth"], {1, 2, 3, 4}}, false)),
			ext(MarshalSubjectKeyID(subject.KeyID())),
			ext(MarshalAuthorityKeyID(issuer.KeyID())),
			ext(MarshalAuthorityInfoAccess([]string{"http://pki.example/ocsp"}, []string{"http://pki.example/ca.cer"})),
			ext(MarshalCRLDistributionPoints([]string{"http://pki.example/1.crl", "http://pki.example/2.crl"})),
			ext(MarshalCertificatePolicies([]OID{{1, 2, 3, 4, 5}})),
			ext(MarshalSubjectAltName([]GeneralName{DNS("host.example"), {IPAddress, []byte{192, 0, 2, 1}}, {RFC822Name, []byte("a@host.example")}, {URI, []byte("https://host.example/x")}}, false)),
		},
	}
	if isCA {
		tpl.Subject = tpl.Issuer
		tpl.Extensions = append(tpl.Extensions[:2], tpl.Extensions[3:5]...)
	}
	return tpl
}

// sign makes the whole certificate with a crypto.Signer.
func sign(t testing.TB, tpl *Template, key crypto.Signer) []byte {
	t.Helper()
	tbs := must[[]byte](t)(tpl.MarshalTBS())
	signature := must[[]byte](t)(key.Sign(rand.Reader, tpl.Signature.Digest(tbs), tpl.Signature.Hash))
	return must[[]byte](t)(Assemble(tbs, tpl.Signature, signature))
}
