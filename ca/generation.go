package ca

import (
	"context"
	"time"
)

// Generation is one CA certificate with its key: a fact, unlike the CA's
// configuration. Rolling a CA over adds a generation; none is ever removed,
// and the id of a CA stays taken.
type Generation struct {
	Tenant, CA string
	Number     int    // 1, 2, ...
	KeyURI     string // where the key is, without any secret
	DER        []byte // the CA certificate
	Chain      [][]byte
	Root       []byte // trust anchor, DER; equal to DER for a root
	CreatedAt  time.Time
}

// Generations remembers CA generations.
type Generations interface {
	// AddGeneration records one together with its audit row; Conflict where the number is taken.
	AddGeneration(ctx context.Context, g *Generation, a Audit) error
	// Generations lists the generations of every CA of a tenant, by CA and number.
	Generations(ctx context.Context, tenant string) ([]Generation, error)
}
