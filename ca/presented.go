package ca

import (
	"bytes"
	"context"

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
