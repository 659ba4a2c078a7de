package profile

import (
	"errors"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Renewable gives the terms on which a certificate may be renewed, with Denied
// where the renewal was asked for before its window or after its grace.
//
// The window opens early for what an operator asked to have renewed, and does not
// count for what was revoked. After the grace a request cannot rest on the certificate
// any more; one that does not, because its names are proven anew, is taken as a
// first enrollment.
func (p *Profile) Renewable(old *ca.Renewed) (ca.RenewalTerms, error) {
	c := &old.Certificate
	terms := p.Renewal(c.NotBefore, c.NotAfter)
	if !old.Wanted.IsZero() && old.Wanted.Before(terms.From) {
		terms.From = old.Wanted
	}
	switch {
	case p.life.windowed() && c.State != ca.Revoked && old.Asked.Before(terms.From):
		return terms, p.denied("renewal", "renewal.window", "the certificate to renew may be renewed from %s on", terms.From.UTC().Format(time.RFC3339))
	case old.Shown && old.Asked.After(terms.Until):
		return terms, p.denied("renewal", "renewal.grace", "the certificate to renew ended at %s and could be renewed until %s: enroll as for a first one",
			c.NotAfter.UTC().Format(time.RFC3339), terms.Until.UTC().Format(time.RFC3339))
	}
	return terms, nil
}

// windowed tells whether the profile says how early a certificate may be renewed.
func (l *life) windowed() bool { return l.share > 0 || !l.window.IsZero() }

// decideRenewal holds a request that renews a certificate against the profile's
// terms, and says what becomes of that certificate.
func (d *deciding) decideRenewal() error {
	if d.request.Renews == nil {
		return nil
	}
	old := d.request.Renews.Recorded
	if old == nil {
		return ca.InternalError(errors.New("a renewal reached a profile without what is recorded of its certificate"))
	}
	terms, err := d.profile.Renewable(old)
	if err != nil {
		return err
	}
	c, note := &old.Certificate, ""
	d.out.Replaces = c.Serial
	switch {
	case old.Asked.After(terms.Until):
		d.out.Replaces, note = ca.Serial{}, "ended longer ago than renewal.grace: counts as a first enrollment"
	case c.State == ca.Revoked:
		note = "is revoked already"
	case !d.profile.life.revokeSuperseded:
	case !c.NotAfter.After(d.now.Add(terms.Overlap)):
		note = "not revoked: it ends before renewal.overlap has passed"
	case !d.succeeds(old):
		note = "not revoked: the new certificate does not have all its names"
	default:
		d.out.RevokeReplaced, d.out.Renewal.Overlap = true, terms.Overlap
		note = "revoked as superseded at " + d.now.Add(terms.Overlap).UTC().Format(time.RFC3339)
	}
	d.field("renews", c.Serial.String(), old.Evidence, note)
	return nil
}

// succeeds tells whether the new certificate is for whom the old one is: it has all
// of its names, or, where it has none, its subject.
func (d *deciding) succeeds(old *ca.Renewed) bool {
	if len(old.AltNames) == 0 {
		return comparableName(d.out.Subject) == comparableName(old.Subject)
	}
	return !slices.ContainsFunc(old.AltNames, func(n pkix.GeneralName) bool {
		return !slices.ContainsFunc(d.out.AltNames, func(have pkix.GeneralName) bool { return have.Key() == n.Key() })
	})
}
