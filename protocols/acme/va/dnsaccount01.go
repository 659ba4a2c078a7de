package va

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// DNSAccount01 validates dns-account-01 challenges
// (draft-ietf-acme-dns-account-label-03): dns-01 at a name of the account's own, so
// that several clients can prove one name. It is safe for concurrent use; the
// fields are set once.
type DNSAccount01 struct {
	Resolver texter
}

// AccountLabel gives the label of an account: "_" and the first ten octets of the
// SHA-256 digest of its URL in lower-case base32 (section 3.2 of the draft).
func AccountLabel(account string) string {
	sum := sha256.Sum256([]byte(account))
	return "_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// Validate asks for the TXT records of LABEL._acme-challenge.IDENTIFIER as DNS01
// does. The error is a *Problem.
func (d DNSAccount01) Validate(ctx context.Context, q Question) (Record, error) {
	if q.Account == "" {
		return Record{}, &Problem{Type: TypeServerInternal, Detail: "there is no account whose label could be asked for"}
	}
	return proveByTXT(ctx, d.Resolver, AccountLabel(q.Account)+"._acme-challenge."+strings.TrimSuffix(q.Identifier, "."), q)
}
