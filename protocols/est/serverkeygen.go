package est

import (
	"net/http"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/keygen"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// serverkeygen makes a key for the client and certifies it (RFC 7030 section
// 4.4). A client with a certificate of ours renews that one with a new key.
func (d *Door) serverkeygen(w http.ResponseWriter, r *request) error {
	if !r.endpoint.ServerKeygen { // a key that travels is a matter of policy
		return missing()
	}
	renewing, err := d.renews(r)
	if err != nil {
		return err
	}
	id, err := d.authenticate(r, renewing)
	if err != nil {
		return err
	}
	der, err := readRequest(r.Request)
	if err != nil {
		return err
	}
	csr, err := pkix.ParseCSR(der)
	if err != nil {
		return httpx.Fail(http.StatusBadRequest, "%s", err)
	}
	wrap, err := d.wrapping(r, id, csr)
	if err != nil {
		return err
	}
	// The key and signature of the request are ignored (RFC 7030 section 4.4.1),
	// but for what a client can mean by the type of the key.
	algorithm, err := keygen.Choose(csr.Key.Algorithm(), r.endpoint.made)
	if err != nil {
		return err
	}
	key, err := d.Keys.Make(r.Context(), algorithm)
	if err != nil {
		return err
	}
	defer key.Clear()
	q, err := d.requestOf(r, id, csr, key.Possession())
	if err != nil {
		return err
	}
	q.Operation, q.InPlaceOfKey = ca.KeyGen, wrap.inPlaceOf(csr, algorithm)
	if renewing {
		if err := d.renewal(q, id); err != nil {
			return err
		}
	}
	part, err := wrap.part(r.Context(), key)
	if err != nil {
		return err
	}
	defer part.clear()
	if err := d.keep(r, q, key, part); err != nil {
		return err
	}
	result, err := d.issue(r, q)
	if err != nil {
		return err
	}
	if result.Replayed {
		if part, err = d.kept(r, result.Certificate); err != nil {
			return err
		}
		defer part.clear()
	}
	return r.answerKey(w, part, result.Certificate.DER)
}

// renews tells whether a request without user name and password, at an endpoint
// where certificates renew themselves, came with one that was issued here.
func (d *Door) renews(r *request) (bool, error) {
	if _, _, sent := r.BasicAuth(); sent || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 ||
		!slices.ContainsFunc(r.endpoint.Policies, func(set []caller.Method) bool { return slices.Equal(set, []caller.Method{caller.Certificate}) }) {
		return false, nil
	}
	c, err := ca.Presented(r.Context(), d.Certificates, r.endpoint.Tenant, r.endpoint.CA, r.TLS.PeerCertificates[0].Raw)
	return c != nil, err
}

// keep has the key's part of the reply kept with the certificate, for a client
// that loses it. A request that waits for an operator has its key kept for as
// long as it can wait, and be repeated after that.
func (d *Door) keep(r *request, q *ca.Request, key *keygen.Key, part *keyPart) error {
	id := ca.ReplyID(key.Public().Hash())
	plain := part.written()
	defer clear(plain)
	sealed, err := d.Sealing.Seal(r.Context(), r.endpoint.Tenant, id, plain)
	if err != nil {
		return err
	}
	effect := func(keep time.Duration) ca.Effect {
		return d.Replies.KeepReply(&ca.KeptReply{Tenant: r.endpoint.Tenant, ID: id, Sealed: sealed, Keep: keep})
	}
	q.Effects = append(slices.Clone(q.Effects), effect(r.endpoint.window))
	q.Parked = append(slices.Clone(q.Parked), effect(d.Waiting+r.endpoint.window))
	return nil
}

// kept finds the key's part of a reply that was given before.
func (d *Door) kept(r *request, c *ca.Certificate) (*keyPart, error) {
	parsed, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	id := ca.ReplyID(parsed.Key.Hash())
	sealed, err := d.Replies.KeptReply(r.Context(), c.Tenant, id)
	if ca.IsKind(err, ca.NotFound) {
		return nil, httpx.Fail(http.StatusConflict, "this very request was answered with a key that is not kept any more; ask again with another key in the request, and another code")
	}
	if err != nil {
		return nil, err
	}
	plain, err := d.Sealing.Open(r.Context(), c.Tenant, id, sealed)
	if err != nil {
		return nil, err
	}
	return readPart(plain)
}
