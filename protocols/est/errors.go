package est

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// refusal is an answer that handlers know the status of themselves.
type refusal struct {
	status    int
	text      string
	challenge bool // asks for HTTP Basic credentials
	first     bool // none were sent: how every client begins that waits to be asked
	retry     time.Duration
	cause     error
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return r.text + ": " + r.cause.Error()
	}
	return r.text
}

func (r *refusal) Unwrap() error { return r.cause }

func fail(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// missing is the answer where nothing is served, whatever the reason.
func missing() *refusal {
	return fail(http.StatusNotFound, "there is no such EST endpoint or operation")
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
func refusalOf(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	var lost *ca.LostEffect
	if errors.As(err, &lost) { // the only effect of this door is a credential's use
		return &refusal{status: http.StatusUnauthorized, challenge: true, text: "the enrollment code was used already; ask for another one", cause: err}
	}
	e := ca.AsError(err)
	return &refusal{status: wire[e.Kind], text: e.Public, retry: e.RetryAfter, cause: e.Err}
}

// refuse answers with a sentence and the trace id under which the log has the
// rest (RFC 7030 section 4.2.3: text/plain).
func (d *Door) refuse(w http.ResponseWriter, r *request, err error) {
	a := d.refused(w, r, err)
	body := a.text + " [trace " + r.trace + "]\n"
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	w.Write([]byte(body)) // an error means that the client is gone
}

// refused logs a refusal and sets the headers that every form of it has.
func (d *Door) refused(w http.ResponseWriter, r *request, err error) *refusal {
	a := refusalOf(err)
	level := slog.LevelInfo
	switch {
	case a.status >= 500:
		level = slog.LevelError
	case a.first:
		level = slog.LevelDebug
	}
	d.Log.LogAttrs(r.Context(), level, "est.refused", slog.String("trace", r.trace), slog.String("path", clip(r.URL.Path)),
		slog.String("client", httpx.ClientAddress(r.RemoteAddr).String()), slog.Int("status", a.status), slog.String("error", err.Error()))
	h := w.Header()
	if a.challenge && r.endpoint != nil {
		h.Set("WWW-Authenticate", `Basic realm="`+r.endpoint.label+`"`) // RFC 7617; a label has no quote
	}
	if a.retry > 0 || a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests || a.status == http.StatusAccepted {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(max(a.retry, time.Second).Seconds())))) // delta-seconds: a date breaks deployed clients
	}
	return a
}

func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
