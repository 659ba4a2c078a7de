package sqlite

import (
	"context"

	"github.com/enrollgate/enrollgate/ca"
)

// replyStatements are those of kept replies.
var replyStatements = map[query]string{
	keepReply:    `INSERT INTO kept_replies (tenant, id, sealed, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	selectReply:  `SELECT sealed FROM kept_replies WHERE tenant = ? AND id = ? AND expires > ?`,
	sweepReplies: `DELETE FROM kept_replies WHERE (tenant, id) IN (SELECT tenant, id FROM kept_replies WHERE expires <= ? ORDER BY expires LIMIT ?)`,
}

// KeepReply implements ca.KeptReplies.
func (s *Store) KeepReply(r *ca.KeptReply) ca.Effect {
	return s.effect(r.Tenant, keepReply, func(b *batch, _ *ca.Entry) []any {
		return []any{r.Tenant, r.ID, octets(r.Sealed), micros(b.now.Add(r.Keep))}
	})
}

// KeptReply implements ca.KeptReplies.
func (s *Store) KeptReply(ctx context.Context, tenant, id string) (sealed []byte, err error) {
	if err := s.read[selectReply].QueryRowContext(point(ctx), tenant, id, micros(s.now())).Scan(&sealed); err != nil {
		return nil, readError(err, "no reply is kept")
	}
	return sealed, nil
}

// SweepReplies implements ca.KeptReplies.
func (s *Store) SweepReplies(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(sweepReplies, micros(b.now), limit) })
}

var _ ca.KeptReplies = (*Store)(nil)
