package everydoor_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// door is a way to a certificate. A new door is one more of these.
type door interface {
	Name() string
	// Carries tells whether a client can say and prove there all that there is of an
	// identity, and if not, what is missing.
	Carries(p *bound, i *identity) (missing string)
	Enroll(t *testing.T, p *bound, i *identity) outcome
}

// outcome is a certificate or a refusal.
type outcome struct {
	certificate *pkix.Certificate
	refusal     *ca.Error // of the core
	early       bool      // refused by Check, before anything was proven
	own         string    // refused by the door alone, in its words
	wire        string    // any refusal, in the door's words
}

func (o outcome) String() string {
	switch {
	case o.certificate != nil:
		return "issued"
	case o.refusal != nil:
		return fmt.Sprintf("%s, field %q, rule %q, early %v: %v", o.refusal.Kind, o.refusal.Field, o.refusal.Rule, o.early, o.refusal)
	}
	return "by the door: " + o.own
}

// sameRefusal tells whether two refusals are of the same kind and rule. A rule
// that is a credential goes by its id, and every door has its own.
func sameRefusal(a, b *ca.Error) bool {
	const credential = "credential "
	return a != nil && b != nil && a.Kind == b.Kind && a.Field == b.Field &&
		(a.Rule == b.Rule || strings.HasPrefix(a.Rule, credential) && strings.HasPrefix(b.Rule, credential))
}

// issued reads a certificate that came out.
func issued(t *testing.T, der []byte) outcome {
	t.Helper()
	return outcome{certificate: fixture.Must(pkix.ParseCertificate(der))(t)}
}

// witness is the core as a door sees it; it keeps what the core said last.
type witness struct {
	*ca.Authority
	refusal *ca.Error
	early   bool
	change  func(*ca.Request) // nil: the door's requests are passed on as they are
}

func (w *witness) Check(ctx context.Context, r *ca.Request) (*ca.Decision, error) {
	d, err := w.Authority.Check(ctx, r)
	if err != nil {
		w.refusal, w.early = ca.AsError(err), true
	}
	return d, err
}

func (w *witness) Enroll(ctx context.Context, requests ...*ca.Request) []ca.Result {
	if w.change != nil {
		w.change(requests[0])
	}
	results := w.Authority.Enroll(ctx, requests...)
	if err := results[0].Err; err != nil {
		w.refusal, w.early = ca.AsError(err), false
	}
	return results
}

// refused is what a door answered with no certificate: what the core said, if it was asked.
func (w *witness) refused(own string) outcome {
	if w.refusal == nil {
		return outcome{own: own, wire: own}
	}
	return outcome{refusal: w.refusal, early: w.early, wire: own}
}

// goAPI is ca.Authority.Enroll with claims that are made from the same evidence
// that doors would have. It is what doors are held against.
type goAPI struct {
	g       *gateway
	callers map[caller.Door]caller.Verifier
	claims  map[caller.Door]claim.Verifier
}

func newGoAPI(g *gateway) *goAPI {
	a := &goAPI{g, map[caller.Door]caller.Verifier{}, map[caller.Door]claim.Verifier{}}
	for _, d := range caller.Doors() {
		a.callers[d], a.claims[d] = caller.NewVerifier(d), claim.NewVerifier(d)
	}
	return a
}

func (a *goAPI) Name() string { return "Go API" }

func (a *goAPI) Carries(*bound, *identity) string { return "" }

func (a *goAPI) Enroll(t *testing.T, p *bound, i *identity) outcome {
	t.Helper()
	r := a.request(t, p, i)
	_, possession, err := claim.VerifyCSR(a.g.csr(i, keyOfGo), false)
	if err != nil {
		t.Fatal(err)
	}
	r.Possession = possession
	result := a.g.core.Enroll(t.Context(), r)[0]
	if result.Err != nil {
		return outcome{refusal: ca.AsError(result.Err)}
	}
	return issued(t, result.Certificate.DER)
}

// Check is what may be said before anything is proven.
func (a *goAPI) Check(t *testing.T, p *bound, i *identity) *ca.Error {
	t.Helper()
	r := a.request(t, p, i)
	r.Claims, r.Asserted = nil, ca.Asserted{AltNames: i.proven}
	if _, err := a.g.core.Check(t.Context(), r); err != nil {
		return ca.AsError(err)
	}
	return nil
}

// request makes what the core is asked, without possession.
func (a *goAPI) request(t *testing.T, p *bound, i *identity) *ca.Request {
	t.Helper()
	r := &ca.Request{Trace: ca.NewTrace(), Endpoint: p.est.ID, Operation: ca.Enroll,
		Asserted: ca.Asserted{Subject: i.subject, AltNames: i.names, Extensions: i.requested(t), NotBefore: i.notBefore, NotAfter: i.notAfter}}
	binding := holders[i.holder]
	binding.Credential = "go"
	switch i.evidence {
	case byWord:
		r.Caller = fixture.Must(caller.FromPassword(a.callers[caller.EST], caller.CheckedPassword{Tenant: tenant, Endpoint: p.est.ID, Credential: "go", Name: "go", Binding: binding, At: now}))(t)
		r.Claims = fixture.Must(claim.FromCredential(a.claims[caller.EST], r.Caller))(t)
	case bySecret:
		r.Endpoint = p.scep.ID
		r.Caller = fixture.Must(caller.FromSecret(a.callers[caller.SCEP], caller.FoundSecret{Tenant: tenant, Endpoint: p.scep.ID, Credential: "go", Binding: binding, At: now}))(t)
		r.Claims = fixture.Must(claim.FromCredential(a.claims[caller.SCEP], r.Caller))(t)
	case byDevice:
		der := a.g.devices[i.device].certificate.Raw
		hash := sha256.Sum256(der)
		r.Caller = fixture.Must(caller.FromDevice(a.callers[caller.EST], caller.VerifiedDevice{Tenant: tenant, Endpoint: p.est.ID, Presented: hash, Leaf: hash, Root: sha256.Sum256(a.g.root.Raw), At: now}))(t)
		r.Claims = fixture.Must(claim.FromClientCertificate(a.claims[caller.EST], r.Caller, der))(t)
	case byChallenge:
		r.Endpoint = p.acme.ID
		evidence := caller.AccountSignature{Tenant: tenant, Endpoint: a.g.hub.ID, Account: "go", Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: now}
		if i.holder > 0 {
			evidence.Binding = &binding
		}
		r.Caller = fixture.Must(caller.FromAccountSignature(a.callers[caller.ACME], evidence))(t)
		r.Claims = fixture.Must(claim.FromCredential(a.claims[caller.ACME], r.Caller))(t)
		for _, n := range i.proven {
			r.Claims = append(r.Claims, a.proven(t, p, r.Caller, n)...)
		}
	}
	return r
}

// proven makes the claims of a validated authorization.
func (a *goAPI) proven(t *testing.T, p *bound, who caller.Caller, n pkix.GeneralName) []claim.Claim {
	t.Helper()
	_, method, _ := challengeOf(p.Profile, n)
	ev := claim.ValidatedAuthorization{ID: "z", Owner: who.ID(), Challenge: method, Status: "valid", Validated: now, Expires: now.Add(time.Hour), Now: now}
	switch text := string(n.Raw); n.Kind {
	case pkix.DNSName:
		ev.Identifier, ev.Wildcard = strings.CutPrefix(text, "*.")
	case pkix.IPAddress:
		ev.IP = addressOf(t, n)
	default:
		ev.Device = n
	}
	all := []claim.Claim{fixture.Must(claim.FromAuthorization(a.claims[caller.ACME], ev))(t)}
	if method == claim.DeviceAttest01 {
		all = append(all, fixture.Must(claim.FromAttestation(a.claims[caller.ACME], ev, claim.Attested, "format="+attestation))(t))
	}
	return all
}
