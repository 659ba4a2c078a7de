package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// The clock of every test here.
var now = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)

// fatal is what *testing.T, *testing.B and *rapid.T have in common.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// keys are made once: RSA generation is slow.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	out := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{"ecdsa-p256": elliptic.P256(), "ecdsa-p384": elliptic.P384(), "ecdsa-p521": elliptic.P521(), "ecdsa-P-224": elliptic.P224()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
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
	for name, bits := range map[string]int{"rsa-2048": 2048, "rsa-3072": 3072} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		out[name] = k
	}
	return out
})

// possession proves a key of keys() with a CSR.
func possession(t fatal, key string) claim.Possession {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: stdpkix.Name{}}, keys()[key])
	if err != nil {
		t.Fatalf("making a CSR: %v", err)
	}
	_, p, err := claim.VerifyCSR(der, false)
	if err != nil {
		t.Fatalf("verifying our own CSR: %v", err)
	}
	return p
}

// proof makes an ACME claim for a name, by dns-01 for wildcards.
func proof(t fatal, name string, method claim.Method) claim.Claim {
	t.Helper()
	identifier, wildcard := strings.CutPrefix(name, "*.")
	c, err := claim.FromAuthorization(claim.NewVerifier(caller.ACME), claim.ValidatedAuthorization{ID: "az", Owner: "acme-account:a",
		Identifier: identifier, Wildcard: wildcard, Challenge: method, Status: "valid", Validated: now.Add(-time.Minute), Expires: now.Add(time.Hour), Now: now})
	if err != nil {
		t.Fatalf("making a claim for %s: %v", name, err)
	}
	return c
}

func serviceIP(t fatal, address string) claim.Claim {
	t.Helper()
	c, err := claim.FromServiceName(claim.NewVerifier(caller.System), claim.ServiceName{Owner: "service:tls", IP: netip.MustParseAddr(address), At: now})
	if err != nil {
		t.Fatalf("making a claim for %s: %v", address, err)
	}
	return c
}

// request asks for names that were all proven by http-01 (wildcards: dns-01).
func request(t fatal, names ...string) *ca.Request {
	t.Helper()
	r := &ca.Request{Endpoint: "e", Operation: ca.Enroll, Possession: possession(t, "ecdsa-p256")}
	for _, n := range names {
		method := claim.HTTP01
		if strings.HasPrefix(n, "*.") {
			method = claim.DNS01
		}
		r.Claims = append(r.Claims, proof(t, n, method))
	}
	return r
}

// facts are those of an issuer that lives until 2030.
func facts(t fatal) *ca.Facts {
	t.Helper()
	key, err := pkix.NewPublicKey(keys()["ecdsa-p384"].Public())
	if err != nil {
		t.Fatalf("issuer key: %v", err)
	}
	algorithm, err := pkix.SignatureFor(key)
	if err != nil {
		t.Fatalf("issuer algorithm: %v", err)
	}
	return &ca.Facts{Tenant: "default", CA: "issuing", Subject: subject(t, "CN", "Test Issuing CA"), KeyID: key.KeyID(), Key: key, Signature: algorithm,
		NotBefore: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), AIA: []string{"http://pki.example/aia/issuing.cer"}}
}

// subject makes a Name of pairs of attribute and value, an RDN each.
func subject(t fatal, pairs ...string) pkix.RawName {
	t.Helper()
	var rdns []pkix.RDN
	for i := 0; i < len(pairs); i += 2 {
		oid, ok := pkix.AttributeOID(pairs[i])
		if !ok {
			t.Fatalf("no attribute %s", pairs[i])
		}
		rdns = append(rdns, pkix.RDN{{Type: oid, Tag: 12, Value: []byte(pairs[i+1])}})
	}
	raw, err := pkix.MarshalName(rdns)
	if err != nil {
		t.Fatalf("name: %v", err)
	}
	return raw
}

func builtin(t fatal, id string) *Profile {
	t.Helper()
	w, ok, err := BuiltinByID(id)
	if err != nil || !ok {
		t.Fatalf("no built-in %s: %v", id, err)
	}
	return compiled(t, w)
}

func compiled(t fatal, w Written) *Profile {
	t.Helper()
	p, err := Compile(w)
	if err != nil {
		t.Fatalf("compiling %s: %v", w.ID, err)
	}
	return p
}

func decided(t fatal, p *Profile, r *ca.Request) *ca.Decision {
	t.Helper()
	d, err := p.Decide(r, facts(t), now)
	if err != nil {
		t.Fatalf("refused: %v (field %s, rule %s)", err, ca.AsError(err).Field, ca.AsError(err).Rule)
	}
	return d
}

// sans prints the names of a decision.
func sans(d *ca.Decision) string {
	var all []string
	for _, n := range d.AltNames {
		all = append(all, n.String())
	}
	return strings.Join(all, " ")
}

func BenchmarkDecide(b *testing.B) {
	p, r, f := builtin(b, "privatessl-tls-server"), request(b, "www.example.com", "example.com"), facts(b)
	r.Asserted.AltNames = []pkix.GeneralName{pkix.DNS("www.example.com"), pkix.DNS("example.com")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Decide(r, f, now); err != nil {
			b.Fatal(err)
		}
	}
}
