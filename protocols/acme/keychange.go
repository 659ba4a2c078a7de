package acme

import (
	"encoding/json"
	"net/http"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// keyChange gives the caller's account another key, which has signed that it
// wants to be (RFC 8555 section 7.3.5).
func (d *Door) keyChange(w http.ResponseWriter, r *request) error {
	outer, nonce, err := d.open(r)
	if err != nil {
		return err
	}
	s, err := d.byAccount(r, outer, nonce)
	if err != nil {
		return err
	}
	inner, err := parseInnerJWS(s.payload)
	if err != nil {
		return err
	}
	if inner.URL != outer.URL {
		return malformed("\"url\" of the inner JWS is not that of the request (RFC 8555 section 7.3.5)")
	}
	if inner.verify(inner.Key.Public) != nil {
		return malformed("the signature of the inner JWS does not verify with its key (RFC 8555 section 7.3.5)")
	}
	var in struct {
		Account string          `json:"account"`
		OldKey  json.RawMessage `json:"oldKey"`
	}
	if err := decode(inner.Payload, &in); err != nil {
		return err
	}
	if in.Account != outer.KID {
		return malformed("\"account\" is not the URL of the account that signs the request (RFC 8555 section 7.3.5)")
	}
	if old, err := parseJWK(in.OldKey); err != nil || old.Thumbprint != s.account.Thumbprint {
		return malformed("\"oldKey\" is not the account's key (RFC 8555 section 7.3.5)")
	}
	if err := d.keyTaken(r, inner.Key); err != nil {
		return err
	}
	updated := *s.account
	updated.Key, updated.Thumbprint = inner.Key.Canonical, inner.Key.Thumbprint
	err = d.Store.ChangeKey(r.Context(), &updated, s.account.Thumbprint, s.nonce)
	if ca.IsKind(err, ca.Conflict) { // another request was first, with this key or with this account
		if taken := d.keyTaken(r, inner.Key); taken != nil {
			return taken
		}
	}
	if err != nil {
		return err
	}
	return d.answerAccount(w, r, http.StatusOK, &updated)
}

// keyTaken is 409 with the URL of the account that has the key, nil where none
// has (RFC 8555 section 7.3.5).
func (d *Door) keyTaken(r *request, key *accountKey) error {
	existing, err := d.Store.AccountByKey(r.Context(), r.endpoint.Tenant, r.endpoint.ID, key.Thumbprint)
	switch {
	case ca.IsKind(err, ca.NotFound):
		return nil
	case err != nil:
		return err
	}
	p := fail(http.StatusConflict, typeMalformed, "an account has that key already (RFC 8555 section 7.3.5)")
	p.location = r.endpoint.accountURL(existing.ID)
	return p
}

// forgetful is a store that remembers accounts for a moment.
type forgetful interface {
	Forget(tenant, endpoint, account string)
}

// signer finds the account of a request and verifies the request with its key.
// An account may be remembered with a key that it had before: then it is read
// again.
func (d *Door) signer(r *request, m *message, id string) (*state.Account, accountKey, error) {
	for again := false; ; again = true {
		account, err := d.Store.Account(r.Context(), r.endpoint.Tenant, r.endpoint.ID, id)
		if ca.IsKind(err, ca.NotFound) {
			return nil, accountKey{}, fail(http.StatusBadRequest, typeAccountDoesNotExist, "there is no such account; register again")
		}
		if err != nil {
			return nil, accountKey{}, err
		}
		key, err := d.key(account)
		if err != nil {
			return nil, accountKey{}, ca.InternalError(err)
		}
		err = m.verify(key.Public)
		if err == nil {
			return account, key, nil
		}
		memory, ok := d.Store.(forgetful)
		if !ok || again {
			return nil, accountKey{}, err
		}
		memory.Forget(account.Tenant, account.Endpoint, account.ID)
	}
}
