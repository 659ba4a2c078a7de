package postgres

// replying is what sql is, for kept replies.
var replying = struct{ ReplyKeep, ReplyFind, SweepReplies string }{
	ReplyKeep: `insert into enrollgate.kept_replies (tenant, id, sealed, expires)
		values ($2, $3, $4, now() + $1::interval + $5::bigint * interval '1 microsecond') on conflict do nothing`,
	ReplyFind: `select sealed from enrollgate.kept_replies where tenant = $2 and id = $3 and expires > now() + $1::interval`,
	SweepReplies: `delete from enrollgate.kept_replies where ctid = any(array(
		select ctid from enrollgate.kept_replies where expires <= now() + $1::interval order by expires limit $2 for update skip locked))`,
}
