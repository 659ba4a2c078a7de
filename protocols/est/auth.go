package est

import (
	"crypto/sha256"
	"net/http"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// identity is who asks, with what proved it.
type identity struct {
	caller  caller.Caller
	claims  []claim.Claim
	owned   []byte      // DER of the client certificate, where it was issued here
	effects []ca.Effect // the use of a credential
	spent   bool        // it has none left
	why     error       // why a client certificate that was shown does not count
}

// usable gives the alternatives that can let an operation in: a certificate that
// was issued here is for its own renewal alone.
func (e *endpoint) usable(renewing bool) (sets [][]caller.Method) {
	for _, set := range e.Policies {
		if renewing || !slices.Equal(set, []caller.Method{caller.Certificate}) {
			sets = append(sets, set)
		}
	}
	return sets
}

// authenticate finds out who asks, by as little as one alternative of the policy
// wants: a password is not looked at where a certificate is enough, so that its
// uses are not wasted.
func (d *Door) authenticate(r *request, renewing bool) (*identity, error) {
	id, sets := &identity{}, r.endpoint.usable(renewing)
	if err := d.byCertificate(r, id, renewing || caller.Named(sets, caller.Certificate), caller.Named(sets, caller.DeviceCertificate)); err != nil {
		return nil, err
	}
	if renewing && id.owned == nil { // RFC 7030 section 4.2.2; never by name or serial number alone
		if id.why != nil {
			return nil, id.why
		}
		return nil, httpx.Fail(http.StatusForbidden, "a re-enrollment is by the certificate that it renews, as TLS client certificate; without one, enroll by simpleenroll")
	}
	if id.caller.Satisfies(sets) {
		return id, d.claimsOf(r, id)
	}
	if caller.Named(sets, caller.Password) {
		if err := d.byPassword(r, id); err != nil {
			return nil, err
		}
		if id.caller.Satisfies(sets) {
			return id, d.claimsOf(r, id)
		}
	}
	if id.why != nil {
		return nil, id.why
	}
	if renewing {
		return nil, httpx.Fail(http.StatusForbidden, "certificates do not renew themselves at this endpoint")
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return nil, httpx.Fail(http.StatusForbidden, "the TLS client certificate does not let in here; a certificate that was issued here is renewed by simplereenroll")
	}
	return nil, httpx.Fail(http.StatusForbidden, "this endpoint wants a TLS client certificate, and none was sent")
}

// claimsOf makes the claims of all that was shown.
func (d *Door) claimsOf(r *request, id *identity) (err error) {
	var presented []byte
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		presented = r.TLS.PeerCertificates[0].Raw
	}
	id.claims, err = ca.ClaimsOf(d.Claims, id.caller, presented)
	return err
}

// byPassword checks HTTP Basic credentials (RFC 7030 section 3.2.3, RFC 7617). A
// credential whose uses are all taken still lets in: what it was answered is given
// again, and nothing new.
func (d *Door) byPassword(r *request, id *identity) error {
	user, password, sent := r.BasicAuth()
	if !sent {
		return &httpx.Refusal{Status: http.StatusUnauthorized, Challenge: true, First: true, Text: "this endpoint wants a user name and password by HTTP Basic"}
	}
	wrong := &httpx.Refusal{Status: http.StatusUnauthorized, Challenge: true, Text: "the user name or password is wrong, or for another endpoint"}
	known, err := d.Credentials.User(r.Context(), &r.endpoint.Endpoint, user, password)
	if ca.IsKind(err, ca.BadProof) {
		return wrong
	}
	if err != nil {
		return err
	}
	switch state := known.At(d.Now()); state {
	case credential.Live:
	case credential.Spent:
		id.spent = true
	default:
		return &httpx.Refusal{Status: http.StatusUnauthorized, Challenge: true, Text: "the credential is " + string(state) + "; ask for another one"}
	}
	who, err := caller.FromPassword(d.Callers, caller.CheckedPassword{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, Credential: known.ID,
		Name: user, Binding: known.Binding, At: d.Now()})
	if err == nil && id.caller.Verified() {
		who, err = caller.Together(id.caller, who)
	}
	if err != nil {
		return ca.InternalError(err)
	}
	if id.caller = who; known.Granted != credential.Unlimited {
		id.effects = append(id.effects, d.Credentials.Burn(known.Tenant, known.ID))
	}
	return nil
}

// byCertificate looks at the TLS client certificate, if there is one: whether it
// was issued here, and if not, whether it is a known manufacturer's. Both are asked
// on every request, never at the handshake alone.
func (d *Door) byCertificate(r *request, id *identity, ours, devices bool) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || !ours && !devices {
		return nil
	}
	presented := r.TLS.PeerCertificates
	hash := sha256.Sum256(presented[0].Raw)
	id.why = httpx.Fail(http.StatusForbidden, "the TLS client certificate was not issued here")
	if ours {
		issued, err := ca.Presented(r.Context(), d.Certificates, r.endpoint.Tenant, r.endpoint.CA, presented[0].Raw)
		if err != nil {
			return err
		}
		if issued != nil {
			return d.owned(r, id, issued, hash)
		}
	}
	if !devices {
		return nil
	}
	root, err := r.endpoint.verifyDevice(presented, d.Now())
	if err != nil {
		id.why = &httpx.Refusal{Status: http.StatusForbidden, Text: "the TLS client certificate is neither one that was issued here nor below a device root that is known here", Cause: err}
		return nil
	}
	who, err := caller.FromDevice(d.Callers, caller.VerifiedDevice{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, Presented: hash,
		Leaf: hash, Root: sha256.Sum256(root), At: d.Now()})
	if err != nil {
		return ca.InternalError(err)
	}
	id.caller, id.why = who, nil
	return nil
}
