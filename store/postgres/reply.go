package postgres

import (
	"context"

	"github.com/enrollgate/enrollgate/ca"
)

// replying is what sql is, for kept replies.
var replying = struct{ ReplyKeep, ReplyFind, SweepReplies string }{
	ReplyKeep: `insert into enrollgate.kept_replies (tenant, id, sealed, expires)
		values ($2, $3, $4, now() + $1::interval + $5::bigint * interval '1 microsecond') on conflict do nothing`,
	ReplyFind: `select sealed from enrollgate.kept_replies where tenant = $2 and id = $3 and expires > now() + $1::interval`,
	SweepReplies: `delete from enrollgate.kept_replies where ctid = any(array(
		select ctid from enrollgate.kept_replies where expires <= now() + $1::interval order by expires limit $2 for update skip locked))`,
}

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
