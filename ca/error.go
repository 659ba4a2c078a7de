package ca

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what went wrong in the words every door can translate. The list is
// closed: each door has one table from Kind to its own wire form, and a test in
// each door walks Kinds so that a new one cannot be forgotten.
type Kind uint8

const (
	// Internal is a fault of ours. Its text never leaves the process.
	Internal Kind = iota
	// BadRequest is input that does not parse or contradicts itself.
	BadRequest
	// BadProof is a signature, MAC, secret or possession proof that does not verify.
	BadProof
	// Denied is a well-formed, authenticated request that policy refuses.
	Denied
	// Pending is a request that waits for an approval or for background work.
	Pending
	// NotFound is a resource that does not exist for this tenant and caller.
	NotFound
	// Conflict is a request that contradicts a recorded one or lost a race.
	Conflict
	// RateLimited is a caller over its limit; RetryAfter says when to come back.
	RateLimited
	// Unavailable is a dependency (key, store, upstream) that cannot answer now;
	// nothing was recorded and the caller may try again after RetryAfter.
	Unavailable
	kindEnd
)

// Kinds lists every Kind, for table tests.
func Kinds() []Kind {
	all := make([]Kind, kindEnd)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

func (k Kind) String() string {
	names := [...]string{"internal", "bad request", "bad proof", "denied", "pending", "not found", "conflict", "rate limited", "unavailable"}
	if int(k) >= len(names) {
		return "internal"
	}
	return names[k]
}

// Error is the one error type that crosses package borders. Public is a
// sentence for the requester; Err is the cause for the log and never sent.
type Error struct {
	Kind       Kind
	Public     string        // what the requester may read; no secrets, no internals
	Field      string        // what it is about where that helps: "dns:host.example", "key"; may be empty
	Rule       string        // the profile rule or standard section that refused; may be empty
	Err        error         // the cause, for the log; may be nil
	RetryAfter time.Duration // for Pending, RateLimited and Unavailable; 0 otherwise
	Trace      string        // trace id, filled where the request is known
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	b.WriteString(": ")
	b.WriteString(e.Public)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error whose public text is the formatted sentence.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Public: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error with a public sentence and a private cause.
func Wrap(kind Kind, cause error, public string) *Error {
	return &Error{Kind: kind, Public: public, Err: cause}
}

// InternalError wraps a fault of ours; requesters read only that it happened.
func InternalError(cause error) *Error {
	return &Error{Kind: Internal, Public: "an internal error occurred; quote the trace id to the operator", Err: cause}
}

// UnavailableError wraps a dependency that cannot answer now.
func UnavailableError(cause error, retry time.Duration) *Error {
	return &Error{Kind: Unavailable, Public: "the service cannot answer at the moment, try again later", Err: cause, RetryAfter: retry}
}

// AsError gives err as *Error. Anything that is not one already is Internal,
// except a context that ended, which is Unavailable.
func AsError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return UnavailableError(err, 2*time.Second)
	default:
		return InternalError(err)
	}
}

// IsKind tells whether err is an Error of kind k.
func IsKind(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewTrace makes a trace id: 10 random Crockford base32 characters, sent in
// every refusal and found again with `enrollgate explain`.
func NewTrace() string { return RandomID(10) }

// OrderedID makes an id that sorts by the time it was made at: 8 Crockford base32
// characters of milliseconds (they wrap after 34 years, which only costs the
// order) and 16 random ones, 80 bits. What is made together then lies together
// in an index, so that a commit touches few pages of it.
func OrderedID(now time.Time) string {
	ms := uint64(now.UnixMilli())
	b := make([]byte, 8, 24)
	for i := range b {
		b[i] = crockford[ms>>(5*(7-i))&31]
	}
	return string(append(b, RandomID(16)...))
}

// RandomID makes an id of n random Crockford base32 characters (5 bits each).
func RandomID(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	for i := range b {
		b[i] = crockford[b[i]&31]
	}
	return string(b)
}
