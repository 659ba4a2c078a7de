// Package audit keeps the audit trail honest. Every commit's audit rows are one
// batch, and the batches of a replica are chained by hash; checkpoints signed
// with the audit service key say now and then where every chain stood; Verify
// reads everything again.
//
// A batch's hash covers its own place (chain, number, previous hash, id, time)
// and every row in order, so that a row that is changed, dropped, added or moved
// is noticed. Whoever owns the schema can still rewrite what came after the last
// checkpoint, and nobody notices: a checkpoint is made every 1,000 rows or hour.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Batch is one link of a chain. Times have microseconds.
type Batch struct {
	ID    [16]byte // random; what settles a commit of unknown outcome
	Chain string   // replica id, on some stores with the writer's number
	Seq   int64    // 1, 2, ... without gaps
	Prev  [32]byte // Hash of Seq-1; zero for the first
	Hash  [32]byte
	At    time.Time
	Rows  []ca.Audit
}

// Sum computes the hash that belongs into b.Hash.
func (b *Batch) Sum() (sum [32]byte) {
	h := fields{sha256.New()}
	h.bytes([]byte("enrollgate/audit/1"))
	h.bytes(b.ID[:])
	h.bytes([]byte(b.Chain))
	h.number(b.Seq)
	h.bytes(b.Prev[:])
	h.number(b.At.UnixMicro())
	h.number(int64(len(b.Rows)))
	for i := range b.Rows {
		r := &b.Rows[i]
		h.bytes([]byte(r.Tenant))
		h.bytes([]byte(r.Event))
		h.bytes([]byte(r.Actor))
		h.bytes([]byte(r.Trace))
		h.bytes(r.Detail)
		h.number(r.At.UnixMicro())
	}
	h.Hash.Sum(sum[:0])
	return sum
}

// fields hashes length-prefixed fields, so that no two lists of fields collide.
type fields struct{ hash.Hash }

func (f fields) bytes(b []byte) {
	f.number(int64(len(b)))
	f.Write(b) // a hash never fails
}

func (f fields) number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	f.Write(b[:])
}
