package acme

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// maxBinding bounds an external account binding in octets: the account object
// repeats it.
const maxBinding = 8 << 10

// Credentials is what the door asks of the registry.
type Credentials interface {
	Key(ctx context.Context, tenant, id string) (*credential.Credential, credential.Secret, error)
	Burn(tenant, id string) ca.Effect
}

// bindings says what an endpoint does with external account bindings.
type bindings int

const (
	bindingsIgnored bindings = iota
	bindingsOptional
	bindingsRequired
)

// bindingsOf follows from the endpoint's authentication policy: an alternative
// that names "eab" is for accounts that are bound.
func bindingsOf(e *ca.Endpoint) bindings {
	with, without := false, false
	for _, set := range e.Policies {
		if slices.Contains(set, caller.ExternalAccount) {
			with = true
		} else {
			without = true
		}
	}
	switch {
	case with && without:
		return bindingsOptional
	case with:
		return bindingsRequired
	}
	return bindingsIgnored
}

// bind verifies the external account binding of a new account (RFC 8555 section
// 7.3.4), and gives the effect that takes a use of its credential. It gives nil
// where the account is bound to none.
func (d *Door) bind(r *request, outer *message, key accountKey, raw json.RawMessage) (*state.External, []ca.Effect, error) {
	missing := len(raw) == 0 || string(raw) == "null"
	switch mode := r.endpoint.bindings; {
	case mode == bindingsIgnored, missing && mode == bindingsOptional:
		return nil, nil, nil
	case missing:
		return nil, nil, fail(http.StatusForbidden, typeExternalAccountRequired, "this directory wants an external account binding; ask its operator for a key id and an HMAC key (RFC 8555 section 7.3.4)")
	case len(raw) > maxBinding:
		return nil, nil, malformed("the external account binding is too long")
	}
	inner, err := parseBindingJWS(raw)
	if err != nil {
		return nil, nil, err
	}
	if inner.URL != outer.URL {
		return nil, nil, malformed("\"url\" of the external account binding is not that of the request (RFC 8555 section 7.3.4)")
	}
	wrong := fail(http.StatusUnauthorized, typeUnauthorized, "the external account binding does not verify here; check its key id and HMAC key, and that they are for this directory")
	known, secret, err := d.External.Key(r.Context(), r.endpoint.Tenant, inner.KID)
	if ca.IsKind(err, ca.BadProof) {
		return nil, nil, wrong
	}
	if err != nil {
		return nil, nil, err
	}
	if inner.verifyMAC(secret.Octets()) != nil || known.Kind != credential.HMACKey || !known.Serves(&r.endpoint.Endpoint) {
		return nil, nil, wrong
	}
	named, err := parseJWK(inner.Payload)
	if err != nil || subtle.ConstantTimeCompare(named.Thumbprint[:], key.Thumbprint[:]) != 1 {
		return nil, nil, malformed("the payload of the external account binding is not the account's key (RFC 8555 section 7.3.4)")
	}
	if now := known.At(d.Now()); now != credential.Live {
		return nil, nil, notLive(now)
	}
	return &state.External{Binding: known.Binding, JWS: raw}, []ca.Effect{d.External.Burn(known.Tenant, known.ID)}, nil
}

func notLive(s credential.State) error {
	return fail(http.StatusUnauthorized, typeUnauthorized, "the external account key is %s; ask the operator of this directory for another one", s)
}

// bindingLost tells whether an account was not made because the last use of its
// credential was taken meanwhile.
func bindingLost(err error) bool {
	var lost *ca.LostEffect
	return errors.As(err, &lost)
}

// bindingOf is what the account's credential holds it to; nil: nothing.
func bindingOf(a *state.Account) *caller.Binding {
	if a.External == nil {
		return nil
	}
	return &a.External.Binding
}

// mayOrder refuses accounts that must first do something outside of this
// protocol: be bound to an external account, or agree to changed terms.
func (d *Door) mayOrder(w http.ResponseWriter, r *request, a *state.Account) error {
	if r.endpoint.bindings == bindingsRequired && a.External == nil {
		return fail(http.StatusForbidden, typeExternalAccountRequired, "accounts here are bound to external ones now, and this one is not; register a new key with an external account binding (RFC 8555 section 7.3.4)")
	}
	if !r.endpoint.agreed(a) {
		return r.endpoint.askAgreement(w, "the terms of service have changed; agree to them by an account update with \"termsOfServiceAgreed\"")
	}
	return nil
}
