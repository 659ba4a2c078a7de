package audit

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Store is what the trail needs of a driver beside the chaining itself. All of
// it belongs to the installation; rows carry their tenant.
type Store interface {
	// Append commits audit rows as one batch; when it returns they are durable.
	Append(ctx context.Context, rows ...ca.Audit) error

	// Uncovered lists the chains with rows after their last checkpoint.
	Uncovered(ctx context.Context) ([]Head, error)
	// LastCheckpoint gives the newest checkpoint of all, or nil.
	LastCheckpoint(ctx context.Context) (*Checkpoint, error)
	// AddCheckpoint stores a checkpoint; Conflict where its number is taken.
	AddCheckpoint(ctx context.Context, c *Checkpoint) error

	// AuditKeys lists the audit service keys by version.
	AuditKeys(ctx context.Context) ([]SealedKey, error)
	// AddAuditKey stores one together with its audit row; Conflict where the version is taken.
	AddAuditKey(ctx context.Context, k SealedKey, a ca.Audit) error

	// ReadTrail gives read one consistent view of the whole trail, as long as it runs.
	ReadTrail(ctx context.Context, read func(Trail) error) error

	// Now is the store's clock.
	Now(ctx context.Context) (time.Time, error)
}

// Head is a chain that has rows after its last checkpoint.
type Head struct {
	Chain string
	Seq   int64
	Hash  [32]byte
	Rows  int64     // in the whole chain
	Fresh int64     // of them after the last checkpoint
	Since time.Time // when the oldest of those was committed
}

// SealedKey is an audit service key as the store keeps it.
type SealedKey struct {
	Version int
	Public  []byte // SubjectPublicKeyInfo, DER
	Sealed  []byte // PKCS #8, sealed by ca/seal
}

// Stored is a batch as it is in the store: Rows are those that are there,
// Declared is how many the batch says it has.
type Stored struct {
	Batch
	Declared int64
}

// Trail is one view of everything that is verified. Its methods hand out pages,
// so that a trail of any length is read in bounded memory.
type Trail interface {
	// Chains lists the names of the chains that have batches.
	Chains() ([]string, error)
	// Batches gives the batches of a chain after a number, in order, at most limit.
	Batches(chain string, after int64, limit int) ([]Stored, error)
	// Checkpoints gives the checkpoints after a number, in order, at most limit.
	Checkpoints(after int64, limit int) ([]Checkpoint, error)
	// CountRows counts all audit rows, whether a batch covers them or not.
	CountRows() (int64, error)
}
