package postgres

const pendingColumns = `tenant, id, state, door, endpoint, ca, profile, requester, operation, transaction_id, trace, subject, names, key, key_hash,
	created_at, expires, decided_at, decided_by, reason, serial, kind`

// approving is what sql is, for what is unique and for requests that wait for an operator.
var approving = struct {
	UniqueTake, SweepUnique                                                                                string
	PendingFree, PendingAdd, PendingFind, PendingOfTransaction, PendingByKey, PendingPage, PendingApproved string
	PendingOverdue, PendingCount, PendingSettle, PendingIssue, SweepPending                                string
	SupersededAdd, SupersededStrike, SupersededDue, SweepSuperseded                                        string
	OrderPark, OrderFinishParked, OrderReject                                                              string
}{
	// What is unique is taken from nobody, or from who no longer stands in the way.
	UniqueTake: `insert into enrollgate.unique_values as u (tenant, value, ca, serial, expires) values ($2, $3, $4, $5, $6)
		on conflict (tenant, value) do update set ca = excluded.ca, serial = excluded.serial, expires = excluded.expires
		where u.expires < now() + $1::interval or (u.ca = excluded.ca and u.serial = $7)
			or exists (select from enrollgate.revocations r where r.tenant = u.tenant and r.ca = u.ca and r.serial = u.serial and r.state = 'revoked')`,
	SweepUnique: `delete from enrollgate.unique_values where ctid = any(array(
		select ctid from enrollgate.unique_values where expires < now() + $1::interval order by expires limit $2 for update skip locked))`,

	// Requests that wait for an operator.
	PendingFree: `update enrollgate.pending_requests set idempotency = null
		where tenant = $2 and idempotency = $3 and ended_at + replay * interval '1 microsecond' <= now() + $1::interval`,
	PendingAdd: `insert into enrollgate.pending_requests (tenant, id, state, door, endpoint, ca, profile, requester, operation, transaction_id, trace,
			subject, names, key, key_hash, created_at, expires, sealed, idempotency, digest, replay)
		select $2::text, $3::text, 'pending', $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::text, $11::text, $12::text, $13::text[], $14::text, $15::bytea,
			now() + $1::interval, now() + $1::interval + $16::bigint * interval '1 microsecond', $17::bytea, $18::bytea, $19::bytea, $20::bigint
		where not exists (select from enrollgate.idempotency where tenant = $2 and key = $18::bytea and expires > now() + $1::interval)
		on conflict (tenant, idempotency) where idempotency is not null do nothing`,
	PendingFind: `select ` + pendingColumns + `, sealed, approval from enrollgate.pending_requests where tenant = $1 and id = $2`,
	PendingOfTransaction: `select ` + pendingColumns + `, sealed, approval from enrollgate.pending_requests
		where tenant = $1 and endpoint = $2 and transaction_id = $3 and transaction_id <> '' order by id desc limit 1`,
	PendingByKey: `select id, digest from enrollgate.pending_requests where tenant = $2 and idempotency = $3
		and (ended_at is null or ended_at + replay * interval '1 microsecond' > now() + $1::interval)`,
	PendingPage: `select ` + pendingColumns + `, ''::bytea, null::bytea from enrollgate.pending_requests
		where tenant = $1 and state = $2 and id > $3 order by id limit $4`,
	PendingApproved: `select ` + pendingColumns + `, sealed, approval from enrollgate.pending_requests where state = 'approved' order by expires limit $1`,
	PendingOverdue: `select ` + pendingColumns + `, sealed, approval from enrollgate.pending_requests
		where state = 'pending' and expires <= now() + $1::interval order by expires limit $2`,
	PendingCount: `select tenant, count(*) from enrollgate.pending_requests where state = 'pending' group by tenant`,
	PendingSettle: `update enrollgate.pending_requests set state = $5::text,
			decided_at = case when $6::text = '' then decided_at else now() + $1::interval end, decided_by = case when $6::text = '' then decided_by else $6::text end,
			reason = case when $7::text = '' then reason else $7::text end, approval = coalesce($8::bytea, approval), kind = $9::smallint,
			ended_at = case when $5::text = 'approved' then null else now() + $1::interval end
		where tenant = $2 and id = $3 and state = $4::text and ($5::text <> 'approved' or expires > now() + $1::interval)
			and ($5::text <> 'expired' or expires <= now() + $1::interval)`,
	PendingIssue: `update enrollgate.pending_requests set state = 'issued', serial = $5, ended_at = now() + $1::interval
		where tenant = $2 and id = $3 and ca = $4 and coalesce(state, '') = 'approved'`, // so that no index but the key's serves,
	SweepPending: `delete from enrollgate.pending_requests where ctid = any(array(select ctid from enrollgate.pending_requests
		where ended_at <= now() + $1::interval - $2::interval and ended_at + replay * interval '1 microsecond' <= now() + $1::interval
		order by ended_at limit $3 for update skip locked))`,

	// Certificates that were superseded.
	SupersededAdd: `insert into enrollgate.superseded (tenant, ca, serial, successor, due, expires)
		values ($2, $3, $4, $5, now() + $1::interval + $6::bigint * interval '1 microsecond', $7) on conflict do nothing`,
	SupersededStrike: `delete from enrollgate.superseded where tenant = $1 and ca = $2 and serial = $3`,
	SupersededDue: `select tenant, ca, serial, successor, due from enrollgate.superseded
		where due <= now() + $1::interval and expires > now() + $1::interval order by due limit $2`,
	SweepSuperseded: `delete from enrollgate.superseded where ctid = any(array(select ctid from enrollgate.superseded s where s.due <= now() + $1::interval
		and (s.expires <= now() + $1::interval or exists (select from enrollgate.revocations r
			where r.tenant = s.tenant and r.ca = s.ca and r.serial = s.serial and r.state = 'revoked'))
		order by s.due limit $2 for update skip locked))`,

	// An order that waits for an operator: it was ready when its request was parked.
	OrderPark: `update enrollgate.acme_orders o set status = 'processing', expires = greatest(o.expires, $5::timestamptz)
		where o.tenant = $2 and o.endpoint = $3 and o.id = $4 and o.status = 'pending' and o.expires > now() + $1::interval
			and cardinality(o.authorizations) > 0
			and cardinality(o.authorizations) = (select count(*) from unnest(o.authorizations) named(id),
				lateral (select from enrollgate.acme_authorizations a
					where a.id = named.id and a.tenant = $2 and a.endpoint = $3 and a.status = 'valid' and a.expires > now() + $1::interval limit 1) valid)
			and (select status from enrollgate.acme_accounts where tenant = $2 and id = o.account and endpoint = $3 and thumbprint = $6) = 'valid'`,
	OrderFinishParked: `update enrollgate.acme_orders o set status = 'valid', certificate = $4, ca = $5, serial = $6
		where o.tenant = $1 and o.endpoint = $2 and o.id = $3 and coalesce(o.status, '') = 'processing'
			and cardinality(o.authorizations) = (select count(*) from unnest(o.authorizations) named(id),
				lateral (select from enrollgate.acme_authorizations a
					where a.id = named.id and a.tenant = $1 and a.endpoint = $2 and a.status = 'valid' limit 1) valid)
			and (select status from enrollgate.acme_accounts where tenant = $1 and id = o.account and endpoint = $2) = 'valid'`,
	OrderReject: `update enrollgate.acme_orders set status = 'invalid', error = $4
		where tenant = $1 and endpoint = $2 and id = $3 and coalesce(status, '') = 'processing'`,
}
