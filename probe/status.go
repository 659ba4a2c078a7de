package probe

import (
	"bytes"
	"context"
	"crypto/x509"
	x509pkix "crypto/x509/pkix"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// skew is how far the clock of a responder may be ahead of ours.
const skew = 5 * time.Minute

// pollEvery is how often a revocation is looked for.
const pollEvery = 500 * time.Millisecond

// good asks every OCSP responder that the certificate names (RFC 6960).
func (o *Options) good(ctx context.Context, p *path) (note string, err error) {
	if note := none(p.leaf, len(p.leaf.OCSPServer), "OCSP responder"); note != "" {
		return note, nil
	}
	for _, url := range first(p.leaf.OCSPServer) {
		answer, err := o.ask(ctx, url, p)
		if err != nil {
			return "", err
		}
		if answer.Status != ocsp.Good {
			return "", failure("Look with `enrollgate cert show` whether the gateway knows the certificate, and at status_age_seconds of the replica that answered.",
				"%s says that the certificate is %s", url, word(answer))
		}
		note = fmt.Sprintf("good, of %s, until %s", stamp(answer.ThisUpdate), stamp(answer.NextUpdate))
	}
	return note, nil
}

// ask gets one verified and fresh answer.
func (o *Options) ask(ctx context.Context, url string, p *path) (*ocsp.Response, error) {
	question, err := ocsp.CreateRequest(p.leaf, p.issuer, nil)
	if err != nil {
		return nil, err
	}
	text, err := o.fetch(ctx, url, "application/ocsp-request", question, maxReply)
	if err != nil {
		return nil, err
	}
	// The signature, and who may sign: RFC 6960 section 4.2.2.2.
	answer, err := ocsp.ParseResponseForCert(text, p.leaf, p.issuer)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", url, err)
	}
	now := o.Now()
	if c := answer.Certificate; c != nil && !c.Equal(p.issuer) {
		switch {
		case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
			return nil, fmt.Errorf("the answer of %s is signed by %q, who may not: id-kp-OCSPSigning is missing", url, c.Subject)
		case now.Before(c.NotBefore) || now.After(c.NotAfter):
			return nil, failure("See `enrollgate doctor`, and service.renewal in the daemon's log.", "the certificate of the responder %s is valid from %s to %s", url, stamp(c.NotBefore), stamp(c.NotAfter))
		}
	}
	switch { // RFC 6960 section 3.2; RFC 5019 section 4
	case answer.NextUpdate.IsZero():
		return nil, fmt.Errorf("the answer of %s has no nextUpdate", url)
	case answer.ThisUpdate.After(now.Add(skew)), !now.Before(answer.NextUpdate):
		return nil, failure("Compare the clocks, and see that no cache between here and the gateway keeps old answers.",
			"the answer of %s is of %s, until %s, and here it is %s", url, stamp(answer.ThisUpdate), stamp(answer.NextUpdate), stamp(now))
	}
	return answer, nil
}

func word(r *ocsp.Response) string {
	return map[int]string{ocsp.Good: "good", ocsp.Revoked: "revoked", ocsp.Unknown: "unknown"}[r.Status]
}

// seeRevoked asks the first responder until it says revoked.
func (o *Options) seeRevoked(ctx context.Context, p *path) (note string, err error) {
	if note := none(p.leaf, len(p.leaf.OCSPServer), "OCSP responder"); note != "" {
		return note, nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	for {
		answer, err := o.ask(ctx, p.leaf.OCSPServer[0], p)
		if err != nil && ctx.Err() == nil {
			return "", err
		}
		if err == nil && answer.Status == ocsp.Revoked {
			return "revoked at " + stamp(answer.RevokedAt), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s after the revocation the responder does not say revoked", o.Patience)
		case <-time.After(pollEvery):
		}
	}
}

// notListed fetches every CRL that the certificate names.
func (o *Options) notListed(ctx context.Context, p *path) (note string, err error) {
	if note := none(p.leaf, len(p.leaf.CRLDistributionPoints), "CRL"); note != "" {
		return note, nil
	}
	issuer, err := pkix.ParseCertificate(p.issuer.Raw)
	if err != nil {
		return "", err
	}
	for _, url := range first(p.leaf.CRLDistributionPoints) {
		text, err := o.fetch(ctx, url, "", nil, maxCRL)
		if err != nil {
			return "", err
		}
		list, err := pkix.ParseCRL(text)
		if err == nil {
			err = list.CheckIssuer(issuer)
		}
		if err != nil {
			return "", fmt.Errorf("the list at %s: %w", url, err)
		}
		if err := o.covers(list, p.leaf, url); err != nil {
			return "", err
		}
		note = fmt.Sprintf("number %v, %d entries, of %s, until %s", list.Number, list.Count, stamp(list.ThisUpdate), stamp(list.NextUpdate))
	}
	return note, nil
}

// covers checks that a list speaks of the certificate now, and does not list it
// (RFC 5280 section 6.3.3).
func (o *Options) covers(list *pkix.CRL, leaf *x509.Certificate, url string) error {
	now := o.Now()
	switch {
	case list.Base != nil:
		return fmt.Errorf("the list at %s is a delta", url)
	case list.Points != nil && !slices.Contains(list.Points, url): // (b) (2)
		return fmt.Errorf("the list at %s is that of another distribution point: %s", url, list.Points[0])
	case list.ThisUpdate.After(now.Add(skew)), !now.Before(list.NextUpdate):
		return failure("Look for crl.late and background.failed in the daemon's log, and compare the clocks.",
			"the list at %s is of %s, until %s, and here it is %s", url, stamp(list.ThisUpdate), stamp(list.NextUpdate), stamp(now))
	}
	serial := leaf.SerialNumber.Bytes()
	for entry, err := range list.Entries() {
		if err != nil {
			return fmt.Errorf("the list at %s: %w", url, err)
		}
		if bytes.Equal(bytes.TrimLeft(entry.Serial, "\x00"), serial) {
			return failure("Somebody revoked a certificate that is a minute old: look at `enrollgate explain` with the serial number.",
				"the list at %s has the certificate, since %s", url, stamp(entry.Revoked))
		}
	}
	return nil
}

// none says why there is nothing to ask, or nothing.
func none(c *x509.Certificate, count int, what string) string {
	switch {
	case count > 0:
		return ""
	case slices.ContainsFunc(c.Extensions, func(e x509pkix.Extension) bool { return e.Id.Equal(pkix.OIDNoRevAvail) }):
		return "the certificate says that there is no revocation information (RFC 9608)"
	}
	return "the certificate names no " + what
}

// first bounds how many addresses of a certificate are asked.
func first(urls []string) []string { return urls[:min(len(urls), maxAddresses)] }
