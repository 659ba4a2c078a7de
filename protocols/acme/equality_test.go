package acme

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/test/equality"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// The door adds nothing to a certificate: what ACME issues for a name and what
// the Go API issues for the same claims are the same bytes, apart from serial
// number, dates, key and what follows from the key.
func TestSameCertificateByGoAPI(t *testing.T) {
	b := newBench(t)
	der, _ := b.registered("one").issue(fixture.Key(t), "host.example")
	byACME, err := pkix.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}

	core, _, endpoints := b.core(slog.New(slog.DiscardHandler), further{})
	now := time.Now()
	who, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: "one", Endpoint: endpoints[0].ID,
		Account: "go", Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: now})
	if err != nil {
		t.Fatal(err)
	}
	proven, err := claim.FromAuthorization(claim.NewVerifier(caller.ACME), claim.ValidatedAuthorization{ID: "z", Owner: who.ID(), Identifier: "host.example",
		Challenge: claim.HTTP01, Status: "valid", Validated: now, Expires: now.Add(time.Hour), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	_, possession, err := claim.VerifyCSR(fixture.CSR(t, fixture.Key(t), ""), false)
	if err != nil {
		t.Fatal(err)
	}
	result := core.Enroll(t.Context(), &ca.Request{Trace: ca.NewTrace(), Endpoint: endpoints[0].ID, Operation: ca.Enroll, Caller: who,
		Possession: possession, Claims: []claim.Claim{proven}})[0]
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	byGo, err := pkix.ParseCertificate(result.Certificate.DER)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(byGo.Key.Raw(), byACME.Key.Raw()) || bytes.Equal(byGo.RawTBS, byACME.RawTBS) {
		t.Fatal("the certificates are one and the same")
	}

	for _, difference := range equality.Compare(byGo, byACME) {
		t.Error(difference)
	}
}
