package scep

import (
	"bytes"
	"net/http"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Media types of answers (RFC 8894 sections 4.2.1, 4.7.1 and 4.3).
const (
	typeCapabilities = "text/plain"
	typeCACerts      = "application/x-x509-ca-ra-cert"
	typeNextCACert   = "application/x-x509-next-ca-cert"
	typeMessage      = "application/x-pki-message"
)

// Bundle is what GetCACert gives, behind the registration authority's certificate.
type Bundle string

const (
	BundleFull   Bundle = "full"   // the issuing CA and those above it up to the root, which strongSwan looks for
	BundleChain  Bundle = "chain"  // the same without the root
	BundleIssuer Bundle = "issuer" // the issuing CA alone
)

// Bundles lists every Bundle.
func Bundles() []Bundle { return []Bundle{BundleFull, BundleChain, BundleIssuer} }

// getCACaps tells what the door can (RFC 8894 section 3.5).
func (d *Door) getCACaps(w http.ResponseWriter, r *request) error {
	text := r.endpoint.capabilities
	if len(r.endpoint.quirks.Capabilities) == 0 && d.next(r.endpoint) != nil {
		text = append(bytes.Clone(text), "GetNextCACert\n"...)
	}
	return send(w, typeCapabilities, text)
}

// getCACert gives the certificate that messages are encrypted to and, after it,
// those of the CA (RFC 8894 section 4.2).
func (d *Door) getCACert(w http.ResponseWriter, r *request) error {
	own, err := r.endpoint.ra.Current(r.Context())
	if err != nil {
		return err
	}
	issuer, err := d.Issuers.Issuer(r.endpoint.Tenant, r.endpoint.CA)
	if err != nil {
		return err
	}
	der, err := cms.Degenerate(append([][]byte{own.Certificate}, r.endpoint.Certificates.of(issuer)...), nil)
	if err != nil {
		return ca.InternalError(err)
	}
	return send(w, typeCACerts, der)
}

// of lists the certificates of a CA, its own first.
func (b Bundle) of(issuer ca.Issuer) [][]byte {
	facts := issuer.Facts()
	var all [][]byte
	if all = append(all, facts.Chain...); len(all) == 0 {
		return [][]byte{facts.Root} // a root that issues
	}
	switch {
	case b == BundleIssuer:
		return all[:1]
	case b == BundleFull && len(facts.Root) > 0 && !bytes.Equal(all[len(all)-1], facts.Root):
		return append(all, facts.Root)
	}
	return all
}

// next is the generation of a CA that will sign after the one that does now; nil
// where there is none yet. A cross-certificate is a generation, too, and none that
// follows the one whose name and key it has.
func (d *Door) next(e *endpoint) ca.Issuer {
	now, err := d.Issuers.Issuer(e.Tenant, e.CA)
	if err != nil {
		return nil
	}
	var next ca.Issuer
	all := d.Generations(e.Tenant, e.CA)
	for i, other := range all {
		f := other.Facts()
		cross := slices.ContainsFunc(all[:i], func(i ca.Issuer) bool {
			return bytes.Equal(i.Facts().Subject, f.Subject) && bytes.Equal(i.Facts().KeyID, f.KeyID)
		})
		if !cross && f.Generation > now.Facts().Generation && d.Now().Before(f.NotAfter) {
			next = other
		}
	}
	return next
}

// getNextCACert gives the certificates of the CA's next generation, signed by the
// registration authority of today (RFC 8894 section 4.7).
func (d *Door) getNextCACert(w http.ResponseWriter, r *request) error {
	next := d.next(r.endpoint)
	if next == nil {
		return httpx.Fail(http.StatusNotFound, "the CA has no next certificate yet; GetCACaps lists GetNextCACert when it has one")
	}
	content, err := cms.Degenerate(r.endpoint.Certificates.of(next), nil)
	if err != nil {
		return ca.InternalError(err)
	}
	signer, err := signing(r.Context(), r.endpoint.ra)
	if err != nil {
		return err
	}
	der, err := cms.Sign(cms.OIDData, content, [][]byte{signer.Certificate.Raw}, nil, signer)
	if err != nil {
		return ca.AsError(err)
	}
	return send(w, typeNextCACert, der)
}
