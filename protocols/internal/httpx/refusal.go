package httpx

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Refusal is an answer that a handler knows the status of itself.
type Refusal struct {
	Status    int
	Text      string // what the client may read
	Challenge bool   // asks for HTTP Basic credentials
	First     bool   // none were sent: how every client begins that waits to be asked
	Retry     time.Duration
	Cause     error // for the log
}

func (r *Refusal) Error() string {
	if r.Cause != nil {
		return r.Text + ": " + r.Cause.Error()
	}
	return r.Text
}

func (r *Refusal) Unwrap() error { return r.Cause }

// Fail is a refusal with a sentence.
func Fail(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Level is how loudly a refusal is logged: faults of ours are errors, and a
// client's first request without credentials is nothing to tell.
func (r *Refusal) Level() slog.Level {
	switch {
	case r.Status >= 500:
		return slog.LevelError
	case r.First:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// Headers sets what every form of the refusal has; the realm, without quotes, is
// for those that ask for credentials (RFC 7617). Retry-After is in seconds: a date
// breaks deployed clients.
func (r *Refusal) Headers(h http.Header, realm string) {
	if r.Challenge && realm != "" {
		h.Set("WWW-Authenticate", `Basic realm="`+realm+`"`)
	}
	if r.Retry > 0 || r.Status == http.StatusServiceUnavailable || r.Status == http.StatusTooManyRequests || r.Status == http.StatusAccepted {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(max(r.Retry, time.Second).Seconds()))))
	}
}

// Write answers with the sentence and the trace id under which the log has the rest.
func (r *Refusal) Write(w http.ResponseWriter, trace string) {
	body := r.Text + " [trace " + trace + "]\n"
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(r.Status)
	w.Write([]byte(body)) // an error means that the client is gone
}

// Clip cuts what a client sent to a length that a log bears.
func Clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
