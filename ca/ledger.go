package ca

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// State is where a record stands.
type State string

const (
	Issued  State = "issued"
	Held    State = "held" // certificateHold (RFC 5280 section 5.3.1)
	Revoked State = "revoked"
)

// Certificate is an issued certificate as the ledger remembers it.
type Certificate struct {
	Tenant    string
	CA        string
	Serial    Serial
	DER       []byte
	NotBefore time.Time
	NotAfter  time.Time
	Profile   string
	Requester string // caller id
	Endpoint  string
	State     State
	IssuedAt  time.Time
	Trace     string
}

// Entry is one issuance to record: the certificate, the decision that shaped
// it, the audit row and the effects, all in one commit.
type Entry struct {
	Certificate Certificate
	Subject     string // as printed, for search
	AltNames    []pkix.GeneralName
	KeyID       []byte   // subject key identifier
	KeyHash     [32]byte // of the SubjectPublicKeyInfo
	TBSHash     [32]byte // of the to-be-signed bytes
	ProfileHash [32]byte
	Decision    []byte // JSON list of Field

	Unique   []Unique // what no other valid certificate may have, each value once
	Replaces Serial   // of the certificate of the same CA that this one renews, which is not in the way; zero: none

	// RevokeReplaced puts the replaced certificate on the list of those that are
	// superseded, for when Overlap has passed; see SupersededStore. It stands there
	// once: the first certificate that replaces it counts.
	RevokeReplaced bool
	Overlap        time.Duration

	Idempotency Idempotency
	Audit       Audit
	Effects     []Effect
}

// Idempotency makes a repeated request get its recorded answer. Inside the
// window the same key and digest find the recorded certificate; the same key
// with another digest is a conflict; after the window it is a new request.
type Idempotency struct {
	Key    [32]byte      // of tenant, endpoint, caller, operation and transaction
	Digest [32]byte      // of the normalized request
	Window time.Duration // zero: no idempotency, every request is new
}

// Audit is one line of the audit trail. Detail is JSON and carries no secret.
type Audit struct {
	Tenant string
	Event  string // stable name: "certificate.issued", "request.denied", ...
	Actor  string // caller id
	Trace  string
	Detail []byte
	At     time.Time // zero: the store's clock at the commit
}

// Recorded is the ledger's answer to an Entry.
type Recorded struct {
	Certificate Certificate
	Replayed    bool // the certificate is an earlier one, recorded under the same idempotency key
}

// Revocation is a request to change the status of a certificate.
type Revocation struct {
	Tenant   string
	CA       string
	Serial   Serial
	Reason   Reason
	Invalid  time.Time // invalidity date, zero: none (RFC 5280 section 5.3.2)
	Shard    int       // of the CRL that the certificate names, see CRLShard; 0: none
	BlockKey bool      // refuse the certificate's key from now on (keyCompromise)
	Audit    Audit
	Effects  []Effect
}

// Proves tells whether the request proves that the key is compromised. It then
// holds for a certificate that is revoked already, too (CA/Browser Forum Baseline
// Requirements section 7.2.2): who learns that a key leaked must not find that
// the owner's "superseded" of yesterday keeps it in use.
func (r *Revocation) Proves() bool { return r.BlockKey && r.Reason == KeyCompromise }

// Status is one row of the status feed: what happened to a certificate, in an
// order that is also the order of visibility.
type Status struct {
	Position int64 // strictly rising, without gaps that could fill later
	Tenant   string
	CA       string
	Serial   Serial
	State    State
	Reason   Reason
	Invalid  time.Time
	At       time.Time // since when it is in this state; a reason that changes later does not move it
	Shard    int       // of the certificate's CRL; zero in the feed
}

// Ledger is the core's contract for recording: what it hands in is committed
// whole or not at all, and when a call returns without error the data is
// durable. Drivers are in store/; one conformance suite tests them all.
//
// Every method takes the tenant, in its argument or inside it, and never sees
// another tenant's rows. Errors are *Error: Unavailable when the store cannot
// answer (nothing was recorded), Conflict, NotFound, Denied as said below.
type Ledger interface {
	// Record commits the entries of one call whole or not at all, with one
	// answer an entry. Concurrent calls share commits; a lone call waits for nobody.
	// *LostEffect: an effect's guard did not hold, nothing was recorded.
	// When an idempotency key is taken and live, nothing is recorded either and no effect takes place, even where
	// one could not any more: the recorded certificates are the answer where every entry has one and every digest
	// matches, else Conflict.
	// Denied: a key is blocked (revoked for keyCompromise), whichever tenant revoked it; NotUnique, where a
	// certificate that has neither ended nor been revoked for good has what must be unique. A held one keeps it.
	// Internal: an effect that another store, or this one for another tenant, made.
	// The profile text named by ProfileHash must have been kept with KeepProfile, else Internal.
	Record(ctx context.Context, entries ...*Entry) ([]Recorded, error)

	// Answered finds what Record would replay for one entry of a key and digest: the recorded certificate with its
	// current state. NotFound where no live key is taken; Conflict where the digest was another one.
	Answered(ctx context.Context, tenant string, id *Idempotency) (*Certificate, error)

	// Certificate finds one certificate with its current state, or NotFound.
	Certificate(ctx context.Context, tenant, ca string, serial Serial) (*Certificate, error)

	// Decision finds the recorded decision of a certificate, or NotFound.
	Decision(ctx context.Context, tenant, ca string, serial Serial) (detail []byte, profileHash [32]byte, err error)

	// Revoke records a revocation, its feed row and its audit row in one
	// commit. NotFound without such a certificate; Conflict when it is revoked
	// already (RFC 5280 section 5.3.1: only a hold may change). The reason
	// certificateHold holds; removeFromCRL releases a hold and nothing else.
	//
	// One thing changes after a revocation: see Revocation.Proves. The reason
	// becomes keyCompromise and the key is blocked; the time of the revocation
	// stays, and so does the invalidity date unless another one is given.
	// Conflict where both are so already.
	Revoke(ctx context.Context, r *Revocation) (*Status, error)

	// Feed gives at most limit status rows after a position, in order, of every tenant.
	Feed(ctx context.Context, after int64, limit int) ([]Status, error)

	// KeepProfile stores a validated profile's canonical text under its SHA-256, once; Internal where the hash is another.
	KeepProfile(ctx context.Context, hash [32]byte, text []byte) error

	// Profile finds a kept profile text, or NotFound.
	Profile(ctx context.Context, hash [32]byte) ([]byte, error)

	// Note appends audit rows that belong to no issuance (refusals). It may
	// return before they are durable; rows beyond its bounded queue are counted and dropped.
	Note(a Audit)

	// Now is the store's clock.
	Now(ctx context.Context) (time.Time, error)
}
