package acme

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// maxIdentifiers bounds the names of one order.
const maxIdentifiers = 100

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
	identifiers, err := d.checkIdentifiers(in.Identifiers)
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
		names[i] = pkix.DNS(id.Value)
	}
	if _, err := d.Core.Check(r.Context(), &ca.Request{Trace: r.trace, Endpoint: r.endpoint.ID, Operation: ca.Enroll,
		Caller: s.caller, Asserted: ca.Asserted{AltNames: names, NotBefore: notBefore, NotAfter: notAfter}}); err != nil {
		return err
	}
	order, authorizations := d.makeOrder(r, s, identifiers)
	order.NotBefore, order.NotAfter = notBefore, notAfter
	if err := d.reuse(r, s.account, authorizations); err != nil {
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
	return answer(w, http.StatusOK, r.endpoint.orderObject(order, authorizations, d.Now()))
}

func (d *Door) makeOrder(r *request, s *signed, identifiers []state.Identifier) (*state.Order, []*state.Authorization) {
	now := d.Now().UTC().Truncate(time.Microsecond) // as stores keep it
	order := &state.Order{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, ID: ca.OrderedID(now), Account: s.account.ID,
		Status: state.Pending, Identifiers: identifiers, CreatedAt: now, Expires: now.Add(d.OrderLifetime)}
	authorizations := make([]*state.Authorization, len(identifiers))
	for i, id := range identifiers {
		// RFC 8555 section 7.1.4: the authorization of "*.x" is for x, with wildcard set.
		base, wildcard := strings.CutPrefix(id.Value, "*.")
		a := &state.Authorization{Tenant: order.Tenant, Endpoint: order.Endpoint, ID: ca.OrderedID(now), Account: order.Account,
			Identifier: state.Identifier{Type: id.Type, Value: base}, Wildcard: wildcard, Status: state.Pending, CreatedAt: now,
			Expires: now.Add(d.AuthorizationLifetime), Challenges: d.newChallenges(wildcard)}
		authorizations[i] = a
		order.Authorizations = append(order.Authorizations, a.ID)
	}
	return order, authorizations
}

// newToken makes a challenge token of 256 random bits (RFC 8555 section 8.1 asks for 128).
func newToken() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// checkIdentifiers gives the identifiers in lower case and without repeats. A
// name and the wildcard below it are two.
func (d *Door) checkIdentifiers(in []state.Identifier) ([]state.Identifier, error) {
	if len(in) == 0 {
		return nil, fail(http.StatusBadRequest, typeMalformed, "an order needs at least one identifier")
	}
	if len(in) > maxIdentifiers {
		return nil, fail(http.StatusBadRequest, typeMalformed, "an order holds at most %d identifiers", maxIdentifiers)
	}
	seen := map[string]bool{}
	var out []state.Identifier
	for _, id := range in {
		if id.Type != "dns" {
			return nil, rejected(typeUnsupportedIdentifier, id, "only identifiers of type \"dns\" are issued here")
		}
		id.Value = strings.ToLower(id.Value)
		if err := claim.CheckDNSName(id.Value); err != nil {
			return nil, rejected(typeRejectedIdentifier, id, "the name is not a DNS name in A-label form: "+err.Error())
		}
		if wildcard := strings.HasPrefix(id.Value, "*."); len(d.offered(wildcard)) == 0 {
			return nil, rejected(typeRejectedIdentifier, id, "no challenge that is offered here proves such a name; a wildcard needs dns-01 (RFC 8555 section 8)")
		}
		if !seen[id.Value] {
			seen[id.Value] = true
			out = append(out, id)
		}
	}
	return out, nil
}

func rejected(typ string, id state.Identifier, detail string) *problem {
	p := fail(http.StatusBadRequest, typ, "%s", detail)
	if len(id.Value) <= 253 && len(id.Type) <= 32 {
		p.Subproblems = []problem{{Type: urn + typ, Detail: detail, Identifier: &id}}
	}
	return p
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
