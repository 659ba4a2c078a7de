package scep

import (
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// poll says what became of a request that waits for an operator (RFC 8894 section
// 3.3.3). Who asks is known by the key that signed the request, and signs this.
func (d *Door) poll(r *request, o *opened) (*reply, error) {
	if err := checkIssuerAndSubject(o.content); err != nil {
		return nil, d.spoiled(r, o, err)
	}
	to, err := o.recipient("")
	if err != nil {
		return nil, err
	}
	callers, err := d.pollers(r, o)
	if err != nil {
		return nil, err
	}
	var result ca.Result
	for _, who := range callers {
		if result = d.Core.PollTransaction(r.Context(), who, transactionOf(o.message)); !ca.IsKind(result.Err, ca.NotFound) {
			break
		}
	}
	return o.answered(result, r.endpoint, to)
}

// pollers is who asks: whoever has the key that signed the poll, and the holder of
// a certificate of ours, which need not be what let the request in.
func (d *Door) pollers(r *request, o *opened) (all []caller.Caller, err error) {
	who, err := caller.FromRequestKey(d.Callers, caller.PollSignature{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, SignatureKey: o.certificate.Key.Hash(), At: d.Now()})
	if err != nil {
		return nil, ca.InternalError(err)
	}
	all = append(all, who)
	if o.issued != nil && o.issued.State == ca.Issued {
		if who, err = d.holder(r, o); err != nil {
			return nil, err
		}
		all = append(all, who)
	}
	return all, nil
}

// checkIssuerAndSubject reads IssuerAndSubject (RFC 8894 section 3.3.3). Which
// request is meant the transaction says.
func checkIssuerAndSubject(der []byte) error {
	in := cryptobyte.String(der)
	var both, issuer, subject cryptobyte.String
	if !in.ReadASN1(&both, casn1.SEQUENCE) || !in.Empty() || !both.ReadASN1Element(&issuer, casn1.SEQUENCE) || !both.ReadASN1Element(&subject, casn1.SEQUENCE) || !both.Empty() {
		return malformed("not an IssuerAndSubject")
	}
	for _, name := range [][]byte{issuer, subject} {
		if _, err := pkix.ParseName(name); err != nil {
			return err
		}
	}
	return nil
}
