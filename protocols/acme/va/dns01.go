package va

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// dnsTimeout bounds a dns-01 attempt, all resolvers and rounds included.
const dnsTimeout = 15 * time.Second

// DNS01 validates dns-01 challenges (RFC 8555 section 8.4). It is safe for
// concurrent use; the fields are set once.
type DNS01 struct {
	Resolver texter
}

// Validate asks for the TXT records of _acme-challenge.IDENTIFIER and succeeds when
// one of them is the base64url SHA-256 digest of the key authorization. Aliases are
// followed as the resolver gives them. The error is a *Problem.
func (d DNS01) Validate(ctx context.Context, q Question) (Record, error) {
	return proveByTXT(ctx, d.Resolver, "_acme-challenge."+strings.TrimSuffix(q.Identifier, "."), q)
}

// texter asks for TXT records.
type texter interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// proveByTXT looks for the digest among the TXT records of a name.
func proveByTXT(ctx context.Context, resolver texter, name string, q Question) (Record, error) {
	if !q.whole() {
		return Record{}, incomplete()
	}
	record, texts, problem := lookTXT(ctx, resolver, name)
	if problem != nil {
		return record, problem
	}
	want, found := []byte(q.digest()), 0
	for _, text := range texts { // RFC 8555 section 8.4: any of them; base and wildcard name share the record's name
		found |= subtle.ConstantTimeCompare([]byte(text), want)
	}
	if found == 1 {
		return record, nil
	}
	return record, &Problem{
		Type:   TypeUnauthorized,
		Detail: fmt.Sprintf("none of the %d TXT records of %s is the digest of the key authorization", len(texts), name),
		Retry:  true,
	}
}

// lookTXT asks for the TXT records of a name, in bounded time.
func lookTXT(ctx context.Context, resolver texter, name string) (Record, []string, *Problem) {
	record := Record{DNS: &DNSAnswer{Name: name}}
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	texts, err := resolver.LookupTXT(ctx, name)
	if err != nil {
		return record, nil, lookupProblem(err)
	}
	record.DNS.Texts = len(texts)
	return record, texts, nil
}

// lookupProblem translates an error of outbound.Resolver. A name that cannot be
// asked for stays so; anything else may mend itself while records spread.
func lookupProblem(err error) *Problem {
	var e *outbound.Error
	if !errors.As(err, &e) {
		return &Problem{Type: TypeServerInternal, Detail: "the DNS lookup failed for an internal reason", Err: err}
	}
	if errors.Is(err, outbound.ErrName) {
		return &Problem{Type: TypeMalformed, Detail: "the identifier is not a DNS name whose records can be asked about"}
	}
	return &Problem{Type: TypeDNS, Detail: e.Public(), Retry: true, Err: e.Err}
}
