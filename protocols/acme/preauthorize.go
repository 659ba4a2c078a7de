package acme

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// newAuthz opens an authorization before any order (RFC 8555 section 7.4.1).
func (d *Door) newAuthz(w http.ResponseWriter, r *request) error {
	s, err := d.authenticate(r)
	if err != nil {
		return err
	}
	if err := d.mayOrder(w, r, s.account); err != nil {
		return err
	}
	var in struct {
		Identifier state.Identifier `json:"identifier"`
	}
	if err := decode(s.payload, &in); err != nil {
		return err
	}
	if strings.HasPrefix(in.Identifier.Value, "*.") { // the authorization has the exact identifier
		return rejected(typeRejectedIdentifier, in.Identifier, "a wildcard name is only authorized by its order (RFC 8555 section 7.4.1)")
	}
	identifiers, err := d.checkIdentifiers([]state.Identifier{in.Identifier})
	if err != nil {
		return err
	}
	if _, err := d.Core.Check(r.Context(), &ca.Request{Trace: r.trace, Endpoint: r.endpoint.ID, Operation: ca.Enroll,
		Caller: s.caller, Asserted: ca.Asserted{AltNames: []pkix.GeneralName{pkix.DNS(identifiers[0].Value)}}}); err != nil {
		return err
	}
	now := d.Now().UTC().Truncate(time.Microsecond) // as stores keep it
	a := &state.Authorization{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, ID: ca.OrderedID(now), Account: s.account.ID,
		Identifier: identifiers[0], Status: state.Pending, CreatedAt: now, Expires: now.Add(d.AuthorizationLifetime), Challenges: d.newChallenges(false)}
	if err := d.Store.CreateAuthorization(r.Context(), a, s.nonce); err != nil {
		return err
	}
	w.Header().Set("Location", r.endpoint.base+"/authorization/"+a.ID)
	return answer(w, http.StatusCreated, r.endpoint.authorizationObject(a, now))
}

// reuse makes those authorizations of a new order valid whose identifier the
// account has proven before any order, for as long as that proof counts. An
// account that never opened one costs no statement.
func (d *Door) reuse(r *request, account *state.Account, authorizations []*state.Authorization) error {
	if !account.Preauthorized {
		return nil
	}
	proven, err := d.Store.Preauthorizations(r.Context(), account.Tenant, account.Endpoint, account.ID)
	if err != nil {
		return err
	}
	for _, a := range authorizations {
		for _, p := range proven {
			if p.Identifier != a.Identifier || p.Wildcard != a.Wildcard || a.Status == state.Valid && !p.Expires.After(a.Expires) {
				continue
			}
			a.Status, a.Expires = state.Valid, p.Expires
			a.Challenges = slices.DeleteFunc(slices.Clone(p.Challenges), func(c state.Challenge) bool { return c.Status != state.Valid })
		}
	}
	return nil
}
