package est

import (
	"net/http"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Observer is told what the door does, for counting. Its methods must not wait
// and may be called at the same time.
type Observer interface {
	// Answered: a request got its reply. e is nil where there is no such endpoint;
	// operation is one of Operations, or "other".
	Answered(e *ca.Endpoint, operation string, status int, took time.Duration)
	// Panicked: a request was ended by a panic and answered as an internal error.
	Panicked()
}

// unlisted stands for every operation that is not in the table.
const unlisted = "other"

// unobserved counts nothing.
type unobserved struct{}

func (unobserved) Answered(*ca.Endpoint, string, int, time.Duration) {}
func (unobserved) Panicked()                                         {}

// statusWriter remembers the status of a reply.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the first status.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts as a 200 where no status was said.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
