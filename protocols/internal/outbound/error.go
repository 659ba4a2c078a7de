package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Kind says at which step a connection failed.
type Kind uint8

const (
	// DNS is a name that gave no address: no such name, no record, no answer.
	DNS Kind = iota + 1
	// Connection is a permitted address that could not be connected to.
	Connection
	// Refused is a host all of whose addresses the Policy refuses.
	Refused
)

// Note is an address with the reason why it was not used.
type Note struct {
	Addr   netip.Addr `json:"addr"`
	Reason string     `json:"reason"`
}

// Error is what Resolver.Lookup and Dialer.Dial return. Err is the cause for the log;
// it never holds bytes that a remote host chose.
type Error struct {
	Kind   Kind
	Host   string // canonical name or address
	Port   uint16 // 0 when no connection was meant
	Reason string // why the lookup failed; empty for the other kinds
	Absent bool   // the name does not exist: a server that knows said so (NXDOMAIN)
	Notes  []Note // the addresses tried (Connection) or refused (Refused)
	Err    error  // may be nil
}

const maxReasonsShown = 4

// Public gives a text for strangers: host, port and reason. The addresses that were
// dialed are in it; those that the Policy refused are not, so that nobody learns from
// us where a name leads inside a network, only what kind of place that is.
func (e *Error) Public() string {
	var b strings.Builder
	switch e.Kind {
	case DNS:
		fmt.Fprintf(&b, "the DNS lookup of %s failed: %s", e.Host, e.Reason)
		return b.String()
	case Connection:
		fmt.Fprintf(&b, "no connection to %s port %d", e.Host, e.Port)
	case Refused:
		fmt.Fprintf(&b, "%s port %d is not a permitted target", e.Host, e.Port)
	}
	reasons := make([]string, 0, len(e.Notes))
	for _, n := range e.Notes {
		reason := n.Reason
		if e.Kind != Refused {
			reason = n.Addr.String() + ": " + reason
		}
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	more := len(reasons) - maxReasonsShown
	if more > 0 {
		reasons = append(reasons[:maxReasonsShown], fmt.Sprintf("and %d more", more))
	}
	if len(reasons) > 0 {
		b.WriteString(": " + strings.Join(reasons, "; "))
	}
	return b.String()
}

// refusedError is the cause of a Refused error: the addresses, for the log.
func refusedError(notes []Note) error {
	addresses := make([]string, len(notes))
	for i, n := range notes {
		addresses[i] = n.Addr.String()
	}
	return errors.New(strings.Join(addresses, ", "))
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Public()
	}
	return e.Public() + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// dialReason puts the error of a dial into a fixed phrase.
func dialReason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return "no route to the host"
	default:
		return "could not connect"
	}
}
