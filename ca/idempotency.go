package ca

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"strings"
	"time"
)

// idempotency derives the key and digest of a request. The digest covers what
// was normalized (public key, claims, asserted values) and not the CSR's
// signature, so that a client that signs its request again still matches. A key
// that is made here is another one each time, and is not part of it.
func idempotency(e *Endpoint, r *Request) Idempotency {
	digest := newFieldHash("enrollgate/request/1")
	if r.Operation == KeyGen {
		digest.text("made here")
		digest.bytes(r.InPlaceOfKey)
	} else {
		digest.bytes(r.Possession.Key().Raw())
	}
	claims := make([]string, 0, len(r.Claims))
	for _, c := range r.Claims {
		claims = append(claims, string(c.Kind())+"\x00"+c.Key())
	}
	slices.Sort(claims)
	digest.text(strings.Join(slices.Compact(claims), "\x01"))
	digest.bytes(r.Asserted.Subject)
	for _, n := range r.Asserted.AltNames {
		digest.text(n.Key())
	}
	for _, x := range r.Asserted.Extensions {
		digest.text(x.ID.String())
		digest.bytes(x.Value)
	}
	digest.time(r.Asserted.NotBefore)
	digest.time(r.Asserted.NotAfter)
	if r.Renews != nil {
		digest.bytes(r.Renews.Certificate)
	}
	id := Idempotency{Digest: digest.sum(), Window: r.Window}

	key := newFieldHash("enrollgate/idempotency/1")
	key.text(e.Tenant)
	key.text(e.Recorded())
	key.text(r.Caller.ID())
	key.text(string(r.Operation))
	if r.Transaction != "" {
		key.text("t" + r.Transaction)
	} else {
		key.text("d" + string(id.Digest[:]))
	}
	id.Key = key.sum()
	return id
}

// TransactionTaken is the Conflict of a live idempotency key that was recorded with
// another digest, in every store's words.
func TransactionTaken() *Error {
	return Errorf(Conflict, "the transaction was used for another request: start a new one")
}

// PartlyAnswered is the Conflict of a call in which some entries were recorded before
// and others were not.
func PartlyAnswered() *Error {
	return Errorf(Conflict, "a part of the request was answered before")
}

// again answers a request by a credential that has no use left: with what the same
// request got before, or with the effect that would be lost. Nothing is signed for
// it, so that whoever goes on sending a spent secret does not wear the key out.
func (a *Authority) again(ctx context.Context, e *Endpoint, r *Request) Result {
	id := idempotency(e, r)
	c, err := a.ledger.Answered(ctx, e.Tenant, &id)
	switch {
	case err == nil:
		return a.issued(c)
	case IsKind(err, NotFound):
		a.refused(r, Errorf(BadProof, "the credential has no use left, and this is another request than it was used for"))
		return Result{Err: &LostEffect{}}
	}
	return Result{Err: a.refused(r, err)}
}

// fieldHash hashes length-prefixed fields, so that no two lists of fields collide.
type fieldHash struct{ h hash.Hash }

func newFieldHash(label string) fieldHash {
	f := fieldHash{sha256.New()}
	f.text(label)
	return f
}

func (f fieldHash) bytes(b []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(b)))
	f.h.Write(n[:])
	f.h.Write(b)
}

func (f fieldHash) text(s string) { f.bytes([]byte(s)) }

func (f fieldHash) time(t time.Time) {
	if t.IsZero() {
		f.text("")
		return
	}
	f.text(t.UTC().Format(time.RFC3339Nano))
}

func (f fieldHash) sum() (out [32]byte) {
	f.h.Sum(out[:0])
	return out
}
