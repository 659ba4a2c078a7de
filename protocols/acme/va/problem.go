// Package va is ACME's validation authority: it asks the targets that an order
// names and says whether they hold the key authorization.
//
// It implements http-01 (RFC 8555 section 8.3) and tls-alpn-01 (RFC 8737), both
// for names and addresses (RFC 8738), over addresses that
// protocols/internal/outbound has checked; dns-01 (section 8.4) and CAA (RFC 8659
// with RFC 8657) through its resolver; and the retries of section 8.2. Behind
// switches: dns-account-01 (draft-ietf-acme-dns-account-label-03) and dns-persist-01
// (draft-ietf-acme-dns-persist-02, and -00 as deployed servers speak it). Several
// resolvers can be asked, of which a quorum must confirm what is found.
// Left out: connections from several places on the network (each vantage point is a
// resolver, the sockets are this machine's), just-in-time validation of
// dns-persist-01 (its section 4.4), and DNSSEC (the recursive resolver's work).
package va

import (
	"errors"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// The problem types that validation gives, the last part of the URN
// urn:ietf:params:acme:error: (RFC 8555 section 6.7).
const (
	TypeDNS            = "dns"                     // no address for a host, or no TXT record
	TypeConnection     = "connection"              // no answer in HTTP, or a target that may not be asked
	TypeCAA            = "caa"                     // CAA records forbid it, or cannot be asked
	TypeTLS            = "tls"                     // no agreement on TLS
	TypeUnauthorized   = "unauthorized"            // an answer, but not the key authorization
	TypeMalformed      = "malformed"               // a domain or token that cannot be asked for
	TypeBadAttestation = "badAttestationStatement" // draft-ietf-acme-device-attest section 5
	TypeServerInternal = "serverInternal"          // a fault of ours
)

// Problem is why a validation failed; every error of a Validate method is one.
type Problem struct {
	Type   string // one of the Type constants
	Detail string // a sentence for the requester; never holds bytes that the target sent, only lengths and status codes
	Retry  bool   // whether another attempt may end otherwise
	Err    error  // the cause for the log, under the same rule as Detail; may be nil
}

func (p *Problem) Error() string {
	if p.Err == nil {
		return p.Type + ": " + p.Detail
	}
	return p.Type + ": " + p.Detail + ": " + p.Err.Error()
}

func (p *Problem) Unwrap() error { return p.Err }

// dialProblem translates an error of outbound.Dialer. A refused target stays
// refused, whatever the number of attempts.
func dialProblem(where string, err error) *Problem {
	var e *outbound.Error
	if !errors.As(err, &e) {
		return &Problem{Type: TypeServerInternal, Detail: where + "the connection failed for an internal reason", Err: err}
	}
	problem := &Problem{Type: TypeConnection, Detail: where + e.Public(), Retry: e.Kind != outbound.Refused, Err: e.Err}
	if e.Kind == outbound.DNS {
		problem.Type = TypeDNS
	}
	return problem
}
