package audit

import (
	"crypto/sha256"
	"time"
)

// Checkpoint is a signed statement that a chain stood at a place. Checkpoints
// are themselves one list over all chains, each naming the one before, so that
// none can be taken away without all that follow.
type Checkpoint struct {
	Number int64 // 1, 2, ... over all chains, without gaps
	Chain  string
	Seq    int64    // of the chain's last batch
	Hash   [32]byte // of that batch
	Rows   int64    // audit rows in the chain up to there
	At     time.Time
	Prev   [32]byte // Sum of the checkpoint before; zero for the first
	Key    int      // version of the audit service key

	Signature []byte // ECDSA with SHA-256 over what Sum hashes, ASN.1 DER
}

// Sum is the hash of everything but the signature: what is signed, and what the
// next checkpoint names.
func (c *Checkpoint) Sum() (sum [32]byte) {
	h := fields{sha256.New()}
	h.bytes([]byte("enrollgate/audit/checkpoint/1"))
	h.number(c.Number)
	h.bytes([]byte(c.Chain))
	h.number(c.Seq)
	h.bytes(c.Hash[:])
	h.number(c.Rows)
	h.number(c.At.UnixMicro())
	h.bytes(c.Prev[:])
	h.number(int64(c.Key))
	h.Hash.Sum(sum[:0])
	return sum
}
