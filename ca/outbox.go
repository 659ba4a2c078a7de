package ca

import (
	"context"
	"time"
)

// Message is something outsiders must be told, written in the commit that made it true.
type Message struct {
	ID      int64
	Tenant  string
	Topic   string
	Payload []byte // JSON
	At      time.Time
}

// Outbox keeps messages until they were delivered.
type Outbox interface {
	// Post makes the effect that adds a message to a commit.
	Post(tenant, topic string, payload []byte) Effect
	// Waiting gives at most limit undelivered messages, oldest first.
	Waiting(ctx context.Context, limit int) ([]Message, error)
	// Delivered forgets a message.
	Delivered(ctx context.Context, tenant string, id int64) error
}
