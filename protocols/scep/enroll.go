package scep

import (
	"crypto"
	"crypto/rsa"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// enroll answers PKCSReq and RenewalReq (RFC 8894 sections 3.3.1.1 and 3.3.1.2).
func (d *Door) enroll(r *request, o *opened) (*reply, error) {
	csr, possession, err := d.verifying.request(o.content, r.endpoint.floor.SHA1)
	if csr == nil {
		return nil, d.spoiled(r, o, err)
	}
	if err != nil {
		return nil, unusable(err)
	}
	if csr.Algorithm.Legacy && o.signer.Hash != crypto.SHA1 { // counted already
		d.Observer.Legacy(&r.endpoint.Endpoint, "sha1")
	}
	renewing, err := r.endpoint.renews(o)
	switch own := csr.Key.Hash() == o.certificate.Key.Hash(); {
	case !own && o.issued == nil, !own && err == nil && !renewing: // RFC 8894 section 2.3
		return nil, unusable(malformed("the request is for another key than the one that signed the message"))
	case err != nil:
		return nil, err
	}
	id, err := d.authenticate(r, o, csr, renewing)
	if err != nil {
		return nil, err
	}
	to, err := o.recipient(id.secret) // before anything is issued that could not be delivered
	if err != nil {
		return nil, err
	}
	q := &ca.Request{Trace: r.trace, Client: httpx.ClientAddress(r.RemoteAddr), Endpoint: r.endpoint.ID, Operation: ca.Enroll, Caller: id.caller, Possession: possession,
		Claims: id.claims, Asserted: ca.Asserted{Subject: csr.Subject, AltNames: csr.AltNames, Extensions: csr.Extensions},
		Transaction: transactionOf(o.message), Window: r.endpoint.window, Spent: id.spent, Effects: id.effects, Parked: id.effects}
	if renewing {
		if err := d.renew(o, q, csr); err != nil {
			return nil, err
		}
	}
	return o.answered(d.Core.Enroll(r.Context(), q)[0], r.endpoint, to)
}

// renew makes a request one for the renewal of the certificate that signed it.
func (d *Door) renew(o *opened, q *ca.Request, csr *pkix.CSR) error {
	possession, err := claim.FromMessage(d.Claims, q.Caller, o.certificate.Raw)
	if err != nil {
		return ca.InternalError(err)
	}
	q.Renews = &ca.Renewal{Certificate: o.certificate.Raw, Possession: possession}
	if q.Operation = ca.Rekey; csr.Key.Hash() == o.certificate.Key.Hash() {
		q.Operation = ca.Renew
	}
	return nil
}

// answered makes the reply to who asked for a certificate, or after one.
func (o *opened) answered(result ca.Result, e *endpoint, to cms.Recipient) (*reply, error) {
	if ca.IsKind(result.Err, ca.Pending) {
		return &reply{status: pending}, nil
	}
	if err := result.Refusal(); err != nil {
		return nil, err
	}
	return o.deliver(e, to, [][]byte{result.Certificate.DER}, nil)
}

// deliver encrypts certificates and lists for the sender of the message, with the
// cipher that it used (RFC 8894 section 3.2.2).
func (o *opened) deliver(e *endpoint, to cms.Recipient, certificates, lists [][]byte) (*reply, error) {
	inner, err := cms.Degenerate(certificates, lists)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	envelope, err := cms.Encrypt(cms.OIDData, inner, o.cipher, e.floor, to)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return &reply{status: success, content: envelope}, nil
}

// recipient is whom a reply is encrypted for: the RSA key that signed the message,
// or, for keys that encrypt nothing, the challengePassword, which both sides have
// (RFC 8894 section 3.2.2: recipientInfos of type PasswordRecipientInfo).
func (o *opened) recipient(secret string) (cms.Recipient, error) {
	if _, ok := o.certificate.Key.Parsed().(*rsa.PublicKey); ok {
		return cms.KeyTransport{Certificate: o.certificate}, nil
	}
	if secret != "" {
		return &cms.Password{Secret: []byte(secret)}, nil
	}
	return nil, reject(badAlg, "the reply cannot be encrypted to a key of type %s: sign with an RSA key, or enroll by PKCSReq with a challengePassword, which it is encrypted with then", o.certificate.Key.Algorithm())
}
