package scep

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// refusal is an answer by HTTP alone: there is no message to answer, or nobody can
// sign the answer now.
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

// rejection is an answer in the protocol: a CertRep that says failure.
type rejection struct {
	fail  failInfo
	text  string // what the client may read
	cause error  // for the log
}

func (r *rejection) Error() string {
	if r.cause != nil {
		return r.text + ": " + r.cause.Error()
	}
	return r.text
}

func (r *rejection) Unwrap() error { return r.cause }

func reject(info failInfo, format string, args ...any) *rejection {
	return &rejection{fail: info, text: fmt.Sprintf(format, args...)}
}

// unusable is the one answer to everything that is wrong between the ciphertext
// of a message and a content that the signer of the message made: who cannot
// decrypt it learns nothing of what is in it by sending it changed (design.md,
// invariant 10).
func unusable(cause error) *rejection {
	return &rejection{badMessageCheck, "the message cannot be used: it does not decrypt with this service's key, what is in it is malformed or has a signature that does not hold here, " +
		"or its request is for another key than the one that signed the message", cause}
}

// wire is the one table from the core's kinds to failInfo (RFC 8894 section
// 3.2.1.4). Kinds that are missing have no meaning in the protocol: they are
// answered by HTTP, so that clients try again.
var wire = map[ca.Kind]failInfo{
	ca.BadRequest: badRequest,
	ca.BadProof:   badMessageCheck,
	ca.Denied:     badRequest,
	ca.NotFound:   badCertID,
	ca.Conflict:   badRequest,
}

// status is the one table from the other kinds to HTTP.
var status = map[ca.Kind]int{
	ca.Internal:    http.StatusInternalServerError,
	ca.RateLimited: http.StatusTooManyRequests,
	ca.Unavailable: http.StatusServiceUnavailable,
}

// rejectionOf translates an error into one that the protocol has words for; nil
// where it has none.
func rejectionOf(err error) *rejection {
	var r *rejection
	if errors.As(err, &r) {
		return r
	}
	var lost *ca.LostEffect
	if errors.As(err, &lost) { // the only effect of this door is a secret's use
		return &rejection{badMessageCheck, "the challengePassword was used already; ask for another one", err}
	}
	if errors.Is(err, cms.ErrAlgorithm) {
		return &rejection{badAlg, "an algorithm of the message is not taken here; GetCACaps lists those that are", err}
	}
	var http *refusal
	if errors.As(err, &http) {
		return nil
	}
	e := ca.AsError(err)
	info, ok := wire[e.Kind]
	if !ok {
		return nil
	}
	return &rejection{info, e.Public, e.Err}
}

// refuse answers by HTTP, with a sentence and the trace id under which the log has
// the rest.
func (d *Door) refuse(w http.ResponseWriter, r *request, err error) {
	var a *refusal
	if !errors.As(err, &a) {
		e := ca.AsError(err)
		a = &refusal{status: status[e.Kind], text: e.Public, retry: e.RetryAfter, cause: e.Err}
		if a.status == 0 { // one that the protocol has words for, where there is no message to answer
			a.status = http.StatusBadRequest
		}
	}
	level := slog.LevelInfo
	switch {
	case a.status >= 500:
		level = slog.LevelError
	case a.first:
		level = slog.LevelDebug
	}
	d.log(r, level, slog.Int("status", a.status), err)
	h := w.Header()
	if a.challenge {
		h.Set("WWW-Authenticate", `Basic realm="SCEP"`) // RFC 7617
	}
	if a.retry > 0 || a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(max(a.retry, time.Second).Seconds()))))
	}
	body := a.text + " [trace " + r.trace + "]\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	w.Write([]byte(body)) // an error means that the client is gone
}

// log writes what became of a request that was refused.
func (d *Door) log(r *request, level slog.Level, as slog.Attr, err error) {
	d.Log.LogAttrs(r.Context(), level, "scep.refused", slog.String("trace", r.trace), slog.String("path", clip(r.URL.Path)),
		slog.String("client", httpx.ClientAddress(r.RemoteAddr).String()), slog.String("operation", r.operation), as, slog.String("error", err.Error()))
}

func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
