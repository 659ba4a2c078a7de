package acme

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// pollApproval is when a client may ask again for an order that waits for an
// operator (RFC 8555 section 7.4: Retry-After of a processing order).
const pollApproval = 30 * time.Second

// giveOrder answers with an order as it stands.
func (d *Door) giveOrder(w http.ResponseWriter, r *request, order *state.Order, authorizations []*state.Authorization) error {
	object := r.endpoint.orderObject(order, authorizations, d.Now())
	if object.Status == state.Processing {
		w.Header().Set("Retry-After", seconds(pollApproval))
	}
	return answer(w, http.StatusOK, object)
}

// Completion tells orders what became of the requests that waited for an
// operator. A processing order becomes valid with the certificate, or invalid
// with the reason (RFC 8555 section 7.1.6).
type Completion struct{ Store state.Store }

// Complete implements ca.Completion. The id of the request names the certificate
// resource. What the order replaces is replaced now: of two that waited, by the
// first that is issued.
func (c Completion) Complete(p *ca.PendingRequest, r *ca.Request) []ca.Effect {
	effects := []ca.Effect{c.Store.FinishParkedOrder(p.Tenant, p.Endpoint, p.Transaction, p.ID)}
	if r.Renews == nil {
		return effects
	}
	parsed, err := pkix.ParseCertificate(r.Renews.Certificate)
	if err != nil || len(parsed.Serial) != ca.SerialSize { // the core has refused it before
		return effects
	}
	return append(effects, replaceEffect(c.Store, p.Tenant, p.CA, ca.Serial(parsed.Serial), p.Transaction))
}

// End implements ca.Completion.
func (c Completion) End(p *ca.PendingRequest, err *ca.Error) []ca.Effect {
	return []ca.Effect{c.Store.RejectOrder(p.Tenant, p.Endpoint, p.Transaction, orderProblem(err))}
}

// orderProblem is the error of an order whose request was not issued. The text
// of an internal error is public, as everywhere.
func orderProblem(err *ca.Error) []byte {
	p := fail(http.StatusForbidden, typeUnauthorized, "%s [trace %s]", err.Public, err.Trace)
	if err.Kind == ca.Internal {
		p.Type, p.Status = urn+typeServerInternal, http.StatusInternalServerError
	}
	text, failed := json.Marshal(p)
	if failed != nil { // only strings and numbers: cannot happen, and must not hide the end
		return []byte(`{"type":"` + urn + typeServerInternal + `"}`)
	}
	return text
}
