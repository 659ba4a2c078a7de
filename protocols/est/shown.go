package est

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// maxPresented bounds how many certificates of a client are looked at.
const maxPresented = 8

// owned makes the caller of a certificate that was issued here, under the same
// profile and in force. How long after its end it may be renewed is for the
// profile to say.
func (d *Door) owned(r *request, id *identity, c *ca.Certificate, presented [32]byte) error {
	switch {
	case c.Profile != r.endpoint.Profile:
		id.why = httpx.Fail(http.StatusForbidden, "the TLS client certificate was issued under another profile; renew it at an endpoint of that one")
		return nil
	case c.State != ca.Issued:
		id.why = httpx.Fail(http.StatusForbidden, "the TLS client certificate is %s", c.State)
		return nil
	}
	who, err := caller.FromCertificate(d.Callers, caller.PresentedCertificate{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID,
		Presented: presented, Issued: sha256.Sum256(c.DER), Serial: c.Serial.String(), CA: c.CA, State: string(c.State), At: d.Now()})
	if err != nil {
		return ca.InternalError(err)
	}
	id.caller, id.owned, id.why = who, c.DER, nil
	return nil
}

// verifyDevice builds a path from a device certificate to one of the endpoint's
// roots (RFC 5280 section 6, at the time now) and gives the root. Manufacturers
// publish no revocations for them, as a rule; none are looked at.
func (e *endpoint) verifyDevice(presented []*x509.Certificate, now time.Time) (root []byte, err error) {
	if len(presented) > maxPresented {
		return nil, errors.New("the client sent too many certificates")
	}
	leaf := *presented[0]
	// Go cannot read a subjectAltName that holds other names alone, such as that
	// of a hardware module; package pkix does.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), func(id asn1.ObjectIdentifier) bool {
		return id.Equal(pkix.OIDSubjectAltName)
	})
	between := x509.NewCertPool()
	for _, c := range presented[1:] {
		between.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{Roots: e.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, err
	}
	return paths[0][len(paths[0])-1].Raw, nil
}
