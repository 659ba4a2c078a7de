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

// Activation is the decision that a generation of a CA signs from a time on.
// Decisions are only ever added.
type Activation struct {
	Tenant, CA string
	Position   int // 1, 2, ... for each CA
	Generation int
	From       time.Time
	CreatedAt  time.Time
}

// FirstGeneration signs until an activation says otherwise.
const FirstGeneration = 1

// Signing gives the number of the generation that signs for a CA at a time: that
// of the latest decision whose time has come. A later decision so also takes
// back an earlier one whose time is yet to come. The activations are in the
// order of their positions; those of other CAs are passed over.
func Signing(all []Activation, ca string, at time.Time) int {
	number := FirstGeneration
	for _, a := range all {
		if a.CA == ca && !a.From.After(at) {
			number = a.Generation
		}
	}
	return number
}

// Generations remembers CA generations, and which of them sign.
type Generations interface {
	// AddGeneration records one together with its audit row; Conflict where the number is taken.
	AddGeneration(ctx context.Context, g *Generation, a Audit) error
	// Generations lists the generations of every CA of a tenant, by CA and number.
	Generations(ctx context.Context, tenant string) ([]Generation, error)
	// Activate records a decision together with its audit row. Conflict where
	// the position is taken, so that of two decisions made at once the second
	// is made again, or where there is no such generation.
	Activate(ctx context.Context, a *Activation, audit Audit) error
	// Activations lists the decisions about every CA of a tenant, by CA and position.
	Activations(ctx context.Context, tenant string) ([]Activation, error)
}
