package est

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// missing is the answer where nothing is served, whatever the reason.
func missing() *httpx.Refusal {
	return httpx.Fail(http.StatusNotFound, "there is no such EST endpoint or operation")
}

// wire is the one table from the core's kinds to statuses (RFC 7030 section 4.2.3).
var wire = map[ca.Kind]int{
	ca.Internal:    http.StatusInternalServerError,
	ca.BadRequest:  http.StatusBadRequest,
	ca.BadProof:    http.StatusForbidden,
	ca.Denied:      http.StatusForbidden,
	ca.Pending:     http.StatusAccepted,
	ca.NotFound:    http.StatusNotFound,
	ca.Conflict:    http.StatusConflict,
	ca.RateLimited: http.StatusTooManyRequests,
	ca.Unavailable: http.StatusServiceUnavailable,
}

// refusalOf translates any error.
func refusalOf(err error) *httpx.Refusal {
	var r *httpx.Refusal
	if errors.As(err, &r) {
		return r
	}
	var lost *ca.LostEffect
	if errors.As(err, &lost) { // the only effect of this door is a credential's use
		return &httpx.Refusal{Status: http.StatusUnauthorized, Challenge: true, Text: "the enrollment code was used already; ask for another one", Cause: err}
	}
	e := ca.AsError(err)
	return &httpx.Refusal{Status: wire[e.Kind], Text: e.Public, Retry: e.RetryAfter, Cause: e.Err}
}

// refuse answers with a sentence and the trace id under which the log has the
// rest (RFC 7030 section 4.2.3: text/plain).
func (d *Door) refuse(w http.ResponseWriter, r *request, err error) {
	d.refused(w, r, err).Write(w, r.trace)
}

// refused logs a refusal and sets the headers that every form of it has.
func (d *Door) refused(w http.ResponseWriter, r *request, err error) *httpx.Refusal {
	a := refusalOf(err)
	d.Log.LogAttrs(r.Context(), a.Level(), "est.refused", slog.String("trace", r.trace), slog.String("path", httpx.Clip(r.URL.Path)),
		slog.String("client", httpx.ClientAddress(r.RemoteAddr).String()), slog.Int("status", a.Status), slog.String("error", err.Error()))
	realm := ""
	if r.endpoint != nil {
		realm = r.endpoint.label
	}
	a.Headers(w.Header(), realm)
	return a
}
