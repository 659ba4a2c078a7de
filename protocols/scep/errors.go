package scep

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

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
	var http *httpx.Refusal
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

// refuse answers by HTTP alone: there is no message to answer, or nobody can sign
// the answer now.
func (d *Door) refuse(w http.ResponseWriter, r *request, err error) {
	var a *httpx.Refusal
	if !errors.As(err, &a) {
		e := ca.AsError(err)
		a = &httpx.Refusal{Status: status[e.Kind], Text: e.Public, Retry: e.RetryAfter, Cause: e.Err}
		if a.Status == 0 { // one that the protocol has words for, where there is no message to answer
			a.Status = http.StatusBadRequest
		}
	}
	d.log(r, a.Level(), slog.Int("status", a.Status), err)
	a.Headers(w.Header(), "SCEP")
	a.Write(w, r.trace)
}

// log writes what became of a request that was refused.
func (d *Door) log(r *request, level slog.Level, as slog.Attr, err error) {
	d.Log.LogAttrs(r.Context(), level, "scep.refused", slog.String("trace", r.trace), slog.String("path", httpx.Clip(r.URL.Path)),
		slog.String("client", httpx.ClientAddress(r.RemoteAddr).String()), slog.String("operation", r.operation), as, slog.String("error", err.Error()))
}
