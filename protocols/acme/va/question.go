package va

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Validator proves control of an identifier by one type of challenge (RFC 8555
// section 8).
type Validator interface {
	// Validate asks once. An error that is a *Problem is the requester's to read.
	Validate(ctx context.Context, q Question) (Record, error)
}

// Question is one challenge to be validated: what a validator of its type needs
// of it. Name and address validators use Identifier, Token and KeyAuthorization.
type Question struct {
	Identifier       string // a DNS name without the wildcard label, an address, or the value of a device's identifier
	Type             string // of the identifier (RFC 8555 section 9.7.7)
	Wildcard         bool   // the wildcard below Identifier is to be proven
	Subdomains       bool   // the names below Identifier are to be proven, too (RFC 9444)
	Token            string
	KeyAuthorization string   // RFC 8555 section 8.1
	Account          string   // URL of the account
	Thumbprints      []string // of the account's keys, base64url (RFC 7638), the one of now first
	Response         []byte   // payload that the client sent to the challenge
}

// whole tells whether the key authorization is of the token.
func (q *Question) whole() bool {
	return q.KeyAuthorization != "" && strings.HasPrefix(q.KeyAuthorization, q.Token+".")
}

// digest is what TXT records hold of the key authorization (RFC 8555 section 8.4).
func (q *Question) digest() string {
	sum := sha256.Sum256([]byte(q.KeyAuthorization))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// incomplete is the problem of a question that the door asked wrongly.
func incomplete() *Problem {
	return &Problem{Type: TypeServerInternal, Detail: "there is no key authorization of this token to compare with"}
}
