package est

import (
	"net/http"

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
	q, err := d.read(r, id)
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
	q, err := d.read(r, id)
	if err != nil {
		return err
	}
	if err := d.renewal(q, id); err != nil {
		return err
	}
	return d.enroll(w, r, q)
}

// read makes the core's request of what a client posted.
func (d *Door) read(r *request, id *identity) (*ca.Request, error) {
	der, err := readRequest(r.Request)
	if err != nil {
		return nil, err
	}
	csr, possession, err := claim.VerifyCSR(der, false)
	if err != nil {
		return nil, httpx.Fail(http.StatusBadRequest, "%s", err)
	}
	return d.requestOf(r, id, csr, possession)
}

// requestOf makes it of a PKCS #10 request and a key whose possession was shown.
func (d *Door) requestOf(r *request, id *identity, csr *pkix.CSR, possession claim.Possession) (*ca.Request, error) {
	if err := r.endpoint.Binding.bound(r.TLS, csr); err != nil {
		return nil, err
	}
	return &ca.Request{Trace: r.trace, Client: httpx.ClientAddress(r.RemoteAddr), Endpoint: r.endpoint.ID, Caller: id.caller, Possession: possession, Claims: id.claims,
		Asserted: ca.Asserted{Subject: csr.Subject, AltNames: csr.AltNames, Extensions: csr.Extensions},
		Window:   r.endpoint.window, Spent: id.spent, Effects: id.effects, Parked: id.effects}, nil
}

// enroll has the certificate issued and gives it, alone (RFC 7030 section 4.2.3).
func (d *Door) enroll(w http.ResponseWriter, r *request, q *ca.Request) error {
	result, err := d.issue(r, q)
	if err != nil {
		return err
	}
	der, err := cms.Degenerate([][]byte{result.Certificate.DER}, nil)
	if err != nil {
		return ca.InternalError(err)
	}
	return r.answer(w, typeCertificate, der)
}

// issue has the certificate issued, or finds the one that the same request got
// before.
func (d *Door) issue(r *request, q *ca.Request) (ca.Result, error) {
	result := d.Core.Enroll(r.Context(), q)[0]
	return result, result.Refusal()
}

// renewal makes a request one that renews the client certificate of the connection.
func (d *Door) renewal(q *ca.Request, id *identity) error {
	old, err := pkix.ParseCertificate(id.owned)
	if err != nil {
		return ca.InternalError(err)
	}
	possession, err := claim.FromHandshake(d.Claims, id.caller, id.owned)
	if err != nil {
		return ca.InternalError(err)
	}
	q.Renews = &ca.Renewal{Certificate: id.owned, Possession: possession}
	if q.Operation != ca.KeyGen {
		if q.Operation = ca.Rekey; q.Possession.Key().Hash() == old.Key.Hash() {
			q.Operation = ca.Renew
		}
	}
	return nil
}
