package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"math/big"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// archive is a ledger with one certificate, and a policy that takes everything.
type archive struct {
	*crooked
	kept    Certificate
	window  *RenewalWindow
	decided *Request
	entry   *Entry
}

func (c *archive) Certificate(_ context.Context, tenant, id string, s Serial) (*Certificate, error) {
	if tenant != c.kept.Tenant || id != c.kept.CA || s != c.kept.Serial {
		return nil, Errorf(NotFound, "there is no such certificate")
	}
	out := c.kept
	return &out, nil
}

func (c *archive) RenewalWindow(context.Context, string, string, Serial) (*RenewalWindow, error) {
	if c.window == nil {
		return nil, Errorf(NotFound, "no window")
	}
	return c.window, nil
}

func (c *archive) Decide(e *Endpoint, r *Request, f *Facts, now time.Time) (*Decision, error) {
	c.decided = r
	d, err := c.crooked.Decide(e, r, f, now)
	if r.Renews != nil {
		d.Replaces, d.RevokeReplaced, d.Renewal.Overlap = r.Renews.Recorded.Certificate.Serial, true, time.Hour
		if r.Renews.Recorded.Shown {
			d.Subject, d.AltNames = r.Asserted.Subject, r.Asserted.AltNames
		}
	}
	return d, err
}

func (c *archive) Record(_ context.Context, entries ...*Entry) ([]Recorded, error) {
	c.entry = entries[0]
	return []Recorded{{Certificate: entries[0].Certificate}}, nil
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func shown(t testing.TB, key *ecdsa.PrivateKey) claim.Possession {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	_, p, err := claim.VerifyCSR(der, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRenewed: whose certificate is renewed, and how that is known, is the core's
// to find out, from the ledger.
func TestRenewed(t *testing.T) {
	issuing, old, fresh := ecKey(t), ecKey(t), ecKey(t)
	serial := NewSerial(at.AddDate(0, 1, 0))
	make := func(names ...string) []byte {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial[:]), NotBefore: at.AddDate(0, -1, 0), NotAfter: at.AddDate(0, 1, 0),
			DNSNames: names}, &x509.Certificate{}, old.Public(), issuing)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	der, who := make("a.example"), account(t, "e", "a")
	type setting struct {
		*archive
		r *Request
	}
	account := func(s *setting) { s.r.Renews.Possession = claim.Possession{} }
	for name, c := range map[string]struct {
		change func(*setting)
		kind   Kind // Internal: it is renewed
	}{
		"its key is shown":                          {func(*setting) {}, Internal},
		"its key is shown by somebody else":         {func(s *setting) { s.kept.Requester = "acme-account:b" }, Internal},
		"named by its account":                      {account, Internal},
		"named by its account, revoked":             {func(s *setting) { account(s); s.kept.State = Revoked }, Internal},
		"the same key":                              {func(s *setting) { s.r.Operation, s.r.Possession = Renew, shown(t, old) }, Internal},
		"named by another account":                  {func(s *setting) { account(s); s.kept.Requester = "acme-account:b" }, BadProof},
		"named at another endpoint":                 {func(s *setting) { account(s); s.kept.Endpoint = "f" }, BadProof},
		"another key is shown":                      {func(s *setting) { s.r.Renews.Possession = shown(t, fresh) }, BadProof},
		"another certificate of that serial number": {func(s *setting) { s.r.Renews.Certificate = make("b.example") }, BadProof},
		"another CA's":                              {func(s *setting) { s.kept.CA = "other" }, BadProof},
		"another tenant's":                          {func(s *setting) { s.kept.Tenant = "other" }, BadProof},
		"no certificate":                            {func(s *setting) { s.r.Renews.Certificate = []byte("x") }, BadRequest},
		"revoked":                                   {func(s *setting) { s.kept.State = Revoked }, Denied},
		"held":                                      {func(s *setting) { s.kept.State = Held }, Denied},
		"none is named":                             {func(s *setting) { s.r.Renews = nil }, BadRequest},
		"a first enrollment":                        {func(s *setting) { s.r.Operation = Enroll }, BadRequest},
		"a rekey with the same key":                 {func(s *setting) { s.r.Possession = shown(t, old) }, BadRequest},
		"a renewal with another key":                {func(s *setting) { s.r.Operation = Renew }, BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			s := &setting{&archive{crooked: &crooked{t: t, key: issuing, facts: factsOf(t, issuing)}, window: &RenewalWindow{Start: at.Add(-time.Hour)},
				kept: Certificate{Tenant: "default", CA: "issuing", Serial: serial, DER: der, NotBefore: at.AddDate(0, -1, 0), NotAfter: at.AddDate(0, 1, 0),
					Requester: who.ID(), Endpoint: "e", State: Issued}},
				&Request{Trace: "T", Endpoint: "e", Operation: Rekey, Caller: who, Possession: shown(t, fresh),
					Renews: &Renewal{Certificate: der, Possession: shown(t, old), Recorded: &Renewed{Evidence: "the door says so", Shown: true}}}}
			s.sign = s.honest
			c.change(s)
			a, err := NewAuthority(Parts{Policy: s.archive, Linter: s.archive, Issuers: s.archive, Ledger: s.archive, Windows: s.archive,
				Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return at },
				Endpoints: []Endpoint{{ID: "e", Door: caller.ACME, Tenant: "default", CA: "issuing", Profile: "p", Policies: [][]caller.Method{{caller.ACMEAccount}}}}})
			if err != nil {
				t.Fatal(err)
			}
			got := a.Enroll(t.Context(), s.r)[0]
			if c.kind != Internal {
				if !IsKind(got.Err, c.kind) || s.decided != nil {
					t.Errorf("%v, want %s before a policy is asked", got.Err, c.kind)
				}
				return
			}
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			rec := s.decided.Renews.Recorded
			evidence := map[bool]string{true: "possession of its key shown by csr-signature", false: "named by the account that it was issued to"}[s.r.Renews.Possession.Verified()]
			if rec.Evidence != evidence || rec.Shown != s.r.Renews.Possession.Verified() || !rec.Asked.Equal(at) || !rec.Wanted.Equal(s.window.Start) || len(rec.AltNames) != 1 ||
				s.r.Renews.Recorded.Evidence != "the door says so" {
				t.Errorf("decided from %+v", rec)
			}
			if s.entry.Replaces != serial || !s.entry.RevokeReplaced || s.entry.Overlap != time.Hour {
				t.Errorf("recorded: replaces %s, revoke %v after %s", s.entry.Replaces, s.entry.RevokeReplaced, s.entry.Overlap)
			}
		})
	}
}

// TestRenewalKeepsIdentity: whoever shows the old certificate's key gets its names
// and no other ones, and need not say them.
func TestRenewalKeepsIdentity(t *testing.T) {
	name := func(cn string) pkix.RawName {
		n, err := pkix.MarshalName([]pkix.RDN{{{Type: pkix.OID{2, 5, 4, 3}, Tag: 12, Value: []byte(cn)}}})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	old := &Renewed{Shown: true, Subject: name("device"), AltNames: []pkix.GeneralName{pkix.DNS("a.example"), pkix.DNS("b.example")}}
	same := []pkix.GeneralName{pkix.DNS("b.example"), pkix.DNS("a.example")}
	for what, c := range map[string]struct {
		said Asserted
		kept bool
	}{
		"nothing":         {Asserted{}, true},
		"an empty name":   {Asserted{Subject: pkix.EmptyName}, true},
		"the subject":     {Asserted{Subject: name("DEVICE")}, true},
		"the names":       {Asserted{AltNames: same}, true},
		"both":            {Asserted{Subject: name("device"), AltNames: same}, true},
		"another subject": {Asserted{Subject: name("other")}, false},
		"another name":    {Asserted{AltNames: []pkix.GeneralName{pkix.DNS("c.example")}}, false},
		"one name less":   {Asserted{AltNames: same[:1]}, false},
		"one name more":   {Asserted{AltNames: append(same, pkix.DNS("c.example"))}, false},
	} {
		asked := askedAs(c.said, old)
		err := keepsIdentity(&Decision{Subject: asked.Subject, AltNames: asked.AltNames}, old)
		if (err == nil) != c.kept || err != nil && !IsKind(err, Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
