// Package credential is the one registry of enrollment secrets for all doors:
// who may ask, for what, how often and until when. It knows four kinds. A secret
// that we make has 128 random bits or more; how each kind is kept is in the table
// of kinds. What a credential is bound to becomes part of the caller that it
// authenticates, and the core holds the certificate against it.
//
// A use is taken by an effect (see Store.Burn) in the commit that the secret was
// used for, so that a one-time secret dies once, whichever replica saw it. A
// spent credential still authenticates until it is removed: its bearer may ask
// again for what it was answered, and for nothing new.
package credential

import (
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// Kind is a kind of credential.
type Kind string

const (
	// HMACKey is a key of an external account (RFC 8555 section 7.3.4): its id and
	// a secret that signs, which is needed back.
	HMACKey Kind = "hmac-key"
	// Code is a reference and a secret, which is needed back.
	Code Kind = "enrollment-code"
	// OneTime is a secret alone, which the holder sends and is found by.
	OneTime Kind = "one-time"
	// Password is a password under a user name: one that a person chose, or one
	// that is made here.
	Password Kind = "password"
)

// Kinds lists every Kind.
func Kinds() []Kind { return []Kind{HMACKey, Code, OneTime, Password} }

// Unlimited is the number of uses of a credential that has no limit.
const Unlimited = -1

// Credential is a registered credential without its secret.
type Credential struct {
	Tenant    string
	ID        string // what the holder names it by: the "kid" of an external account, a reference, a user name; no secret
	Kind      Kind
	Door      caller.Door
	Endpoints []string // ids; none: every endpoint of the door in the tenant
	Binding   caller.Binding
	Granted   int // uses in the beginning, or Unlimited
	Left      int // uses that are left, or Unlimited
	Expires   time.Time
	CreatedAt time.Time // the store's clock; set by the store
	RevokedAt time.Time // zero: never
}

// State says what a credential is good for at a time.
type State string

const (
	Live    State = "live"
	Spent   State = "spent" // every use was taken: its bearer may only ask again for what was answered
	Expired State = "expired"
	Revoked State = "revoked"
)

// At gives the state at a time of the store's clock.
func (c *Credential) At(now time.Time) State {
	switch {
	case !c.RevokedAt.IsZero():
		return Revoked
	case !now.Before(c.Expires):
		return Expired
	case c.Left == 0:
		return Spent
	}
	return Live
}

// Serves tells whether the credential is for an endpoint.
func (c *Credential) Serves(e *ca.Endpoint) bool {
	return c.Tenant == e.Tenant && c.Door == e.Door && (c.Binding.Profile == "" || c.Binding.Profile == e.Profile) &&
		(len(c.Endpoints) == 0 || slices.Contains(c.Endpoints, e.ID))
}

// DecryptKey tells whether the credential enrolls nobody: keys that are made for
// clients of EST are encrypted under it.
func (c *Credential) DecryptKey() bool { return c.Kind == Code && c.Door == caller.EST }

// Administrator tells whether the credential enrolls nobody: its holder fetches
// one-time secrets of SCEP for others.
func (c *Credential) Administrator() bool { return c.Kind == Password && c.Door == caller.SCEP }

// Record is a credential as the store keeps it.
type Record struct {
	Credential
	Secret []byte // sealed, hashed or a keyed HMAC, by the kind
	Lookup []byte // what the secret is found by; nil where it is not
}

// Store keeps the registry. Every method takes the tenant and finds nothing of
// another one. Errors are *ca.Error of kind NotFound, Conflict, Unavailable or
// Internal.
type Store interface {
	// AddCredential records a new credential together with its audit row;
	// Conflict where its id or its lookup is taken.
	AddCredential(ctx context.Context, r *Record, a ca.Audit) error
	// Credential finds one by its id.
	Credential(ctx context.Context, tenant, id string) (*Record, error)
	// CredentialByLookup finds one by any of these.
	CredentialByLookup(ctx context.Context, tenant string, lookups [][]byte) (*Record, error)
	// Credentials lists at most limit of a tenant's, by id, after an id.
	Credentials(ctx context.Context, tenant, after string, limit int) ([]Record, error)
	// RevokeCredential ends one together with its audit row; Conflict where it was
	// revoked before, or there is none.
	RevokeCredential(ctx context.Context, tenant, id string, a ca.Audit) error
	// Burn makes the effect that takes one use; its guard is that one is left and
	// that the credential has neither expired nor been revoked.
	Burn(tenant, id string) ca.Effect
}

// Upkeep is the background work on the registry; lease, limit and count are
// those of ca.Upkeep.
type Upkeep interface {
	// SweepCredentials removes those that expired longer ago than kept. Their
	// creation and end stay in the audit trail.
	SweepCredentials(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error)
}
