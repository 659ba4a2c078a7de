package ca

import (
	"context"
	"time"
)

// PendingState is where a request stands that waits, or waited, for an operator.
type PendingState string

const (
	AwaitsApproval  PendingState = "pending"
	Approved        PendingState = "approved" // and is issued by whoever holds the lease of the job
	PendingIssued   PendingState = "issued"
	PendingDenied   PendingState = "denied"   // by an operator
	PendingExpired  PendingState = "expired"  // nobody decided in time
	PendingRejected PendingState = "rejected" // approved, and refused by what holds on the day of issuance
)

// PendingStates lists every PendingState.
func PendingStates() []PendingState {
	return []PendingState{AwaitsApproval, Approved, PendingIssued, PendingDenied, PendingExpired, PendingRejected}
}

// PendingRequest is a parked request as the store keeps it. What decides about
// the certificate is in Sealed; the rest is for people and for finding it.
type PendingRequest struct {
	Tenant    string
	ID        string
	State     PendingState
	Door      string
	Endpoint  string
	CA        string
	Profile   string
	Requester string // caller id
	Operation Operation
	// Transaction is the protocol's own id (ACME: the order).
	Transaction string
	Trace       string   // of the request; the decision and the issuance have it, too
	Subject     string   // as it would be printed
	Names       []string // "dns:host.example", ...
	Key         string   // algorithm
	KeyHash     [32]byte // of the SubjectPublicKeyInfo
	CreatedAt   time.Time
	Expires     time.Time
	Sealed      []byte // the request; see Approvals.Sealing

	DecidedAt time.Time // zero: not yet
	DecidedBy string    // caller id of the operator
	Reason    string    // the operator's; of an end without one, what happened
	Approval  []byte    // the operator's word, sealed, where it was approved
	Serial    Serial    // of the certificate of CA, where one was issued
	Kind      Kind      // of a rejection
}

// Parking is a request to park: the row with its idempotency, audit row and
// effects, all in one commit.
type Parking struct {
	Request     PendingRequest // State, CreatedAt and Expires are the store's to set
	Lifetime    time.Duration  // until it expires
	Idempotency Idempotency    // the window counts from the end of the request
	Audit       Audit
	Effects     []Effect
}

// Settlement moves a parked request from one state to another, with its audit
// row and effects, in one commit.
type Settlement struct {
	Tenant, ID string
	From, To   PendingState
	By         string // of the operator; "" leaves what is there
	Reason     string // "" leaves what is there
	Approval   []byte // of a move to Approved
	Kind       Kind   // of a move to PendingRejected
	Audit      Audit
	Effects    []Effect
}

// Parked is the store's answer to a Parking.
type Parked struct {
	Request     PendingRequest
	Certificate *Certificate // where the same request has one already
	Replayed    bool         // it was parked, or answered, before
}

// MaxPendingPage bounds the rows of one answer of a PendingStore.
const MaxPendingPage = 1000

// PendingStore remembers requests that wait for an approval. Errors are those of
// Ledger.
type PendingStore interface {
	// Park records a request. Where the idempotency key is live, nothing is
	// recorded and no effect takes place: the answer is the request, or the
	// certificate, that is recorded under it, or Conflict for another digest.
	// *LostEffect as in Ledger.Record; Entry is 0.
	Park(ctx context.Context, p *Parking) (*Parked, error)

	// PendingRequest finds one, or NotFound.
	PendingRequest(ctx context.Context, tenant, id string) (*PendingRequest, error)

	// PendingTransaction finds the newest request of an endpoint (Endpoint.Recorded) with a
	// protocol's transaction id, or NotFound; those without one are not found by it.
	PendingTransaction(ctx context.Context, tenant, endpoint, transaction string) (*PendingRequest, error)

	// PendingRequests lists at most limit of a tenant in a state, by rising id,
	// after one; Sealed and Approval are left out. BadRequest for a limit
	// other than 1 to MaxPendingPage.
	PendingRequests(ctx context.Context, tenant string, state PendingState, after string, limit int) ([]PendingRequest, error)

	// DuePending lists at most limit requests of every tenant that somebody must
	// move on: approved ones first, then those that have expired and still wait.
	DuePending(ctx context.Context, limit int) ([]PendingRequest, error)

	// CountPending counts the requests that wait, by tenant.
	CountPending(ctx context.Context) (map[string]int64, error)

	// Settle moves a request on. Conflict, and nothing is recorded, where it is not in
	// From any more, where it has expired and is to be approved, and where it
	// has not and is to expire. *LostEffect; Entry is 0.
	Settle(ctx context.Context, s *Settlement) error

	// IssuePending makes the effect that moves an approved request to
	// PendingIssued with the certificate of the entry that carries it.
	IssuePending(tenant, id string) Effect
}

// CheckPendingPage says what a driver cannot answer, as BadRequest.
func CheckPendingPage(limit int) error {
	if limit < 1 || limit > MaxPendingPage {
		return Errorf(BadRequest, "a page has 1 to %d requests", MaxPendingPage)
	}
	return nil
}
