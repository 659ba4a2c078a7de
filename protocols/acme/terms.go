package acme

import (
	"fmt"
	"net/http"

	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// agreed tells whether an account has agreed to the terms of service as they are
// now: other terms have another URL.
func (e *endpoint) agreed(a *state.Account) bool { return e.terms == "" || a.Agreed == e.terms }

// askAgreement refuses until the client has agreed to the terms of service (RFC
// 8555 sections 7.3 and 7.3.3).
func (e *endpoint) askAgreement(w http.ResponseWriter, text string) error {
	w.Header().Add("Link", fmt.Sprintf("<%s>;rel=%q", e.terms, "terms-of-service"))
	p := fail(http.StatusForbidden, typeUserActionRequired, "%s: %s", text, e.terms)
	p.Instance = e.terms
	return p
}
