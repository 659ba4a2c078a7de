package hierarchy

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// accept holds a CA certificate that somebody else made against everything that
// would make verifiers refuse what it issues. Errors are BadRequest and say
// which certificate is wrong, and how.
func accept(ctx context.Context, g *ca.Generation, key keys.Signer, now time.Time) error {
	if _, err := issuer.NewLocal(g, key, issuer.URLs{}); err != nil { // key, cA, keyCertSign, identifier, signatures
		return ca.Errorf(ca.BadRequest, "%v", err)
	}
	path, err := issuer.Path(g)
	if err != nil {
		return ca.Errorf(ca.BadRequest, "%v", err)
	}
	bounds, err := ca.BoundsOf(path)
	if err != nil {
		return ca.Errorf(ca.BadRequest, "%v", err)
	}
	if bounds.HasPath && bounds.PathBelow < 0 {
		return ca.Errorf(ca.BadRequest, "a path length above does not allow this CA (RFC 5280 section 4.2.1.9)")
	}
	for i, cert := range path {
		if err := acceptOne(cert, now); err != nil {
			return err
		}
		above, err := ca.BoundsOf(path[i+1:])
		if err != nil {
			return ca.Errorf(ca.BadRequest, "%v", err)
		}
		names, err := cert.AltNames()
		if err != nil {
			return ca.Errorf(ca.BadRequest, "%s: %v", cert.Subject, err)
		}
		if i+1 < len(path) {
			if err := above.CheckNames(cert.Subject, names); err != nil {
				return ca.Errorf(ca.BadRequest, "the certificate of %s is not valid below those above it: %s", cert.Subject, ca.AsError(err).Public)
			}
		}
	}
	// NewLocal compared the public halves; this shows that the private one is there.
	_, err = signWith(ctx, key, g.Tenant, path[0].Key, []byte("enrollgate import: the key of this CA answers"))
	return err
}

// understood are the critical extensions of a CA certificate that do not keep
// clients from using it (RFC 5280 section 4.2).
var understood = []pkix.OID{pkix.OIDBasicConstraints, pkix.OIDKeyUsage, pkix.OIDNameConstraints, pkix.OIDCertificatePolicies, pkix.OIDExtKeyUsage,
	{2, 5, 29, 33}, {2, 5, 29, 36}, {2, 5, 29, 54}} // policyMappings, policyConstraints, inhibitAnyPolicy

func acceptOne(cert *pkix.Certificate, now time.Time) error {
	refuse := func(format string, args ...any) error {
		return ca.Errorf(ca.BadRequest, "the certificate of %s "+format, append([]any{cert.Subject}, args...)...)
	}
	switch {
	case cert.Subject.Empty():
		return ca.Errorf(ca.BadRequest, "a CA certificate has no subject (RFC 5280 section 4.1.2.6)")
	case now.Before(cert.NotBefore):
		return refuse("is not valid before %s", cert.NotBefore.UTC().Format(time.RFC3339))
	case !now.Before(cert.NotAfter):
		return refuse("ended at %s", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if err := ca.CheckKey(cert.Key); err != nil {
		return refuse("has a key that is not accepted: %s", ca.AsError(err).Public)
	}
	e, ok := pkix.FindExtension(cert.Extensions, pkix.OIDBasicConstraints)
	if isCA, _, err := pkix.ParseBasicConstraints(e.Value); !ok || err != nil || !isCA {
		return refuse("is not a CA's: cA is not true (RFC 5280 section 4.2.1.9)")
	}
	if e, ok := pkix.FindExtension(cert.Extensions, pkix.OIDKeyUsage); ok {
		const need = pkix.KeyCertSign | pkix.CRLSign
		if bits, err := pkix.ParseKeyUsageValue(e.Value); err != nil || bits&need != need {
			return refuse("may not sign certificates and CRLs: its keyUsage is %v (RFC 5280 section 4.2.1.3)", bits.Names())
		}
	}
	for _, e := range cert.Extensions {
		if e.Critical && !slices.ContainsFunc(understood, e.ID.Equal) {
			return refuse("has the critical extension %s, which clients refuse", e.ID)
		}
	}
	return nil
}

// order finds the way from a certificate up to its root through a heap of
// others, each used once; the root may be among them.
func order(der []byte, heap [][]byte, root []byte) (chain [][]byte, err error) {
	below, err := pkix.ParseCertificate(der)
	if err != nil {
		return nil, ca.Errorf(ca.BadRequest, "the certificate cannot be read: %v", err)
	}
	anchor, err := pkix.ParseCertificate(root)
	if err != nil {
		return nil, ca.Errorf(ca.BadRequest, "the root cannot be read: %v", err)
	}
	var left []*pkix.Certificate
	for _, other := range heap {
		c, err := pkix.ParseCertificate(other)
		if err != nil {
			return nil, ca.Errorf(ca.BadRequest, "a certificate of the chain cannot be read: %v", err)
		}
		if !bytes.Equal(other, root) && !bytes.Equal(other, der) {
			left = append(left, c)
		}
	}
	above := func(c *pkix.Certificate) bool {
		return bytes.Equal(below.Issuer, c.Subject) && below.CheckSignatureFrom(c.Key) == nil
	}
	for !bytes.Equal(der, root) && !above(anchor) {
		i := slices.IndexFunc(left, above)
		if i < 0 {
			return nil, ca.Errorf(ca.BadRequest, "nothing that was given signed the certificate of %s; its issuer is %s, the root is %s", below.Subject, below.Issuer, anchor.Subject)
		}
		below = left[i]
		chain, left = append(chain, below.Raw), slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		return nil, ca.Errorf(ca.BadRequest, "the certificate of %s is not on the way to the root; leave it out", left[0].Subject)
	}
	return chain, nil
}
