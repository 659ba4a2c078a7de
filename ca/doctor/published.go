package doctor

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Fetch gets an address by GET, or by POST where there is a body, and gives the
// body of a 200 answer with its media type. It bounds time and size.
type Fetch func(ctx context.Context, url string, body []byte) (content []byte, mediaType string, err error)

// CRLCheck has another program verify a CRL with its issuer's certificate, both
// DER. ErrNoProgram where there is none.
type CRLCheck func(ctx context.Context, crl, issuer []byte) error

// ErrNoProgram says that the other program is not installed.
var ErrNoProgram = errors.New("the program openssl is not on the PATH")

// Published is what the certificates of one CA generation point at.
type Published struct {
	Tenant, CA string
	Generation int
	DER        []byte // its certificate
	CRLs       []List
	OCSP, AIA  string        // URLs; empty: none
	Overlap    time.Duration // a CRL with less life left is late
}

// List is the address of one CRL and the scope that it must be.
type List struct {
	URL, Scope string
	Delta      bool
}

// Asking says how what is published is asked for.
type Asking struct {
	Store   Store
	Fetch   Fetch
	OpenSSL CRLCheck
	Now     time.Time
}

const unreachable = "See that the daemon runs, that base_url.http leads to its http listener, and that relying parties reach that address."

// LookAtPublished fetches everything that certificates of a generation name.
func (f *Findings) LookAtPublished(ctx context.Context, a *Asking, p *Published) {
	issuer, err := pkix.ParseCertificate(p.DER)
	if err != nil {
		f.Broken("crl", p.name(), "The store has a CA certificate that does not parse.", err)
		return
	}
	heads, err := a.Store.CRLHeads(ctx)
	if err != nil {
		f.Broken("crl", p.name(), "Look at the database.", err)
		return
	}
	for _, l := range p.CRLs {
		f.list(ctx, a, p, &l, issuer, heads)
	}
	if p.OCSP != "" {
		f.responder(ctx, a, p)
	}
	if p.AIA != "" {
		content, _, err := a.Fetch(ctx, p.AIA, nil)
		switch {
		case err != nil:
			f.add("aia", p.AIA, Fail, unreachable, "%v", err)
		case !bytes.Equal(content, p.DER):
			f.add("aia", p.AIA, Fail, "Something else answers there: correct base_url.http.", "it is not the certificate of %s", p.name())
		default:
			f.add("aia", p.AIA, OK, "", "the certificate of %s", p.name())
		}
	}
}

func (p *Published) name() string {
	return fmt.Sprintf("CA %s/%s, generation %d", p.Tenant, p.CA, p.Generation)
}

// list checks one CRL: who signed it, how old it is, and that it is the newest.
func (f *Findings) list(ctx context.Context, a *Asking, p *Published, l *List, issuer *pkix.Certificate, heads []ca.CRLHead) {
	content, _, err := a.Fetch(ctx, l.URL, nil)
	if err != nil {
		f.add("crl", l.URL, Fail, unreachable, "%v", err)
		return
	}
	list, err := pkix.ParseCRL(content)
	if err == nil {
		err = list.CheckIssuer(issuer)
	}
	if err != nil {
		f.add("crl", l.URL, Fail, "Something else answers there: correct base_url.http.", "%v", err)
		return
	}
	left := list.NextUpdate.Sub(a.Now)
	found := fmt.Sprintf("number %v, %d entries, of %s ago, %s left", list.Number, list.Count, days(a.Now.Sub(list.ThisUpdate)), days(left))
	const late = "Look for crl.late and background.failed in the log."
	switch newest := newestNumber(heads, p, l); {
	case (list.Base != nil) != l.Delta:
		f.add("crl", l.URL, Fail, "Something else answers there: correct base_url.http.", "%s: a delta list in the place of a complete one, or the reverse", found)
	case left <= 0:
		f.add("crl", l.URL, Fail, late, "%s: it has ended", found)
	case list.Number == nil || list.Number.Cmp(big.NewInt(newest)) < 0:
		f.add("crl", l.URL, Warn, "A cache in between, or a replica that does not follow: ask again in a minute.", "%s: the store has number %d", found, newest)
	case left < p.Overlap && !l.Delta:
		f.add("crl", l.URL, Warn, late, "%s: less than crl.overlap", found)
	default:
		f.add("crl", l.URL, OK, "", "%s", found)
	}
	switch err := a.OpenSSL(ctx, content, p.DER); {
	case errors.Is(err, ErrNoProgram):
		f.add("crl", l.URL+" by openssl", Warn, "Install openssl to have a second opinion.", "not checked: %v", err)
	case err != nil:
		f.add("crl", l.URL+" by openssl", Fail, "Tell us: our check and that of openssl differ.", "%v", err)
	default:
		f.add("crl", l.URL+" by openssl", OK, "", "the signature is verified")
	}
}

func newestNumber(heads []ca.CRLHead, p *Published, l *List) int64 {
	for _, h := range heads {
		if h.Tenant == p.Tenant && h.CA == p.CA && h.Scope == l.Scope {
			if l.Delta {
				return h.Delta
			}
			return h.Complete
		}
	}
	return 0
}

// responder asks for a certificate that the CA issued, by POST (RFC 6960 appendix A.1).
func (f *Findings) responder(ctx context.Context, a *Asking, p *Published) {
	issuer, err := x509.ParseCertificate(p.DER)
	if err != nil {
		f.Broken("ocsp", p.OCSP, "The store has a CA certificate that other programs do not read.", err)
		return
	}
	known, err := a.issuedBy(ctx, p, issuer)
	if err != nil {
		f.Broken("ocsp", p.OCSP, "Look at the database.", err)
		return
	}
	if known == nil {
		f.add("ocsp", p.OCSP, Warn, "Issue a certificate, and ask again.", "not asked: %s has issued none that is valid now", p.name())
		return
	}
	question, err := ocsp.CreateRequest(known, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1}) // what every responder reads
	if err != nil {
		f.Broken("ocsp", p.OCSP, "Tell us.", err)
		return
	}
	content, media, err := a.Fetch(ctx, p.OCSP, question)
	if err != nil {
		f.add("ocsp", p.OCSP, Fail, unreachable, "%v", err)
		return
	}
	answer, err := ocsp.ParseResponseForCert(content, known, issuer)
	switch {
	case err != nil:
		f.add("ocsp", p.OCSP, Fail, "See the log for ocsp.failed and service.renewal.", "an answer of type %q that does not verify: %v", media, err)
	case answer.Status == ocsp.Unknown:
		f.add("ocsp", p.OCSP, Fail, "The responder reads another store: correct base_url.http.", "it does not know %032x, which this store has", known.SerialNumber)
	case !answer.NextUpdate.IsZero() && !a.Now.Before(answer.NextUpdate):
		f.add("ocsp", p.OCSP, Fail, "Look for ocsp.refresh in the log, and for caches in between.", "its answer about %032x has ended", known.SerialNumber)
	default:
		status := map[int]string{ocsp.Good: "good", ocsp.Revoked: "revoked"}[answer.Status]
		f.add("ocsp", p.OCSP, OK, "", "%032x is %s, %s left", known.SerialNumber, status, days(answer.NextUpdate.Sub(a.Now)))
	}
}

// issuedBy gives a valid certificate that the generation signed, nil where the
// first ones that the store finds are none of its.
func (a *Asking) issuedBy(ctx context.Context, p *Published, issuer *x509.Certificate) (*x509.Certificate, error) {
	found, err := a.Store.FindCertificates(ctx, &ca.Filter{Tenant: p.Tenant, CA: p.CA, ExpiresIn: ca.Window{From: a.Now}, Limit: 100})
	if err != nil {
		return nil, err
	}
	for i := range found {
		c, err := x509.ParseCertificate(found[i].DER)
		if err == nil && bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId) {
			return c, nil
		}
	}
	return nil, nil
}
