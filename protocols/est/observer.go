package est

import (
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
