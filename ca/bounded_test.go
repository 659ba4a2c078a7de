package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// TestBounded: what the CA's chain leaves no room for is refused before it is
// signed, and names before they are proven.
func TestBounded(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := pkix.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	algorithm, err := pkix.SignatureFor(public)
	if err != nil {
		t.Fatal(err)
	}
	oid, _ := pkix.AttributeOID("CN")
	name, err := pkix.NewAttribute(oid, "test")
	if err != nil {
		t.Fatal(err)
	}
	subject, err := pkix.MarshalName([]pkix.RDN{{name}})
	if err != nil {
		t.Fatal(err)
	}
	base, err := pkix.Subtree(pkix.DNSName, "inside.example")
	if err != nil {
		t.Fatal(err)
	}
	c := &crooked{t: t, key: key, facts: Facts{Tenant: "default", CA: "issuing", Subject: subject, Key: public, Signature: algorithm,
		NotBefore: at.Add(-time.Hour), NotAfter: at.AddDate(1, 0, 0), Bounds: Bounds{Names: []*pkix.NameConstraints{
			{Permitted: []pkix.GeneralName{base}, Excluded: []pkix.GeneralName{{Kind: pkix.DirectoryName, Raw: subject}}}}}}}
	c.sign = func(tbs []byte) []byte {
		t.Error("it was signed")
		return c.honest(tbs)
	}
	a, err := NewAuthority(Parts{Policy: c, Linter: c, Issuers: c, Ledger: c, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return at },
		Endpoints: []Endpoint{{ID: "e", Door: caller.ACME, Tenant: "default", CA: "issuing", Profile: "p", Policies: [][]caller.Method{{caller.ACMEAccount}}}}})
	if err != nil {
		t.Fatal(err)
	}
	who := account(t, "e", "a")
	r := a.Enroll(t.Context(), &Request{Trace: "T", Endpoint: "e", Operation: Enroll, Caller: who, Possession: fixedKey(t), // the policy gives it the subject
		Claims: []claim.Claim{authorization(t, who, "a.example")}})[0]
	if !IsKind(r.Err, Denied) || AsError(r.Err).Rule != "RFC 5280 section 4.2.1.10" {
		t.Errorf("an excluded subject: %v", r.Err)
	}
	for host, ok := range map[string]bool{"host.inside.example": true, "outside.example": false} {
		asked := &Request{Trace: "T", Endpoint: "e", Operation: Enroll, Caller: who}
		asked.Asserted.AltNames = []pkix.GeneralName{pkix.DNS(host)}
		if _, err := a.Check(t.Context(), asked); (err == nil) != ok || err != nil && !IsKind(err, Denied) {
			t.Errorf("%s: %v", host, err)
		}
	}
}
