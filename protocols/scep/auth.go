package scep

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// identity is who asks, with what proved it.
type identity struct {
	caller  caller.Caller
	claims  []claim.Claim
	secret  string      // the challengePassword, where it was found right: both sides have it
	effects []ca.Effect // the use of a credential
	spent   bool        // it has none left
}

// usable gives the alternatives that can let a request in: a certificate that was
// issued here is for its own renewal alone, and renews by those that name it.
func (e *endpoint) usable(renewing bool) (sets [][]caller.Method) {
	for _, set := range e.Policies {
		if slices.Contains(set, caller.Certificate) == renewing {
			sets = append(sets, set)
		}
	}
	return sets
}

// renews tells whether a message renews the certificate that signed it. Clients of
// the drafts renew by PKCSReq, too.
func (e *endpoint) renews(o *opened) (bool, error) {
	switch can := len(e.usable(true)) > 0; {
	case o.issued != nil && can:
		return true, nil
	case o.kind != renewalReq:
		return false, nil
	case !can:
		return false, reject(badRequest, "certificates do not renew themselves at this endpoint; send a PKCSReq")
	}
	return false, reject(badMessageCheck, "a RenewalReq is signed by the certificate that it renews, and this one was not issued here (RFC 8894 section 3.3.1.2)")
}

// authenticate finds out who asks, by as little as one alternative of the policy
// wants: a secret is not looked at where a certificate is enough, so that its uses
// are not wasted, and a client may go on sending one that is spent.
func (d *Door) authenticate(r *request, o *opened, csr *pkix.CSR, renewing bool) (*identity, error) {
	id, sets := &identity{}, r.endpoint.usable(renewing)
	if renewing {
		if err := d.byCertificate(r, o, id); err != nil {
			return nil, err
		}
	}
	if id.caller.Satisfies(sets) {
		return id, d.claimsOf(o, id)
	}
	secret, err := csr.ChallengePassword()
	if err != nil {
		return nil, reject(badRequest, "%s", err)
	}
	if err := d.byWhatIsSent(r, id, sets, secret); err != nil {
		return nil, err
	}
	if !id.caller.Satisfies(sets) {
		return nil, reject(badMessageCheck, "%s", wanted(sets, secret))
	}
	return id, d.claimsOf(o, id)
}

// byWhatIsSent tries what an alternative of the policy lets in by: the static
// secret, one of the registry, or, where neither counts, the address alone.
func (d *Door) byWhatIsSent(r *request, id *identity, sets [][]caller.Method, secret string) error {
	from, network := httpx.ClientAddress(r.RemoteAddr), netip.Prefix{}
	if i := slices.IndexFunc(r.endpoint.Addresses, func(p netip.Prefix) bool { return p.Contains(from) }); i >= 0 {
		network = r.endpoint.Addresses[i]
	}
	admitted := len(r.endpoint.Addresses) == 0 || network.IsValid()
	var who caller.Caller
	var err error
	switch sum := r.endpoint.sum([]byte(secret)); {
	case secret != "" && caller.Named(sets, caller.StaticSCEPSecret) && admitted && hmac.Equal(sum[:], r.endpoint.secretSum[:]):
		id.secret = secret
		who, err = caller.FromStaticSecret(d.Callers, caller.SharedSecret{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, Sent: sum, Configured: r.endpoint.secretSum, At: d.Now()})
	case secret != "" && caller.Named(sets, caller.SCEPSecret):
		who, err = d.bySecret(r, id, secret)
	case caller.Named(sets, caller.Unauthenticated) && network.IsValid():
		who, err = caller.FromAddress(d.Callers, caller.AdmittedAddress{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, Address: from, Network: network, At: d.Now()})
	default:
		return nil
	}
	if err != nil {
		return ca.AsError(err)
	}
	return id.add(who)
}

// add makes one caller of two that hold together.
func (id *identity) add(who caller.Caller) (err error) {
	if !id.caller.Verified() {
		id.caller = who
		return nil
	}
	if id.caller, err = caller.Together(id.caller, who); err != nil {
		return ca.InternalError(err)
	}
	return nil
}

// bySecret finds the credential of a challengePassword. One whose uses are all
// taken still lets in: what it was answered is given again, and nothing new.
func (d *Door) bySecret(r *request, id *identity, secret string) (caller.Caller, error) {
	wrong := ca.Errorf(ca.BadProof, "the challengePassword is wrong, or for another endpoint")
	if len(secret) > credential.MaxSecret {
		return caller.Caller{}, wrong
	}
	known, err := d.Credentials.Find(r.Context(), r.endpoint.Tenant, secret)
	if ca.IsKind(err, ca.BadProof) {
		return caller.Caller{}, wrong
	}
	if err != nil {
		return caller.Caller{}, err
	}
	if known.Kind != credential.OneTime || !known.Serves(&r.endpoint.Endpoint) {
		return caller.Caller{}, wrong
	}
	switch state := known.At(d.Now()); state {
	case credential.Live:
	case credential.Spent:
		id.spent = true
	default:
		return caller.Caller{}, ca.Errorf(ca.BadProof, "the challengePassword is %s; ask for another one", state)
	}
	if id.secret = secret; known.Granted != credential.Unlimited {
		id.effects = append(id.effects, d.Credentials.Burn(known.Tenant, known.ID))
	}
	return caller.FromSecret(d.Callers, caller.FoundSecret{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, Credential: known.ID, Binding: known.Binding, At: d.Now()})
}

// byCertificate makes the caller of a certificate that was issued here, under the
// same profile and in force. How long after its end it may be renewed is for the
// profile to say.
func (d *Door) byCertificate(r *request, o *opened, id *identity) error {
	switch c := o.issued; {
	case c.Profile != r.endpoint.Profile:
		return reject(badRequest, "the certificate that signed the message was issued under another profile; renew it at an endpoint of that one")
	case c.State != ca.Issued:
		return reject(badMessageCheck, "the certificate that signed the message is %s", c.State)
	}
	who, err := d.holder(r, o)
	if err != nil {
		return err
	}
	return id.add(who)
}

// holder is the caller that the signer's certificate, one of ours, makes.
func (d *Door) holder(r *request, o *opened) (caller.Caller, error) {
	who, err := caller.FromCertificate(d.Callers, caller.PresentedCertificate{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID,
		Presented: sha256.Sum256(o.certificate.Raw), Issued: sha256.Sum256(o.issued.DER), Serial: o.issued.Serial.String(), CA: o.issued.CA,
		State: string(o.issued.State), At: d.Now()})
	if err != nil {
		return who, ca.InternalError(err)
	}
	return who, nil
}

// claimsOf makes the claims of all that was shown.
func (d *Door) claimsOf(o *opened, id *identity) (err error) {
	id.claims, err = ca.ClaimsOf(d.Claims, id.caller, o.certificate.Raw)
	return err
}

// wanted says what would have let a request in.
func wanted(sets [][]caller.Method, secret string) string {
	secrets := caller.Named(sets, caller.SCEPSecret) || caller.Named(sets, caller.StaticSCEPSecret)
	switch {
	case secrets && secret != "":
		return "the challengePassword is wrong, or not taken from this address"
	case secrets:
		return "this endpoint wants a challengePassword in the request"
	case caller.Named(sets, caller.Unauthenticated):
		return "this endpoint takes requests from certain addresses, and not from this one"
	}
	return "this endpoint renews certificates and enrolls none"
}
