// Package credential is the registry of enrollment secrets for all doors. So
// far it holds what the issuing commit needs: the burn of a one-time credential.
package credential

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Uses counts how often a credential may still be used.
type Uses struct {
	Tenant  string
	ID      string // not secret
	Left    int
	Expires time.Time // store's clock
}

// Burner counts credentials down inside the issuing commit, so that a one-time
// secret dies atomically across replicas.
type Burner interface {
	// AddUses records a new credential's uses; Conflict where the id is taken.
	AddUses(ctx context.Context, u Uses) error
	// Burn makes the effect that takes one use; its guard is that one is left
	// and the credential has not expired.
	Burn(tenant, id string) ca.Effect
	// UsesLeft tells how many uses are left; NotFound for an unknown id.
	UsesLeft(ctx context.Context, tenant, id string) (int, error)
}
