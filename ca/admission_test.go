package ca

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// untouched is an Authority's surroundings in which deciding, signing and
// recording fail the test: nothing that admission refuses gets so far.
type untouched struct {
	Ledger
	t     *testing.T
	noted []Audit
}

func (u *untouched) Note(a Audit) { u.noted = append(u.noted, a) }

func (u *untouched) Decide(*Endpoint, *Request, *Facts, time.Time) (*Decision, error) {
	u.t.Error("a request that must be refused was decided")
	return nil, errors.New("reached")
}

func (u *untouched) Renewable(*Endpoint, *Renewed) (RenewalTerms, error) {
	return RenewalTerms{}, errors.New("reached")
}

func (u *untouched) Methods(*Endpoint, claim.Kind) []claim.Method { return nil }
func (u *untouched) Offer(*Endpoint) (Offer, error)               { return Offer{}, nil }

func (u *untouched) Permit(*Endpoint, []pkix.GeneralName) error {
	u.t.Error("a request that must be refused was decided")
	return errors.New("reached")
}

func (u *untouched) Lint([]byte, *pkix.Template, string) error { return errors.New("reached") }

func (u *untouched) Issuer(string, string) (Issuer, error) {
	u.t.Error("an issuer was asked for a request that must be refused")
	return nil, errors.New("reached")
}

func (u *untouched) IssuerOf(*Certificate) (Issuer, error) {
	u.t.Error("an issuer was asked for a request that must be refused")
	return nil, errors.New("reached")
}

func authority(t *testing.T) (*Authority, *untouched) {
	t.Helper()
	u := &untouched{t: t}
	a, err := NewAuthority(Parts{Policy: u, Linter: u, Issuers: u, Ledger: u, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return at },
		Endpoints: []Endpoint{{ID: "e", Door: caller.ACME, Tenant: "default", CA: "issuing", Profile: "p", Policies: [][]caller.Method{{caller.ACMEAccount}}},
			{ID: "strict", Door: caller.ACME, Tenant: "default", CA: "issuing", Profile: "p", Policies: [][]caller.Method{{caller.ACMEAccount, caller.LocalOperator}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return a, u
}

// Nobody, strangers, and claims that are not the caller's, not permitted or
// not proven are refused before anything is decided.
func TestAdmissionRefuses(t *testing.T) {
	who := account(t, "e", "a")
	service, err := caller.FromService(caller.NewVerifier(caller.System), caller.ServiceIdentity{Tenant: "default", Name: "tls", At: at})
	if err != nil {
		t.Fatal(err)
	}
	serviceClaim, err := claim.FromServiceName(claim.NewVerifier(caller.System), claim.ServiceName{Owner: who.ID(), DNS: "a.example", At: at})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Request)
		kind   Kind
	}{
		"nobody":             {func(r *Request) { r.Caller = caller.Caller{} }, BadProof},
		"no endpoint":        {func(r *Request) { r.Endpoint = "none" }, NotFound},
		"another endpoint's": {func(r *Request) { r.Caller = account(t, "f", "a") }, BadProof},
		"another door's":     {func(r *Request) { r.Caller = service }, BadProof},
		"policy not met":     {func(r *Request) { r.Endpoint, r.Caller = "strict", account(t, "strict", "a") }, BadProof},
		"claim from nowhere": {func(r *Request) { r.Claims = append(r.Claims, claim.Claim{}) }, Internal},
		"claim of a service": {func(r *Request) { r.Claims = append(r.Claims, serviceClaim) }, Internal},
		"somebody's claim":   {func(r *Request) { r.Claims = []claim.Claim{authorization(t, account(t, "e", "b"), "a.example")} }, BadProof},
		"no possession":      {func(r *Request) { r.Possession = claim.Possession{} }, BadProof},
	} {
		t.Run(name, func(t *testing.T) {
			a, u := authority(t)
			r := &Request{Trace: "T", Endpoint: "e", Operation: Enroll, Caller: who, Possession: fixedKey(t), Claims: []claim.Claim{authorization(t, who, "a.example")}}
			c.change(r)
			err := a.Enroll(context.Background(), r)[0].Err
			if !IsKind(err, c.kind) || AsError(err).Trace != "T" {
				t.Errorf("got %v, want %s with its trace", err, c.kind)
			}
			if audited := len(u.noted) == 1; audited != r.Caller.Verified() {
				t.Errorf("audited %v for caller %s", audited, r.Caller)
			}
		})
	}
}

func TestAdmissionRefusesAnOldProof(t *testing.T) {
	a, _ := authority(t)
	a.now = func() time.Time { return at.Add(time.Hour) }
	who := account(t, "e", "a")
	r := &Request{Endpoint: "e", Caller: who, Possession: fixedKey(t), Claims: []claim.Claim{authorization(t, who, "a.example")}}
	if err := a.Enroll(context.Background(), r)[0].Err; !IsKind(err, BadProof) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v", err)
	}
}

// An endpoint that would let anyone in refuses to start.
func TestNewAuthorityRefuses(t *testing.T) {
	u := &untouched{t: t}
	whole := Parts{Policy: u, Linter: u, Issuers: u, Ledger: u, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now}
	one := Endpoint{ID: "e", Policies: [][]caller.Method{{caller.ACMEAccount}}}
	for name, change := range map[string]func(*Parts){
		"no policy":     func(p *Parts) { p.Policy = nil },
		"no linter":     func(p *Parts) { p.Linter = nil },
		"no issuers":    func(p *Parts) { p.Issuers = nil },
		"no ledger":     func(p *Parts) { p.Ledger = nil },
		"no log":        func(p *Parts) { p.Log = nil },
		"no clock":      func(p *Parts) { p.Now = nil },
		"open endpoint": func(p *Parts) { p.Endpoints = []Endpoint{{ID: "e"}} },
		"open alternative": func(p *Parts) {
			p.Endpoints = []Endpoint{{ID: "e", Policies: [][]caller.Method{{caller.ACMEAccount}, {}}}}
		},
		"endpoint defined twice": func(p *Parts) { p.Endpoints = []Endpoint{one, one} },
	} {
		p := whole
		change(&p)
		if _, err := NewAuthority(p); err == nil {
			t.Errorf("%s: an Authority was made", name)
		}
	}
}

// TestCertificateRenewsItselfAlone: whoever has shown nothing but a certificate of
// ours gets no other one than its successor.
func TestCertificateRenewsItselfAlone(t *testing.T) {
	a, _ := authority(t)
	a.endpoints["d"] = &Endpoint{ID: "d", Door: caller.EST, Tenant: "default", CA: "issuing", Profile: "p", Policies: [][]caller.Method{{caller.Certificate}}}
	who, err := caller.FromCertificate(caller.NewVerifier(caller.EST), caller.PresentedCertificate{Tenant: "default", Endpoint: "d", Presented: [32]byte{1}, Issued: [32]byte{1},
		Serial: "01", CA: "issuing", State: "issued", At: at})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Enroll(context.Background(), &Request{Endpoint: "d", Operation: Enroll, Caller: who, Possession: fixedKey(t)})[0].Err; !IsKind(err, Denied) || !strings.Contains(err.Error(), "renews itself") {
		t.Errorf("got %v", err)
	}
}
