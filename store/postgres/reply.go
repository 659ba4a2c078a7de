package postgres

import (
	"context"

	"github.com/enrollgate/enrollgate/ca"
)

// KeepReply implements ca.KeptReplies.
func (s *Store) KeepReply(r *ca.KeptReply) ca.Effect {
	return s.fixed(r.Tenant, step{slot: slot{classReply, r.Tenant, r.ID}, sql: replying.ReplyKeep,
		args: []any{s.offset(), r.Tenant, r.ID, notNil(r.Sealed), r.Keep.Microseconds()}})
}

// KeptReply implements ca.KeptReplies.
func (s *Store) KeptReply(ctx context.Context, tenant, id string) (sealed []byte, err error) {
	if err := s.pool.QueryRow(ctx, replying.ReplyFind, s.offset(), tenant, id).Scan(&sealed); err != nil {
		return nil, readError(err, "kept reply")
	}
	return sealed, nil
}

// SweepReplies implements ca.KeptReplies.
func (s *Store) SweepReplies(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, replying.SweepReplies, s.offset(), limit)
}

var _ ca.KeptReplies = (*Store)(nil)
