package scep

import "github.com/enrollgate/enrollgate/ca"

// Completion lets requests of this door wait for an operator. The door keeps
// nothing about them: a client polls, or sends its request again, and the core
// knows what became of it (RFC 8894 section 3.3.3).
type Completion struct{}

// Complete implements ca.Completion.
func (Completion) Complete(*ca.PendingRequest, *ca.Request) []ca.Effect { return nil }

// End implements ca.Completion.
func (Completion) End(*ca.PendingRequest, *ca.Error) []ca.Effect { return nil }
