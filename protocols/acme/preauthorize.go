package acme

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
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
		Subdomains bool             `json:"subdomainAuthAllowed"` // RFC 9444 section 4.1
	}
	if err := decode(s.payload, &in); err != nil {
		return err
	}
	if strings.HasPrefix(in.Identifier.Value, "*.") { // the authorization has the exact identifier
		return rejected(typeRejectedIdentifier, in.Identifier, "a wildcard name is only authorized by its order (RFC 8555 section 7.4.1)")
	}
	way := r.endpoint.standard
	identifiers, err := way.checkIdentifiers([]state.Identifier{in.Identifier})
	if err != nil {
		return err
	}
	subdomains := in.Subdomains && r.endpoint.subdomains && identifiers[0].Type == identifierDNS
	offered, names := way.offered(identifiers[0]), []pkix.GeneralName{generalName(identifiers[0])}
	if subdomains { // whether the names below can be issued is said when they are ordered
		if offered, names = way.offeredBelow(identifiers[0]), nil; len(offered) == 0 {
			return noneBelow(identifiers[0])
		}
	}
	if _, err := d.Core.Check(r.Context(), &ca.Request{Trace: r.trace, Client: httpx.ClientAddress(r.RemoteAddr), Endpoint: way.id, Operation: ca.Enroll,
		Caller: s.caller, Asserted: ca.Asserted{AltNames: names}}); err != nil {
		return err
	}
	if err := d.limitOrder(r, s, identifiers, nil); err != nil {
		return err
	}
	now := d.Now().UTC().Truncate(time.Microsecond) // as stores keep it
	a := &state.Authorization{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, ID: ca.OrderedID(now), Account: s.account.ID,
		Identifier: identifiers[0], Status: state.Pending, CreatedAt: now, Expires: now.Add(d.AuthorizationLifetime), Challenges: newChallenges(offered, subdomains)}
	if err := d.Store.CreateAuthorization(r.Context(), a, s.nonce); err != nil {
		return err
	}
	w.Header().Set("Location", r.endpoint.base+"/authorization/"+a.ID)
	return answer(w, http.StatusCreated, r.endpoint.authorizationObject(a, now))
}

// reuse makes those authorizations of a new order valid whose identifier the
// account has proven before any order, for as long as that proof counts, and by a
// challenge that counts under the order's profile. An account that never opened
// one costs no statement.
func (d *Door) reuse(r *request, way *variant, account *state.Account, authorizations []*state.Authorization) error {
	if !account.Preauthorized {
		return nil
	}
	proven, err := d.Store.Preauthorizations(r.Context(), account.Tenant, account.Endpoint, account.ID)
	if err != nil {
		return err
	}
	for _, a := range authorizations {
		for _, p := range proven {
			if p.Identifier != a.Identifier || p.Wildcard != a.Wildcard || a.Subdomains() && !p.Subdomains() || a.Status == state.Valid && !p.Expires.After(a.Expires) {
				continue
			}
			counts := slices.DeleteFunc(slices.Clone(p.Challenges), func(c state.Challenge) bool {
				return c.Status != state.Valid || !slices.Contains(way.offered(a.Identifier), claim.Method(c.Type))
			})
			if len(counts) > 0 {
				a.Status, a.Expires, a.Challenges = state.Valid, p.Expires, counts
			}
		}
	}
	return nil
}
