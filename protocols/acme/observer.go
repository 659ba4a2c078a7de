package acme

import (
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Observer is told what the door does, for counting. Its methods must not wait
// and may be called at the same time. What they are given comes from closed
// sets: endpoints, the table of resources, challenge types and outcomes.
type Observer interface {
	// Answered: a request got its reply. e is nil outside of every directory;
	// resource is a path of the door's table without its first slash, or "other".
	Answered(e *ca.Endpoint, resource string, status int, took time.Duration)
	// Validated: a validation of a challenge type ended as "valid", "invalid",
	// ValidationLost or ValidationDropped.
	Validated(challenge, outcome string)
	// Limited: a rate limit refused a request. The limit is one of Limits.Names.
	Limited(e *ca.Endpoint, limit string)
	// Panicked: a request was ended by a panic and answered as an internal error.
	Panicked()
}

// Outcomes of a validation beside valid and invalid (RFC 8555 section 7.1.6).
const (
	ValidationLost    = "lost"    // its outcome could not be stored
	ValidationDropped = "dropped" // the process stopped first
)

// unlisted stands for every path that is not in the table.
const unlisted = "/other"

// unobserved counts nothing.
type unobserved struct{}

func (unobserved) Answered(*ca.Endpoint, string, int, time.Duration) {}
func (unobserved) Validated(string, string)                          {}
func (unobserved) Limited(*ca.Endpoint, string)                      {}
func (unobserved) Panicked()                                         {}

func (d *Door) answered(e *endpoint, resource string, status int, took time.Duration) {
	var of *ca.Endpoint
	if e != nil {
		of = &e.Endpoint
	}
	d.Observer.Answered(of, strings.TrimPrefix(resource, "/"), status, took)
}
