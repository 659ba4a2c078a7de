package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

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
	base, err := pkix.Subtree(pkix.DNSName, "inside.example")
	if err != nil {
		t.Fatal(err)
	}
	facts := factsOf(t, key)
	facts.Bounds.Names = []*pkix.NameConstraints{{Permitted: []pkix.GeneralName{base}, Excluded: []pkix.GeneralName{{Kind: pkix.DirectoryName, Raw: facts.Subject}}}}
	c := &crooked{t: t, key: key, facts: facts}
	c.sign = func(tbs []byte) []byte {
		t.Error("it was signed")
		return c.honest(tbs)
	}
	a := c.authority()
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
