package va

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
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
	Resolver interface {
		LookupTXT(ctx context.Context, name string) ([]string, error)
	}
}

// Validate asks for the TXT records of _acme-challenge.domain and succeeds when one
// of them is the base64url SHA-256 digest of keyAuthorization. Aliases are followed as
// the resolver gives them. The domain comes without a wildcard label; token takes no
// part, since it is inside keyAuthorization. The error is a *Problem.
func (d DNS01) Validate(ctx context.Context, domain, token, keyAuthorization string) (Record, error) {
	if keyAuthorization == "" || !strings.HasPrefix(keyAuthorization, token+".") {
		return Record{}, &Problem{Type: TypeServerInternal, Detail: "there is no key authorization of this token to compare with"}
	}
	record := Record{DNS: &DNSAnswer{Name: "_acme-challenge." + strings.TrimSuffix(domain, ".")}}
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	texts, err := d.Resolver.LookupTXT(ctx, record.DNS.Name)
	if err != nil {
		return record, lookupProblem(err)
	}
	record.DNS.Texts = len(texts)
	digest := sha256.Sum256([]byte(keyAuthorization))
	want := []byte(base64.RawURLEncoding.EncodeToString(digest[:]))
	found := 0
	for _, text := range texts { // RFC 8555 section 8.4: any of them; base and wildcard name share the record's name
		found |= subtle.ConstantTimeCompare([]byte(text), want)
	}
	if found == 1 {
		return record, nil
	}
	return record, &Problem{
		Type:   TypeUnauthorized,
		Detail: fmt.Sprintf("none of the %d TXT records of %s is the digest of the key authorization", len(texts), record.DNS.Name),
		Retry:  true,
	}
}

// lookupProblem translates an error of outbound.Resolver. A name that cannot be
// asked for stays so; anything else may mend itself while records spread.
func lookupProblem(err error) *Problem {
	var e *outbound.Error
	if !errors.As(err, &e) {
		return &Problem{Type: TypeServerInternal, Detail: "the DNS lookup failed for an internal reason", Err: err}
	}
	if errors.Is(err, outbound.ErrName) {
		return &Problem{Type: TypeMalformed, Detail: "the identifier is not a DNS name that dns-01 can ask about"}
	}
	return &Problem{Type: TypeDNS, Detail: e.Public(), Retry: true, Err: e.Err}
}
