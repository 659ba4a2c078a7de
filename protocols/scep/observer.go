package scep

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Observer counts what the door does. Methods are called while a request waits,
// and so must be quick.
type Observer interface {
	// Answered is every reply: the endpoint, nil where there is none; the
	// operation, for PKIOperation the name of the message type; and what came of
	// it: the pkiStatus or failInfo of the reply, or "http" and the class of the
	// status ("http 4xx") where the protocol has no reply.
	Answered(e *ca.Endpoint, operation, outcome string, took time.Duration)
	// Legacy is an algorithm below the floor that a message used and was granted.
	Legacy(e *ca.Endpoint, algorithm string)
	// Panicked is a request that ended in a panic, which was answered.
	Panicked()
}

type unobserved struct{}

func (unobserved) Answered(*ca.Endpoint, string, string, time.Duration) {}
func (unobserved) Legacy(*ca.Endpoint, string)                          {}
func (unobserved) Panicked()                                            {}
