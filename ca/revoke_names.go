package ca

import (
	"bytes"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// holdsNames tells whether the caller has proven every name of the certificate
// that it presents, and the proofs still count. A certificate without a
// subjectAltName, or with a name that was not proven, is somebody else's.
func (a *Authority) holdsNames(r *RevokeRequest) bool {
	parsed, err := pkix.ParseCertificate(r.Certificate)
	if err != nil {
		return false
	}
	ext, ok := pkix.FindExtension(parsed.Extensions, pkix.OIDSubjectAltName)
	if !ok {
		return false
	}
	names, err := pkix.ParseGeneralNames(ext.Value)
	if err != nil || len(names) == 0 {
		return false
	}
	for _, n := range names {
		if !a.proven(r, n) {
			return false
		}
	}
	return true
}

func (a *Authority) proven(r *RevokeRequest, n pkix.GeneralName) bool {
	for _, c := range r.Claims {
		if c.Verified() && c.IsName() && c.Owner() == r.Caller.ID() && claim.Permitted(c.Door(), c.Method(), c.Kind()) && c.Door() == r.Caller.Door() &&
			a.now().Before(c.Until()) && c.Name().Kind == n.Kind && bytes.Equal(c.Name().Raw, n.Raw) {
			return true
		}
	}
	return false
}
