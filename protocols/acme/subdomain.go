package acme

import (
	"errors"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// covered is a name of an order with the authorization that proves it.
type covered struct {
	identifier    state.Identifier // without the wildcard label
	wildcard      bool
	authorization *state.Authorization
}

// below tells whether it is proven by an authorization for a name above it, or for
// the wildcard below that one (RFC 9444).
func (c *covered) below() bool {
	return c.identifier != c.authorization.Identifier || c.wildcard != c.authorization.Wildcard
}

// cover finds for each identifier of an order the authorization that proves it:
// its own, else one that covers the names below its own (RFC 9444 section 4).
func cover(order *state.Order, authorizations []*state.Authorization) ([]covered, error) {
	out := make([]covered, len(order.Identifiers))
	for i, id := range order.Identifiers {
		base, wildcard := splitWildcard(id)
		at := slices.IndexFunc(authorizations, func(a *state.Authorization) bool { return a.Identifier == base && a.Wildcard == wildcard })
		if at < 0 {
			at = slices.IndexFunc(authorizations, func(a *state.Authorization) bool {
				return a.Subdomains() && base.Type == identifierDNS && a.Identifier.Type == identifierDNS && within(base.Value, a.Identifier.Value)
			})
		}
		if at < 0 {
			return nil, ca.InternalError(errors.New("an identifier of the order has no authorization"))
		}
		out[i] = covered{base, wildcard, authorizations[at]}
	}
	return out, nil
}

// splitWildcard takes the wildcard label off: the authorization of "*.x" is for x,
// with wildcard set (RFC 8555 section 7.1.4).
func splitWildcard(id state.Identifier) (base state.Identifier, wildcard bool) {
	if id.Type != identifierDNS {
		return id, false
	}
	id.Value, wildcard = strings.CutPrefix(id.Value, "*.")
	return id, wildcard
}

// within tells whether a name is an ancestor or below it.
func within(name, ancestor string) bool {
	return name == ancestor || strings.HasSuffix(name, "."+ancestor)
}

// ancestors reads which identifiers of a new order are to be proven by a name above
// them (RFC 9444 section 4.2). Where the directory does not say that it knows that,
// it is ignored as any unknown member.
func (e *endpoint) ancestors(in []orderedIdentifier) (map[state.Identifier]string, error) {
	if !e.subdomains {
		return nil, nil
	}
	out := map[state.Identifier]string{}
	for _, o := range in {
		if o.Ancestor == "" {
			continue
		}
		name, ancestor := strings.ToLower(o.Value), strings.ToLower(o.Ancestor)
		bare := strings.TrimPrefix(name, "*.")
		if o.Type != identifierDNS || claim.CheckDNSName(ancestor) != nil || strings.HasPrefix(ancestor, "*.") || !within(bare, ancestor) || name == ancestor {
			return nil, rejected(typeMalformed, o.Identifier, "ancestorDomain is not a DNS name above that of the identifier (RFC 9444 section 4.2)")
		}
		out[state.Identifier{Type: identifierDNS, Value: name}] = ancestor
	}
	return out, nil
}

// heldAncestors adds the names above that the account has proven with the names
// below them before any order, by a challenge that counts under the order's profile.
func (d *Door) heldAncestors(r *request, way *variant, account *state.Account, identifiers []state.Identifier, ancestors map[state.Identifier]string) error {
	if !r.endpoint.subdomains || !account.Preauthorized {
		return nil
	}
	proven, err := d.Store.Preauthorizations(r.Context(), account.Tenant, account.Endpoint, account.ID)
	if err != nil {
		return err
	}
	for _, id := range identifiers {
		base, _ := splitWildcard(id)
		for _, p := range proven {
			covers := p.Subdomains() && p.Identifier.Type == identifierDNS && id.Type == identifierDNS && within(base.Value, p.Identifier.Value) && id != p.Identifier
			counts := func(c state.Challenge) bool {
				return c.Status == state.Valid && slices.Contains(way.offeredBelow(p.Identifier), claim.Method(c.Type))
			}
			if ancestors[id] == "" && covers && slices.ContainsFunc(p.Challenges, counts) {
				ancestors[id] = p.Identifier.Value
			}
		}
	}
	return nil
}

// offeredBelow lists the challenge types that prove an identifier together with
// the names below it: those whose record the zone holds.
func (v *variant) offeredBelow(id state.Identifier) []claim.Method {
	return slices.DeleteFunc(v.offered(id), func(m claim.Method) bool { return !m.Wildcards() })
}

// noneBelow refuses a name that cannot be proven so.
func noneBelow(id state.Identifier) error {
	return rejected(typeRejectedIdentifier, id, "no challenge that is offered here proves the names below a name; that needs one whose record the zone holds, such as dns-01 (RFC 9444 section 4)")
}
