// Package state holds what the ACME door remembers: its row types and the
// Store it needs. It knows neither HTTP nor JSON on the wire (RFC 8555 section
// 7.1 defines the objects; their wire form is in package acme).
//
// An order's stored status is pending, processing (its request waits for an
// operator), valid or invalid. Ready is derived: a pending order whose authorizations are all valid is ready, one
// with an authorization that failed or ended is invalid. So nothing has to be
// written to an order when a challenge succeeds.
package state

import (
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// Status is a status of RFC 8555 section 7.1.6.
type Status string

const (
	Pending     Status = "pending"
	Processing  Status = "processing"
	Ready       Status = "ready"
	Valid       Status = "valid"
	Invalid     Status = "invalid"
	Deactivated Status = "deactivated"
	Expired     Status = "expired"
	Revoked     Status = "revoked"
)

// Account is an ACME account, bound to one endpoint.
type Account struct {
	Tenant, Endpoint string
	ID               string // random, unique within the tenant
	Status           Status // Valid, Deactivated, Revoked
	Key              []byte // the public JWK, canonical JSON (RFC 7638)
	Thumbprint       [32]byte
	Contact          []string
	TermsAgreed      bool
	CreatedAt        time.Time
	Agreed           string     // URL of the terms of service that were agreed to; empty: none
	External         *External  // nil: bound to no external account
	Former           [][32]byte // thumbprints of the keys that it had, newest first, at most MaxFormer; set by ChangeKey alone
	Preauthorized    bool       // it has opened authorizations without an order; set by CreateAuthorization alone
}

// MaxFormer bounds how many of an account's former keys are remembered.
const MaxFormer = 64

// External is the external account that an account is bound to (RFC 8555 section 7.3.4).
type External struct {
	Binding caller.Binding `json:"binding"` // of the credential, as it was when the account was made
	JWS     []byte         `json:"jws"`     // as the client sent it: the account object repeats it
}

// Identifier is what an order asks for (RFC 8555 section 9.7.7).
type Identifier struct {
	Type  string `json:"type"` // "dns", "ip" (RFC 8738), "permanent-identifier", "hardware-module"
	Value string `json:"value"`
}

// Order is an ACME order.
type Order struct {
	Tenant, Endpoint string
	ID               string
	Account          string
	Status           Status // stored: Pending, Processing, Valid, Invalid
	Identifiers      []Identifier
	NotBefore        time.Time // asked for; zero: not
	NotAfter         time.Time
	CreatedAt        time.Time
	Expires          time.Time
	Authorizations   []string // ids, in the order of Identifiers
	Certificate      string   // random id of the certificate resource; empty until Valid
	CA               string   // with Serial: the certificate in the ledger
	Serial           ca.Serial
	Profile          string // name of the profile that was chosen (draft-ietf-acme-profiles); empty: none
	Replaces         string // id of the certificate that it replaces (RFC 9773 section 4.1); empty: none
	Error            []byte // problem document (RFC 7807) of an Invalid order; nil otherwise
}

// Authorization is one identifier's authorization with its challenges.
type Authorization struct {
	Tenant, Endpoint string
	ID               string
	Account          string
	Identifier       Identifier // without the wildcard label
	Wildcard         bool
	Status           Status // stored: Pending, Valid, Invalid, Deactivated, Revoked
	CreatedAt        time.Time
	Expires          time.Time
	Challenges       []Challenge
}

// Challenge is one way to prove an authorization's identifier.
type Challenge struct {
	Type      string    `json:"type"`
	Token     string    `json:"token"` // base64url, 128 random bits or more (RFC 8555 section 8.1)
	Status    Status    `json:"status"`
	Validated time.Time `json:"validated,omitzero"`
	Deadline  time.Time `json:"deadline,omitzero"` // of a Processing challenge: after it somebody else may validate again
	Error     []byte    `json:"error,omitempty"`   // problem document of the last attempt
	Attempts  int       `json:"attempts,omitempty"`
	Record    []byte    `json:"record,omitempty"` // JSON: what the validator saw (hops, addresses)

	Subdomains  bool         `json:"subdomains,omitempty"`  // it proves the names below the identifier, too (RFC 9444)
	Attestation *Attestation `json:"attestation,omitempty"` // of a Valid device-attest-01
}

// Attestation is what a device's attestation stated when it was checked. The
// statement itself is not kept (draft-ietf-acme-device-attest section 7.2).
type Attestation struct {
	Format     string            `json:"format"` // "apple", "tpm", "packed", "step"
	Key        []byte            `json:"key"`    // SHA-256 of the SubjectPublicKeyInfo of the attested key
	Serial     string            `json:"serial,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
}

// Subdomains tells whether the authorization covers the names below its
// identifier (RFC 9444 section 4).
func (a *Authorization) Subdomains() bool {
	return slices.ContainsFunc(a.Challenges, func(c Challenge) bool { return c.Subdomains })
}

// HeldOrders bounds how many orders are looked through for authorizations that an
// account holds.
const HeldOrders = 1000

// Nonce is a used nonce that must not be accepted again before it expires. Ids
// sort by the time of minting, so that those that expired come first.
type Nonce struct {
	ID      [16]byte
	Expires time.Time
}

// Store remembers the door's objects. Every method takes tenant and endpoint
// and finds nothing of another one. Methods that take a Nonce strike it in the
// same commit; a nonce that was struck before makes them change nothing and
// return ErrNonce. Errors otherwise: *ca.Error with NotFound, Conflict
// (something else changed the row first), Unavailable, Internal.
type Store interface {
	// CreateAccount adds an account together with the effects; Conflict where the
	// key has one already, *ca.LostEffect where an effect's guard does not hold.
	CreateAccount(ctx context.Context, a *Account, n Nonce, effects ...ca.Effect) error
	Account(ctx context.Context, tenant, endpoint, id string) (*Account, error)
	AccountByKey(ctx context.Context, tenant, endpoint string, thumbprint [32]byte) (*Account, error)
	// UpdateAccount changes contact, terms, what was agreed to and status of a valid account; Conflict where it is not valid.
	UpdateAccount(ctx context.Context, a *Account, n Nonce) error
	// ChangeKey gives a valid account, whose key has the thumbprint before, the
	// key and thumbprint of a. Conflict where it has another key by now, is not
	// valid, or another account of the endpoint has the new key.
	ChangeKey(ctx context.Context, a *Account, before [32]byte, n Nonce) error
	// Orders lists at most limit ids of an account's orders, by id, after an id:
	// those that are valid, and pending ones that have not expired.
	Orders(ctx context.Context, tenant, endpoint, account, after string, limit int) ([]string, error)

	// CreateAuthorization adds an authorization without an order to a valid
	// account (RFC 8555 section 7.4.1); Conflict where the account is not valid.
	CreateAuthorization(ctx context.Context, a *Authorization, n Nonce) error
	// Preauthorizations lists an account's authorizations without an order that
	// are valid and have not expired.
	Preauthorizations(ctx context.Context, tenant, endpoint, account string) ([]*Authorization, error)
	// HeldAuthorizations lists those and the ones of its newest HeldOrders orders.
	HeldAuthorizations(ctx context.Context, tenant, endpoint, account string) ([]*Authorization, error)

	// CreateOrder adds an order together with its authorizations.
	CreateOrder(ctx context.Context, o *Order, authorizations []*Authorization, n Nonce) error
	// Order finds an order and its authorizations, in the order of its identifiers.
	Order(ctx context.Context, tenant, endpoint, id string) (*Order, []*Authorization, error)
	OrderByCertificate(ctx context.Context, tenant, endpoint, certificate string) (*Order, error)
	Authorization(ctx context.Context, tenant, endpoint, id string) (*Authorization, error)

	// ChangeChallenge stores challenges (one of them now Processing, or ended
	// at once), expiry and status of a pending authorization whose stored challenges
	// are still before; Conflict otherwise.
	ChangeChallenge(ctx context.Context, before, after *Authorization, n Nonce) error
	// EndChallenge stores the outcome of a validation: status, expiry and challenges of
	// an authorization that is still pending; Conflict otherwise. No nonce is involved.
	EndChallenge(ctx context.Context, after *Authorization) error
	// DeactivateAuthorization ends a pending or valid authorization; Conflict otherwise.
	DeactivateAuthorization(ctx context.Context, tenant, endpoint, id string, n Nonce) error

	// FinishOrder makes the effect that turns a pending order, whose account is
	// valid and has the key with this thumbprint and whose authorizations are all
	// valid and not expired, into a valid one with this certificate id; the driver
	// fills in CA and serial of the entry that carries the effect.
	FinishOrder(tenant, endpoint, order, certificate string, key [32]byte) ca.Effect
	// ParkOrder makes the effect that turns an order for which FinishOrder would hold
	// into a processing one, which does not expire before until.
	ParkOrder(tenant, endpoint, order string, key [32]byte, until time.Time) ca.Effect
	// FinishParkedOrder is FinishOrder for a processing order. Its authorizations
	// were in force when it was parked; they must not have been deactivated since.
	FinishParkedOrder(tenant, endpoint, order, certificate string) ca.Effect
	// RejectOrder makes the effect that turns a processing order into an invalid
	// one with this problem document.
	RejectOrder(tenant, endpoint, order string, problem []byte) ca.Effect
	// Replace makes the effect that records the order that replaces a
	// certificate, which expires then; it is lost where another order has.
	Replace(tenant, authority string, serial ca.Serial, order string, expires time.Time) ca.Effect
	// Replaced gives the order that replaced a certificate, or NotFound.
	Replaced(ctx context.Context, tenant, authority string, serial ca.Serial) (order string, err error)
	// Strike makes the effect that strikes a nonce.
	Strike(tenant string, n Nonce) ca.Effect
}
