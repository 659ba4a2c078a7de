package memory

import (
	"bytes"
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// reply is a kept reply.
type reply struct {
	sealed  []byte
	expires time.Time
}

// KeepReply implements ca.KeptReplies.
func (s *Store) KeepReply(r *ca.KeptReply) ca.Effect {
	key := nameKey{r.Tenant, r.ID}
	return ca.NewEffect(&effect{owner: s, tenant: r.Tenant, take: func(t *tx) bool {
		if _, taken := t.replies[key]; taken {
			return false
		}
		set(t, t.replies, key, reply{bytes.Clone(r.Sealed), t.now.Add(r.Keep)})
		return true
	}})
}

// KeptReply implements ca.KeptReplies.
func (s *Store) KeptReply(_ context.Context, tenant, id string) ([]byte, error) {
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.replies[nameKey{tenant, id}]
	if !ok || !now.Before(r.expires) {
		return nil, ca.Errorf(ca.NotFound, "no reply is kept")
	}
	return bytes.Clone(r.sealed), nil
}

// SweepReplies implements ca.KeptReplies.
func (s *Store) SweepReplies(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	return sweep(ctx, s, l, limit, func(t *tx) map[nameKey]reply { return t.replies }, func(t *tx, r reply) bool { return !t.now.Before(r.expires) })
}

var _ ca.KeptReplies = (*Store)(nil)
