package ca

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// RenewalWindows knows when operators want certificates to be renewed.
type RenewalWindows interface {
	// RenewalWindow finds the window of a certificate, or NotFound.
	RenewalWindow(ctx context.Context, tenant, ca string, serial Serial) (*RenewalWindow, error)
}

// withRecord gives the request with what is recorded of the certificate that it
// renews, so that the policy decides from that and not from what was said. The
// request that came in is left as it is.
func (a *Authority) withRecord(ctx context.Context, e *Endpoint, r *Request, asked time.Time) (*Request, error) {
	renewing := r.Operation == Renew || r.Operation == Rekey
	if r.Renews == nil {
		if renewing {
			return nil, Errorf(BadRequest, "a renewal names the certificate that it renews")
		}
		return r, nil
	}
	if !renewing && r.Operation != KeyGen {
		return nil, Errorf(BadRequest, "a first enrollment renews no certificate")
	}
	old, err := a.renewed(ctx, e, r, asked)
	if err != nil {
		return nil, err
	}
	with := *r
	with.Renews = &Renewal{Certificate: r.Renews.Certificate, Possession: r.Renews.Possession, Recorded: old}
	if old.Shown {
		with.Asserted = askedAs(r.Asserted, old)
	}
	return &with, nil
}

// askedAs fills in what a renewal leaves unsaid: one that names nobody, or only
// its subject or its names, means those of the certificate.
func askedAs(said Asserted, old *Renewed) Asserted {
	subject, names := said.Subject.Empty(), len(said.AltNames) == 0
	if !subject && !pkix.SameName(said.Subject, old.Subject) || !names && !sameNames(said.AltNames, old.AltNames) {
		return said
	}
	if subject {
		said.Subject = old.Subject
	}
	if names {
		said.AltNames = old.AltNames
	}
	return said
}

// keepsIdentity holds a renewal that rests on possession of the old key to the
// subject and the names of the certificate (RFC 7030 section 4.2.2, RFC 8894
// section 3.3.1.2): for other ones nobody has let it in. A request may say other
// ones, where the profile makes the same of them: that with which the certificate
// was asked for in the first place.
func keepsIdentity(d *Decision, old *Renewed) error {
	if pkix.SameName(d.Subject, old.Subject) && sameNames(d.AltNames, old.AltNames) {
		return nil
	}
	err := Errorf(Denied, "a renewal keeps the subject and the subject alternative names of its certificate; for other ones, enroll anew")
	err.Field, err.Rule = "renewal", "identity of the renewed certificate"
	return err
}

// sameNames compares names in whatever order.
func sameNames(a, b []pkix.GeneralName) bool {
	keys := func(names []pkix.GeneralName) (all []string) {
		for _, n := range names {
			all = append(all, n.Key())
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	return slices.Equal(keys(a), keys(b))
}

// renewed finds the certificate that a request renews, and that it is the
// requester's to renew: by the whole certificate and possession of its key, and
// then it must be in force; or, for an ACME account, because it was issued to this
// very account, which could as well revoke it (RFC 8555 section 7.6).
func (a *Authority) renewed(ctx context.Context, e *Endpoint, r *Request, asked time.Time) (*Renewed, error) {
	unknown := Errorf(BadProof, "the certificate to renew was not issued here")
	parsed, err := pkix.ParseCertificate(r.Renews.Certificate)
	if err != nil {
		return nil, Wrap(BadRequest, err, "the certificate to renew is malformed")
	}
	serial, ok := serialOf(parsed)
	if !ok {
		return nil, unknown
	}
	c, err := a.ledger.Certificate(ctx, e.Tenant, e.CA, serial)
	switch {
	case IsKind(err, NotFound):
		return nil, unknown
	case err != nil:
		return nil, err
	case !bytes.Equal(c.DER, r.Renews.Certificate): // never by serial alone
		return nil, unknown
	}
	names, err := parsed.AltNames()
	if err != nil {
		return nil, InternalError(err)
	}
	if same := r.Possession.Key().Hash() == parsed.Key.Hash(); r.Possession.Verified() && r.Operation != KeyGen && same != (r.Operation == Renew) {
		return nil, Errorf(BadRequest, "a renewal keeps the key of the certificate, a rekey brings another one")
	}
	old := &Renewed{Certificate: *c, Subject: parsed.Subject, AltNames: names, Asked: asked, Shown: r.Renews.Possession.Verified()}
	switch {
	case old.Shown && r.Renews.Possession.Key().Hash() != parsed.Key.Hash():
		return nil, Errorf(BadProof, "possession of the key of the certificate to renew was not shown")
	case old.Shown && c.State != Issued:
		err := Errorf(Denied, "the certificate to renew is %s", c.State)
		err.Field, err.Rule = "renewal", "status of the renewed certificate"
		return nil, err
	case old.Shown:
		old.Evidence = "possession of its key shown by " + r.Renews.Possession.Method()
	case e.Door == caller.ACME && c.Requester == r.Caller.ID() && c.Endpoint == e.Recorded():
		old.Evidence = "named by the account that it was issued to"
	default:
		return nil, Errorf(BadProof, "possession of the key of the certificate to renew was not shown")
	}
	if a.windows == nil {
		return old, nil
	}
	window, err := a.windows.RenewalWindow(ctx, c.Tenant, c.CA, c.Serial)
	if err == nil {
		old.Wanted = window.Start
	} else if !IsKind(err, NotFound) {
		return nil, err
	}
	return old, nil
}

// RenewalTerms gives the terms on which a certificate may be renewed where it was
// issued, as the profile stands today; zero where it is not issued from there any more.
func (a *Authority) RenewalTerms(c *Certificate) RenewalTerms {
	for _, e := range a.endpoints {
		if e.Tenant == c.Tenant && e.CA == c.CA && e.Recorded() == c.Endpoint && e.Profile == c.Profile {
			terms, _ := a.policy.Renewable(e, &Renewed{Certificate: *c, Asked: a.now()}) // whether it may be now is another question
			return terms
		}
	}
	return RenewalTerms{}
}

// serialOf gives the serial number of a certificate, where it has the form of ours.
func serialOf(c *pkix.Certificate) (s Serial, ok bool) {
	if len(c.Serial) != len(s) {
		return s, false
	}
	copy(s[:], c.Serial)
	return s, true
}
