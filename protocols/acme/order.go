package acme

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// newOrder opens an order for names that the endpoint's profile could issue
// (RFC 8555 section 7.4).
func (d *Door) newOrder(w http.ResponseWriter, r *request) error {
	s, err := d.authenticate(r)
	if err != nil {
		return err
	}
	if err := d.mayOrder(w, r, s.account); err != nil {
		return err
	}
	var in orderRequest
	if err := decode(s.payload, &in); err != nil {
		return err
	}
	way, err := r.endpoint.variantOf(in.Profile)
	if err != nil {
		return err
	}
	asked := make([]state.Identifier, len(in.Identifiers))
	for i, id := range in.Identifiers {
		asked[i] = id.Identifier
	}
	identifiers, err := way.checkIdentifiers(asked)
	if err != nil {
		return err
	}
	ancestors, err := r.endpoint.ancestors(in.Identifiers)
	if err != nil {
		return err
	}
	notBefore, err := parseTime("notBefore", in.NotBefore)
	if err != nil {
		return err
	}
	notAfter, err := parseTime("notAfter", in.NotAfter)
	if err != nil {
		return err
	}
	names := make([]pkix.GeneralName, len(identifiers))
	for i, id := range identifiers {
		names[i] = generalName(id)
	}
	renews, had, err := d.checkReplaces(r, s, in.Replaces, names)
	if err != nil {
		return err
	}
	if _, err := d.Core.Check(r.Context(), &ca.Request{Trace: r.trace, Client: httpx.ClientAddress(r.RemoteAddr), Endpoint: way.id, Operation: ca.Enroll, Renews: renews,
		Caller: s.caller, Asserted: ca.Asserted{AltNames: names, NotBefore: notBefore, NotAfter: notAfter}}); err != nil {
		return err
	}
	if err := d.limitOrder(r, s, identifiers, had); err != nil {
		return err
	}
	if err := d.heldAncestors(r, way, s.account, identifiers, ancestors); err != nil {
		return err
	}
	order, authorizations, err := d.makeOrder(r, s, way, identifiers, ancestors)
	if err != nil {
		return err
	}
	order.NotBefore, order.NotAfter, order.Profile, order.Replaces = notBefore, notAfter, in.Profile, in.Replaces
	if err := d.reuse(r, way, s.account, authorizations); err != nil {
		return err
	}
	if err := d.Store.CreateOrder(r.Context(), order, authorizations, s.nonce); err != nil {
		return err
	}
	w.Header().Set("Location", r.endpoint.orderURL(order.ID))
	return answer(w, http.StatusCreated, r.endpoint.orderObject(order, authorizations, d.Now()))
}

// order reads an order.
func (d *Door) order(w http.ResponseWriter, r *request) error {
	s, err := d.read(r)
	if err != nil {
		return err
	}
	order, authorizations, err := d.Store.Order(r.Context(), r.endpoint.Tenant, r.endpoint.ID, r.param("id"))
	if err != nil {
		return err
	}
	if err := own(s, order.Account); err != nil {
		return err
	}
	return d.giveOrder(w, r, order, authorizations)
}

// makeOrder makes an order and an authorization for each identifier; those that are
// proven by one name above them share its authorization.
func (d *Door) makeOrder(r *request, s *signed, way *variant, identifiers []state.Identifier, ancestors map[state.Identifier]string) (*state.Order, []*state.Authorization, error) {
	now := d.Now().UTC().Truncate(time.Microsecond) // as stores keep it
	order := &state.Order{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, ID: ca.OrderedID(now), Account: s.account.ID,
		Status: state.Pending, Identifiers: identifiers, CreatedAt: now, Expires: now.Add(d.OrderLifetime)}
	var authorizations []*state.Authorization
	shared := map[string]bool{}
	for _, id := range identifiers {
		base, wildcard := splitWildcard(id)
		offered := way.offered(id)
		ancestor := ancestors[id]
		if ancestor != "" {
			if shared[ancestor] {
				continue
			}
			shared[ancestor] = true
			base, wildcard = state.Identifier{Type: identifierDNS, Value: ancestor}, false
			if offered = way.offeredBelow(base); len(offered) == 0 {
				return nil, nil, noneBelow(base)
			}
		}
		a := &state.Authorization{Tenant: order.Tenant, Endpoint: order.Endpoint, ID: ca.OrderedID(now), Account: order.Account,
			Identifier: base, Wildcard: wildcard, Status: state.Pending, CreatedAt: now,
			Expires: now.Add(d.AuthorizationLifetime), Challenges: newChallenges(offered, ancestor != "")}
		authorizations = append(authorizations, a)
		order.Authorizations = append(order.Authorizations, a.ID)
	}
	return order, authorizations, nil
}

// newToken makes a challenge token of 256 random bits (RFC 8555 section 8.1 asks for 128).
func newToken() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseTime reads an RFC 3339 time. Some clients send the year 1 for "not asked".
func parseTime(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fail(http.StatusBadRequest, typeMalformed, "%s is not a time in RFC 3339 form", field)
	}
	if at.Year() <= 1 {
		return time.Time{}, nil
	}
	return at.UTC(), nil
}
