package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// crooked is an Authority's surroundings with an issuer that does what sign says.
type crooked struct {
	Ledger
	t        *testing.T
	key      *ecdsa.PrivateKey
	facts    Facts
	sign     func(tbs []byte) []byte
	recorded int
}

func (c *crooked) Note(Audit) {}

func (c *crooked) Record(_ context.Context, entries ...*Entry) ([]Recorded, error) {
	c.recorded += len(entries)
	return []Recorded{{Certificate: entries[0].Certificate}}, nil
}

func (c *crooked) Decide(*Endpoint, *Request, *Facts, time.Time) (*Decision, error) {
	usage, err := pkix.MarshalKeyUsage(pkix.DigitalSignature)
	return &Decision{Profile: "p", Subject: c.facts.Subject, NotBefore: at, NotAfter: at.Add(24 * time.Hour), Extensions: []pkix.Extension{usage}}, err
}

func (c *crooked) Renewable(*Endpoint, *Renewed) (RenewalTerms, error) {
	return RenewalTerms{}, errors.New("reached")
}

func (c *crooked) Methods(*Endpoint, claim.Kind) []claim.Method { return nil }
func (c *crooked) Offer(*Endpoint) (Offer, error)               { return Offer{}, nil }

func (c *crooked) Permit(*Endpoint, []pkix.GeneralName) error { return nil }
func (c *crooked) Lint([]byte, *pkix.Template, string) error  { return nil }
func (c *crooked) Issuer(string, string) (Issuer, error)      { return c, nil }
func (c *crooked) IssuerOf(*Certificate) (Issuer, error)      { return c, nil }
func (c *crooked) Facts() *Facts                              { return &c.facts }
func (c *crooked) honest(tbs []byte) []byte                   { return c.by(c.key, tbs) }
func (c *crooked) Sign(_ context.Context, _ Lane, tbs []byte) ([]byte, error) {
	return c.sign(tbs), nil
}

func (c *crooked) by(key *ecdsa.PrivateKey, tbs []byte) []byte {
	signature, err := ecdsa.SignASN1(rand.Reader, key, c.facts.Signature.Digest(tbs))
	if err != nil {
		c.t.Fatal(err)
	}
	return signature
}

// TestSignedBytes: a certificate whose bytes are not the linted ones, or whose
// signature is not by the issuer's key, is not recorded and never leaves.
func TestSignedBytes(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	facts := factsOf(t, key)
	for what, sign := range map[string]func(*crooked) func([]byte) []byte{
		"honest":       func(c *crooked) func([]byte) []byte { return c.honest },
		"another key":  func(c *crooked) func([]byte) []byte { return func(tbs []byte) []byte { return c.by(other, tbs) } },
		"no signature": func(*crooked) func([]byte) []byte { return func([]byte) []byte { return nil } },
		"other bytes": func(c *crooked) func([]byte) []byte {
			return func(tbs []byte) []byte { return c.honest(append(tbs[:0:0], tbs[1:]...)) }
		},
		"changed bytes": func(c *crooked) func([]byte) []byte {
			return func(tbs []byte) []byte {
				tbs[len(tbs)/2] ^= 1 // and a signature that fits them
				return c.honest(tbs)
			}
		},
	} {
		c := &crooked{t: t, key: key, facts: facts}
		c.sign = sign(c)
		a := c.authority()
		who := account(t, "e", "a")
		r := a.Enroll(t.Context(), &Request{Trace: "T", Endpoint: "e", Operation: Enroll, Caller: who, Possession: fixedKey(t),
			Claims: []claim.Claim{authorization(t, who, "a.example")}})[0]
		if what == "honest" {
			if r.Err != nil || r.Certificate == nil || c.recorded != 1 {
				t.Errorf("%s: %v, %d recorded", what, r.Err, c.recorded)
			}
			continue
		}
		if !IsKind(r.Err, Internal) || r.Certificate != nil || c.recorded != 0 {
			t.Errorf("%s: %v, %d recorded", what, r.Err, c.recorded)
		}
	}
}

// factsOf gives the facts of a CA with the given key, valid around at.
func factsOf(t *testing.T, key *ecdsa.PrivateKey) Facts {
	t.Helper()
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
	return Facts{Tenant: "default", CA: "issuing", Subject: subject, Key: public, Signature: algorithm,
		NotBefore: at.Add(-time.Hour), NotAfter: at.AddDate(1, 0, 0)}
}

// authority is one whose policy, linter, issuers and ledger are all c.
func (c *crooked) authority() *Authority {
	c.t.Helper()
	a, err := NewAuthority(Parts{Policy: c, Linter: c, Issuers: c, Ledger: c, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return at },
		Endpoints: []Endpoint{{ID: "e", Door: caller.ACME, Tenant: "default", CA: "issuing", Profile: "p", Policies: [][]caller.Method{{caller.ACMEAccount}}}}})
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}
