package ca

import (
	"fmt"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Bounds are what the certificates from a CA up to its trust anchor leave it to
// issue (RFC 5280 sections 4.2.1.9 and 4.2.1.10). The trust anchor's own
// extensions count too: many verifiers apply them. The zero value leaves everything.
type Bounds struct {
	Names     []*pkix.NameConstraints // all of them hold
	HasPath   bool
	PathBelow int // how many CA certificates may follow the issuer's
}

// BoundsOf reads the bounds of a path of CA certificates, the issuer's first.
func BoundsOf(path []*pkix.Certificate) (b Bounds, err error) {
	for above, cert := range path {
		if e, ok := pkix.FindExtension(cert.Extensions, pkix.OIDNameConstraints); ok {
			c, err := pkix.ParseNameConstraints(e.Value)
			if err != nil {
				return b, fmt.Errorf("%s: %w", cert.Subject, err)
			}
			b.Names = append(b.Names, c)
		}
		e, ok := pkix.FindExtension(cert.Extensions, pkix.OIDBasicConstraints)
		if !ok {
			continue
		}
		_, length, err := pkix.ParseBasicConstraints(e.Value)
		if err != nil {
			return b, fmt.Errorf("%s: %w", cert.Subject, err)
		}
		if left := length - above; length >= 0 && (!b.HasPath || left < b.PathBelow) {
			b.HasPath, b.PathBelow = true, left
		}
	}
	return b, nil
}

// CheckNames holds names against every constraint of the path. The error is
// Denied with Field "san" and the section as its Rule.
func (b *Bounds) CheckNames(subject pkix.RawName, names []pkix.GeneralName) error {
	for _, c := range b.Names {
		if err := c.Check(subject, names); err != nil {
			e := Errorf(Denied, "the issuing CA may not certify this: by its name constraints, %v", err)
			e.Field, e.Rule = "san", "RFC 5280 section 4.2.1.10"
			return e
		}
	}
	return nil
}

// CheckAuthority holds a certificate that is to be issued against the path
// length: a CA's needs room for itself and for those below it. The error is
// Denied with Field "basic_constraints".
func (b *Bounds) CheckAuthority(extensions []pkix.Extension) error {
	e, ok := pkix.FindExtension(extensions, pkix.OIDBasicConstraints)
	if !ok || !b.HasPath {
		return nil
	}
	isCA, length, err := pkix.ParseBasicConstraints(e.Value)
	if err != nil {
		return InternalError(err)
	}
	if !isCA || b.PathBelow >= 1 && length >= 0 && length < b.PathBelow {
		return nil
	}
	refused := Errorf(Denied, "the issuing CA has no room for that CA certificate: %d may follow its own, path length included", max(b.PathBelow, 0))
	refused.Field, refused.Rule = "basic_constraints", "RFC 5280 section 4.2.1.9"
	return refused
}
