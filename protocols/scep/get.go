package scep

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// maxList bounds the lists that are sent in a message, in octets: they are
// encrypted for each who asks, and longer ones are fetched where certificates
// point to.
const maxList = 256 << 10

// find gives a certificate by its issuer and serial number (RFC 8894 section
// 3.3.4) to whoever holds its key, or another certificate of the CA that is in force.
func (d *Door) find(r *request, o *opened) (*reply, error) {
	to, named, err := d.named(r, o)
	if err != nil {
		return nil, err
	}
	missing := reject(badCertID, "there is no such certificate, or it is not for the holder of this key to ask for")
	if len(named.Serial) != ca.SerialSize || !d.signs(r.endpoint, named.Issuer) {
		return nil, missing
	}
	c, err := d.Certificates.Certificate(r.Context(), r.endpoint.Tenant, r.endpoint.CA, ca.Serial(named.Serial))
	if ca.IsKind(err, ca.NotFound) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	parsed, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	if !o.inForce(d.Now()) && parsed.Key.Hash() != o.certificate.Key.Hash() {
		return nil, missing
	}
	return o.deliver(r.endpoint, to, [][]byte{c.DER}, nil)
}

// list gives the newest list of the generation that issued a certificate (RFC 8894
// section 3.3.4) to holders of a certificate of the CA that is in force.
func (d *Door) list(r *request, o *opened) (*reply, error) {
	to, named, err := d.named(r, o)
	if err != nil {
		return nil, err
	}
	if !o.inForce(d.Now()) {
		return nil, reject(badMessageCheck, "the list is sent to holders of a certificate of this CA; everybody gets it where its certificates say (cRLDistributionPoints)")
	}
	issuer, err := d.issuerOf(r, named)
	if err != nil {
		return nil, err
	}
	if issuer == nil {
		return nil, reject(badCertID, "the certificate is not one of this CA")
	}
	der, ok := d.CRL(issuer)
	if !ok {
		return nil, reject(badCertID, "there is no list of this CA")
	}
	if len(der) > maxList {
		return nil, reject(badRequest, "the list is longer than %d octets; fetch it where certificates say (cRLDistributionPoints)", maxList)
	}
	return o.deliver(r.endpoint, to, nil, [][]byte{der})
}

// issuerOf finds the generation that issued a certificate: by the record, since
// some have one name and two keys, else by the name alone; nil for none.
func (d *Door) issuerOf(r *request, named cms.Identifier) (ca.Issuer, error) {
	issuer := d.generation(r.endpoint, named.Issuer)
	if issuer == nil || len(named.Serial) != ca.SerialSize {
		return issuer, nil
	}
	c, err := d.Certificates.Certificate(r.Context(), r.endpoint.Tenant, r.endpoint.CA, ca.Serial(named.Serial))
	if ca.IsKind(err, ca.NotFound) {
		return issuer, nil
	}
	if err != nil {
		return nil, err
	}
	return d.Issuers.IssuerOf(c)
}

// named reads which certificate is meant, once it is clear that the reply can be
// encrypted.
func (d *Door) named(r *request, o *opened) (cms.Recipient, cms.Identifier, error) {
	named, err := cms.ParseIssuerAndSerial(o.content)
	if err != nil {
		return nil, named, d.spoiled(r, o, err)
	}
	to, err := o.recipient("")
	return to, named, err
}

// inForce tells whether the message was signed by a certificate of the CA that is
// in force: neither revoked, nor on hold, nor ended.
func (o *opened) inForce(at time.Time) bool {
	return o.issued != nil && o.issued.State == ca.Issued && !at.After(o.issued.NotAfter)
}
