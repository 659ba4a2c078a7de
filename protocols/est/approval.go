package est

import "github.com/enrollgate/enrollgate/ca"

// Completion lets requests of this door wait for an operator. The door keeps
// nothing about them: a client sends its request again, and the core knows what
// became of it (RFC 7030 section 4.2.3: 202 and Retry-After).
type Completion struct{}

// Complete implements ca.Completion.
func (Completion) Complete(*ca.PendingRequest, *ca.Request) []ca.Effect { return nil }

// End implements ca.Completion.
func (Completion) End(*ca.PendingRequest, *ca.Error) []ca.Effect { return nil }
