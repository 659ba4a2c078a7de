package est

import (
	"net/http"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// simpleenroll answers a PKCS #10 request with a certificate (RFC 7030 section 4.2.1).
func (d *Door) simpleenroll(w http.ResponseWriter, r *request) error {
	id, err := d.authenticate(r, false)
	if err != nil {
		return err
	}
	q, _, err := d.read(r, id)
	if err != nil {
		return err
	}
	q.Operation = ca.Enroll
	return d.enroll(w, r, q)
}

// simplereenroll renews the client certificate of the connection, with its key or
// another one (RFC 7030 section 4.2.2).
func (d *Door) simplereenroll(w http.ResponseWriter, r *request) error {
	id, err := d.authenticate(r, true)
	if err != nil {
		return err
	}
	q, csr, err := d.read(r, id)
	if err != nil {
		return err
	}
	old, err := pkix.ParseCertificate(id.owned)
	if err != nil {
		return ca.InternalError(err)
	}
	possession, err := claim.FromHandshake(d.Claims, id.caller, id.owned)
	if err != nil {
		return ca.InternalError(err)
	}
	q.Renews = &ca.Renewal{Certificate: id.owned, Possession: possession}
	if q.Operation = ca.Rekey; csr.Key.Hash() == old.Key.Hash() {
		q.Operation = ca.Renew
	}
	if err := d.sameIdentity(r, q, old); err != nil {
		return err
	}
	return d.enroll(w, r, q)
}

// read makes the core's request of what a client posted.
func (d *Door) read(r *request, id *identity) (*ca.Request, *pkix.CSR, error) {
	der, err := readRequest(r.Request)
	if err != nil {
		return nil, nil, err
	}
	csr, possession, err := claim.VerifyCSR(der, false)
	if err != nil {
		return nil, nil, fail(http.StatusBadRequest, "%s", err)
	}
	if err := r.endpoint.Binding.bound(r.TLS, csr); err != nil {
		return nil, nil, err
	}
	return &ca.Request{Trace: r.trace, Client: httpx.ClientAddress(r.RemoteAddr), Endpoint: r.endpoint.ID, Caller: id.caller, Possession: possession, Claims: id.claims,
		Asserted: ca.Asserted{Subject: csr.Subject, AltNames: csr.AltNames, Extensions: csr.Extensions},
		Window:   r.endpoint.window, Effects: id.effects, Parked: id.effects}, csr, nil
}

// enroll has the certificate issued and gives it, alone (RFC 7030 section 4.2.3).
func (d *Door) enroll(w http.ResponseWriter, r *request, q *ca.Request) error {
	result := d.Core.Enroll(r.Context(), q)[0]
	if result.Err != nil {
		return result.Err
	}
	if c := result.Certificate; result.Replayed && c.State != ca.Issued {
		return fail(http.StatusConflict, "this very request was answered with a certificate that is %s now; make another key", c.State)
	}
	der, err := cms.Degenerate([][]byte{result.Certificate.DER}, nil)
	if err != nil {
		return ca.InternalError(err)
	}
	return r.answer(w, typeCertificate, der)
}

// sameIdentity holds a re-enrollment to the subject and names of the certificate
// that it renews (RFC 7030 section 4.2.2). A request that names nobody means the
// same. So does one that the profile makes the same of: that with which the
// certificate was asked for in the first place.
func (d *Door) sameIdentity(r *request, q *ca.Request, old *pkix.Certificate) error {
	have, err := old.AltNames()
	if err != nil {
		return ca.InternalError(err)
	}
	said := &q.Asserted
	named := len(said.AltNames) > 0
	if (said.Subject.Empty() || pkix.SameName(said.Subject, old.Subject)) && (!named || sameNames(said.AltNames, have)) {
		if said.Subject.Empty() {
			said.Subject = old.Subject
		}
		if !named {
			said.AltNames = have
		}
		return nil
	}
	decision, err := d.Core.Check(r.Context(), q)
	if err != nil {
		return err
	}
	if !pkix.SameName(decision.Subject, old.Subject) || !sameNames(decision.AltNames, have) {
		return fail(http.StatusForbidden, "a re-enrollment keeps the subject and the subject alternative names of its certificate (RFC 7030 section 4.2.2); for other ones, enroll by simpleenroll")
	}
	return nil
}

// sameNames compares names in whatever order.
func sameNames(a, b []pkix.GeneralName) bool {
	keys := func(names []pkix.GeneralName) (all []string) {
		for _, n := range names {
			all = append(all, n.Key())
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	return slices.Equal(keys(a), keys(b))
}
