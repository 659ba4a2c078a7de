package ca

import (
	"context"
	"encoding/hex"
	"time"
)

// KeptReply is the part of a reply that nothing else in the store could make
// again, such as a key that was made for a client, sealed.
type KeptReply struct {
	Tenant string
	ID     string // 64 hexadecimal digits; see ReplyID
	Sealed []byte
	Keep   time.Duration // from the commit on
}

// ReplyID names a kept reply by the key that it carries, so that it is found
// from the recorded certificate of that key.
func ReplyID(keyHash [32]byte) string { return hex.EncodeToString(keyHash[:]) }

// KeptReplies keeps sealed replies for as long as a client that lost its answer
// may ask again. What is over is not found, and is erased soon after.
type KeptReplies interface {
	// KeepReply makes the effect that keeps a reply; its guard is that the id is free.
	KeepReply(r *KeptReply) Effect
	// KeptReply gives a sealed reply, or NotFound where there is none or its time is over.
	KeptReply(ctx context.Context, tenant, id string) ([]byte, error)
	// SweepReplies erases those whose time is over; see Upkeep for the lease.
	SweepReplies(ctx context.Context, l *Lease, limit int) (int64, error)
}
