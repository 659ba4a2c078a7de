package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/store/memory"
)

// An ACME account that proved two names gets a certificate for them, and not
// for the third name that its CSR merely asks for.
func Example() {
	ctx, now := context.Background(), time.Now()
	ledger := memory.New(memory.Options{})
	defer ledger.Close()

	// What may be issued here: a built-in profile, bound to one endpoint.
	written, _, err := profile.BuiltinByID("privatessl-tls-server")
	check(err)
	rules, err := profile.Compile(written)
	check(err)
	check(ledger.KeepProfile(ctx, rules.Hash(), rules.Text()))
	policy, err := profile.NewEngine(map[string]*profile.Profile{"acme/tls": rules})
	check(err)
	endpoint := ca.Endpoint{ID: "acme/tls", Door: caller.ACME, Tenant: "default", CA: "issuing",
		Profile: rules.ID(), Policies: [][]caller.Method{{caller.ACMEAccount}}}
	authority, err := ca.NewAuthority(ca.Parts{Endpoints: []ca.Endpoint{endpoint}, Policy: policy, Linter: lint.Linter{},
		Issuers: newTestCA(now), Ledger: ledger, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	check(err)

	// What a door does: who asks, with which key, and what was proven.
	account, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: "default",
		Endpoint: "acme/tls", Account: "a1", Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: now})
	check(err)
	csr, possession, err := claim.VerifyCSR(newCSR("www.example.org", "example.org", "bank.example"), false)
	check(err)
	request := &ca.Request{Trace: ca.NewTrace(), Endpoint: endpoint.ID, Operation: ca.Enroll, Caller: account, Possession: possession,
		Claims: []claim.Claim{proven(account, "example.org", now), proven(account, "www.example.org", now)}}
	fmt.Println("asked for", len(csr.Extensions), "extension, proved", len(request.Claims), "names")

	result := authority.Enroll(ctx, request)[0]
	check(result.Err)
	issued, err := x509.ParseCertificate(result.Certificate.DER)
	check(err)
	fmt.Println(issued.Subject, issued.DNSNames)
	recorded, err := ledger.Certificate(ctx, "default", "issuing", result.Certificate.Serial)
	check(err)
	fmt.Println(recorded.State, "to", recorded.Requester)
	// Output:
	// asked for 1 extension, proved 2 names
	// CN=example.org [example.org www.example.org]
	// issued to acme-account:a1
}

// testCA signs with a key in memory; it is the only issuer there is.
type testCA struct {
	key   *ecdsa.PrivateKey
	facts *ca.Facts
}

func newTestCA(now time.Time) *testCA {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	public, err := pkix.NewPublicKey(key.Public())
	check(err)
	algorithm, err := pkix.SignatureFor(public)
	check(err)
	cn, err := pkix.NewAttribute(pkix.OID{2, 5, 4, 3}, "Example CA")
	check(err)
	subject, err := pkix.MarshalName([]pkix.RDN{{cn}})
	check(err)
	return &testCA{key, &ca.Facts{Tenant: "default", CA: "issuing", Subject: subject, KeyID: public.KeyID(), Key: public,
		Signature: algorithm, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(5, 0, 0)}}
}

func (c *testCA) Issuer(string, string) (ca.Issuer, error) { return c, nil }

func (c *testCA) IssuerOf(*ca.Certificate) (ca.Issuer, error) { return c, nil }

func (c *testCA) Facts() *ca.Facts { return c.facts }

func (c *testCA) Sign(_ context.Context, _ ca.Lane, tbs []byte) ([]byte, error) {
	digest := sha256.Sum256(tbs)
	return ecdsa.SignASN1(rand.Reader, c.key, digest[:])
}

func newCSR(names ...string) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	check(err)
	return der
}

// proven is a name that http-01 validated for the account.
func proven(account caller.Caller, name string, now time.Time) claim.Claim {
	c, err := claim.FromAuthorization(claim.NewVerifier(caller.ACME), claim.ValidatedAuthorization{ID: "z", Owner: account.ID(),
		Identifier: name, Challenge: claim.HTTP01, Status: "valid", Validated: now, Expires: now.Add(time.Hour), Now: now})
	check(err)
	return c
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
