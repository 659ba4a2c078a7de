package ca

import (
	"bytes"
	"context"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Finder finds issued certificates by serial number; a Ledger is one.
type Finder interface {
	// Certificate finds one certificate with its current state, or NotFound.
	Certificate(ctx context.Context, tenant, ca string, serial Serial) (*Certificate, error)
}

// Presented finds the record of a certificate that somebody shows, whole and not by
// its serial number alone; nil where the CA has not issued it, whatever it is.
func Presented(ctx context.Context, in Finder, tenant, id string, der []byte) (*Certificate, error) {
	parsed, err := pkix.ParseCertificate(der)
	if err != nil {
		return nil, nil
	}
	serial, ok := serialOf(parsed)
	if !ok {
		return nil, nil
	}
	c, err := in.Certificate(ctx, tenant, id, serial)
	if IsKind(err, NotFound) {
		return nil, nil
	}
	if err != nil || !bytes.Equal(c.DER, der) {
		return nil, err
	}
	return c, nil
}

// ClaimsOf makes the claims of all that a caller showed: what its credential says,
// and what the certificate does that it presented, DER, if it showed one. BadProof
// where that says what cannot be taken over.
func ClaimsOf(v claim.Verifier, who caller.Caller, presented []byte) ([]claim.Claim, error) {
	all, err := claim.FromCredential(v, who)
	if err != nil {
		return nil, InternalError(err)
	}
	if _, shown := who.Shown(); !shown {
		return all, nil
	}
	proven, err := claim.FromClientCertificate(v, who, presented)
	if err != nil {
		return nil, Wrap(BadProof, err, "the certificate that was presented says something that cannot be taken over")
	}
	return append(all, proven...), nil
}
