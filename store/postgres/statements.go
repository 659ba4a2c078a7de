package postgres

const (
	credentialColumns    = `tenant, id, kind, door, endpoints, bindings, secret, granted, uses, expires, created_at, revoked_at`
	authorizationColumns = `id, account, type, value, wildcard, status, created_at, expires, challenges`
	accountColumns       = `id, status, key, thumbprint, contact, terms, created_at, agreed, external, preauthorized, former`
	checkpointColumns    = `number, chain, seq, hash, rows, at, prev, key, signature`
)

// sql is every statement that the running daemon sends, so that a test can
// explain each of them. $1 of a statement that needs the store's clock is its
// offset, which is zero outside of tests.
var sql = struct {
	Begin, Commit, Rollback, Pin, PinSession, Settings, Version, EnsureMonth, Now                      string
	ChainFind, ChainAdd, ChainHead                                                                     string
	Strike, Check, Idempotency                                                                         string
	Burn, LeaseHeld, LeaseAcquire, LeaseRelease                                                        string
	CredentialAdd, CredentialFind, CredentialByLookup, Credentials, CredentialRevoke, SweepCredentials string
	ReplacementAdd, Replacement, WindowsPut, WindowFind, SweepRenewals, RemovePreauthorizations        string
	KeyChange, OrdersOf, Preauthorize, PreauthorizationAdd, Preauthorizations, HeldAuthorizations      string
	ProfileKeep, Profile, GenerationAdd, Generations, Activate, Activations, DataKeyAdd, DataKeys      string
	RevocationLock, Revoke, Unhold, BlockKey                                                           string
	Certificates, Names, Decisions, Audit, Feed, Outbox, Batch                                         string
	Settle, Settled, ServiceAdd, Services, ServiceForget, RatesAdd, SweepRates                         string
	CertificateFind, DecisionFind, FeedRead, ReplayFind                                                string
	OutboxWaiting, OutboxDelivered                                                                     string
	AccountAdd, AccountUpdate, AccountFind, AccountByKey                                               string
	Orders, Authorizations, OrderFinish, OrderFind, OrderByCertificate, AuthorizationFind              string
	ChallengeChange, ChallengeEnd, AuthorizationDeactivate                                             string
	SweepNonces, SweepIdempotency, EndOrders, RemoveOrders                                             string
	ReplicaBeat, Replicas, ReplicasForget, MonthMake                                                   string
	KEKPut, KEKChange, DataKeyCount, DataKeyRewrap                                                     string
	Uncovered, CheckpointLast, CheckpointAdd, AuditKeys, AuditKeyAdd                                   string
	Unlimited, TrailChains, TrailBatches, TrailRows, TrailCheckpoints, TrailCount                      string
	Find, FindBySubject, FindByRequester, FindByKey, FindByName, FindByState                           string
	RevocationFind, AuditByTrace, AuditBySerial                                                        string
	CRLPartAdd, CRLPublish, CRLPartsDrop, CRLHeads, CRLFind, CRLParts                                  string
	StatusPage, FeedEnd                                                                                string
	Months, MonthFind, MonthCount, MonthWaits, MonthRelease, MonthDrop                                 string
}{
	Begin: `begin`, Commit: `commit`, Rollback: `rollback`,
	// For poolers that give a session to somebody else after each transaction.
	Pin:        `select set_config('synchronous_commit', $1, true), set_config('statement_timeout', $2, true), set_config('lock_timeout', $3, true)`,
	PinSession: `select set_config('synchronous_commit', $1, false)`,
	Settings:   `select current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('synchronous_commit', true)`,
	Unlimited:  `select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`,
	Version: `select (select max(version_id) from enrollgate.schema_version where is_applied),
		(select least from enrollgate.compatibility)`,
	EnsureMonth: `select enrollgate.ensure_month($1::integer)`,
	Now:         `select clock_timestamp() + $1::interval`,

	ChainFind: `select number from enrollgate.chains where name = $1`,
	ChainAdd:  `insert into enrollgate.chains (name) values ($1) on conflict (name) do nothing`,
	ChainHead: `select seq, hash from enrollgate.batches where chain = $1 order by seq desc limit 1`,

	// The guards and changes of a batch.
	Strike: `insert into enrollgate.acme_nonces (tenant, id, expires)
		select * from unnest($1::text[], $2::bytea[], $3::timestamptz[])
		on conflict (tenant, id) do nothing returning tenant, id`,
	Check: `select now() + $1::interval,
		array(select key_hash from enrollgate.blocked_keys where key_hash = any($2::bytea[])),
		array(select hash from enrollgate.profiles where hash = any($3::bytea[]))`,
	Idempotency: `insert into enrollgate.idempotency as i (tenant, key, digest, ca, serial, expires)
		select tenant, key, digest, ca, serial, now() + $1::interval + micros * interval '1 microsecond'
		from unnest($2::text[], $3::bytea[], $4::bytea[], $5::text[], $6::bytea[], $7::bigint[]) u(tenant, key, digest, ca, serial, micros)
		on conflict (tenant, key) do update
			set digest = excluded.digest, ca = excluded.ca, serial = excluded.serial, expires = excluded.expires
			where i.expires <= now() + $1::interval
		returning tenant, key`,
	Burn: `update enrollgate.credentials set uses = uses - 1
		where tenant = $2 and id = $3 and (uses > 0 or uses is null) and expires > now() + $1::interval and revoked_at is null`,
	LeaseHeld: `select from enrollgate.leases
		where name = $2 and holder = $3 and fence = $4 and until > now() + $1::interval for share`,
	LeaseAcquire: `insert into enrollgate.leases as l (name, holder, fence, until)
		values ($2, $3, 1, now() + $1::interval + $4::interval)
		on conflict (name) do update set holder = excluded.holder, until = excluded.until,
			fence = l.fence + case when l.holder = excluded.holder and l.until > now() + $1::interval then 0 else 1 end
			where l.holder = excluded.holder or l.until <= now() + $1::interval
		returning fence, until`,
	LeaseRelease: `update enrollgate.leases set until = now() + $1::interval where name = $2 and holder = $3 and fence = $4`,

	CredentialAdd: `insert into enrollgate.credentials (tenant, id, kind, door, profile, endpoints, bindings, secret, granted, uses,
			expires, revoked_at, lookup, created_at)
		values ($2, $3, $4, $5, $6, $7::text[], $8, $9, $10, $11, $12, $13, $14, now() + $1::interval)
		on conflict do nothing returning created_at`,
	CredentialFind: `select ` + credentialColumns + ` from enrollgate.credentials where tenant = $1 and id = $2`,
	CredentialByLookup: `select ` + credentialColumns + ` from enrollgate.credentials
		where tenant = $1 and lookup = $2 and lookup is not null`,
	Credentials: `select ` + credentialColumns + ` from enrollgate.credentials where tenant = $1 and id > $2 order by id limit $3::integer`,
	CredentialRevoke: `update enrollgate.credentials set revoked_at = now() + $1::interval
		where tenant = $2 and id = $3 and revoked_at is null`,
	SweepCredentials: `delete from enrollgate.credentials where ctid = any(array(
		select ctid from enrollgate.credentials where expires <= now() + $1::interval - $2::interval
			order by expires limit $3 for update skip locked))`,
	ProfileKeep: `insert into enrollgate.profiles (hash, text, at) values ($2, $3, now() + $1::interval) on conflict do nothing`,
	Profile:     `select text from enrollgate.profiles where hash = $1`,
	GenerationAdd: `insert into enrollgate.generations (tenant, ca, number, key_uri, der, chain, root, created_at)
		values ($2, $3, $4, $5, $6, $7::bytea[], $8, now() + $1::interval) on conflict do nothing`,
	Generations: `select ca, number, key_uri, der, chain, root, created_at from enrollgate.generations
		where tenant = $1 order by ca, number`,
	Activate: `insert into enrollgate.activations (tenant, ca, position, generation, signs_from, created_at)
		select $2, $3, $4, g.number, $6, now() + $1::interval from enrollgate.generations g
			where g.tenant = $2 and g.ca = $3 and g.number = $5 on conflict do nothing`,
	Activations: `select ca, position, generation, signs_from, created_at from enrollgate.activations
		where tenant = $1 order by ca, position`,
	ServiceAdd: `insert into enrollgate.service_certificates (tenant, ca, service, number, der, not_after, sealed, key_uri, created_at)
		select $2, $3, $4, $5, $6, $7, $8, $9, now() + $1::interval
			where not exists (select from enrollgate.service_certificates where tenant = $2 and ca = $3 and service = $4 and number >= $5)
		on conflict do nothing`,
	Services: `select number, der, not_after, sealed, key_uri, created_at from enrollgate.service_certificates
		where tenant = $1 and ca = $2 and service = $3 order by number`,
	ServiceForget: `delete from enrollgate.service_certificates where tenant = $1 and ca = $2 and service = $3 and number = $4
		and exists (select from enrollgate.service_certificates where tenant = $1 and ca = $2 and service = $3 and number > $4)`,
	DataKeyAdd: `insert into enrollgate.data_keys (purpose, version, wrapped, created_at)
		select $2, $3, $4, now() + $1::interval from enrollgate.seal_kek k where k.id = $5 for share of k on conflict do nothing`,
	DataKeys:      `select purpose, version, wrapped, created_at from enrollgate.data_keys order by purpose, version`,
	KEKPut:        `insert into enrollgate.seal_kek (id) values ($1) on conflict do nothing`,
	KEKChange:     `update enrollgate.seal_kek set id = $2 where id = $1`,
	DataKeyCount:  `select from (select count(*) as n from enrollgate.data_keys) c where n = $1`,
	DataKeyRewrap: `update enrollgate.data_keys set wrapped = $4 where purpose = $1 and version = $2 and wrapped = $3`,

	// The audit trail: what is signed in the background, and what is verified.
	Uncovered: `select c.name, h.seq, h.hash, coalesce(k.rows, 0) + f.rows, f.rows, f.since
		from enrollgate.chains c
		join lateral (select seq, hash from enrollgate.batches where chain = c.number order by seq desc limit 1) h on true
		left join lateral (select seq, rows from enrollgate.audit_checkpoints where chain = c.name order by seq desc limit 1) k on true
		join lateral (select coalesce(sum(rows), 0)::bigint as rows, min(at) as since from enrollgate.batches
			where chain = c.number and seq > coalesce(k.seq, 0) and rows > 0) f on f.rows > 0
		order by c.name`,
	CheckpointLast: `select ` + checkpointColumns + ` from enrollgate.audit_checkpoints order by number desc limit 1`,
	CheckpointAdd: `insert into enrollgate.audit_checkpoints (` + checkpointColumns + `)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing`,
	AuditKeys: `select version, public, sealed from enrollgate.audit_keys order by version`,
	AuditKeyAdd: `insert into enrollgate.audit_keys (version, public, sealed, created_at)
		values ($2, $3, $4, now() + $1::interval) on conflict do nothing`,
	TrailChains: `select c.name, c.number from enrollgate.chains c
		where exists (select from enrollgate.batches b where b.chain = c.number) order by c.name`,
	TrailBatches: `select seq, id, prev, hash, rows, at from enrollgate.batches where chain = $1 and seq > $2 order by seq limit $3`,
	TrailRows: `select seq, tenant, event, actor, trace, detail, at from enrollgate.audit
		where chain = $1 and seq between $2 and $3 order by seq, n`,
	TrailCheckpoints: `select ` + checkpointColumns + ` from enrollgate.audit_checkpoints where number > $1 order by number limit $2`,
	TrailCount:       `select count(*) from enrollgate.audit`,

	// The lock comes first and by itself, so that the next statement sees which keys are blocked by then.
	RevocationLock: `select from enrollgate.revocations where tenant = $1 and ca = $2 and serial = $3 for update`,
	Revoke: `insert into enrollgate.revocations as r (tenant, ca, serial, state, reason, invalid, at, shard)
		select tenant, ca, serial, $6::text, $7::smallint, $8::timestamptz, now() + $1::interval, $9::integer
		from enrollgate.certificates where tenant = $2 and ca = $3 and month = $4 and serial = $5
		on conflict (tenant, ca, serial) do update
			set state = excluded.state, reason = excluded.reason,
				invalid = case when r.state = 'revoked' then coalesce(excluded.invalid, r.invalid) else excluded.invalid end,
				at = case when r.state = 'revoked' then r.at else excluded.at end,
				shard = excluded.shard
			where r.state = 'issued' or (r.state = 'held' and excluded.state = 'revoked')
				or ($10::boolean and r.state = 'revoked' and (r.reason <> excluded.reason or not exists (
					select from enrollgate.blocked_keys where key_hash = (select key_hash from enrollgate.certificates
						where tenant = $2 and ca = $3 and month = $4 and serial = $5))))
		returning invalid, at`,
	Unhold: `update enrollgate.revocations set state = 'issued', reason = $5::smallint, invalid = $6::timestamptz, at = now() + $1::interval
		where tenant = $2 and ca = $3 and serial = $4 and state = 'held' returning invalid, at`,
	BlockKey: `insert into enrollgate.blocked_keys (key_hash, tenant, at)
		select key_hash, tenant, now() + $1::interval
		from enrollgate.certificates where tenant = $2 and ca = $3 and month = $4 and serial = $5
		on conflict do nothing`,

	// The rows of a batch.
	Certificates: `insert into enrollgate.certificates (tenant, ca, month, serial, der, not_before, not_after, profile, requester,
			endpoint, trace, subject, key_id, key_hash, tbs_hash, issued_at)
		select u.*, $1::timestamptz from unnest($2::text[], $3::text[], $4::integer[], $5::bytea[], $6::bytea[], $7::timestamptz[],
			$8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bytea[], $15::bytea[], $16::bytea[]) u`,
	Names: `insert into enrollgate.sans (tenant, ca, month, serial, n, kind, value)
		select * from unnest($1::text[], $2::text[], $3::integer[], $4::bytea[], $5::smallint[], $6::smallint[], $7::bytea[])`,
	Decisions: `insert into enrollgate.decisions (tenant, ca, month, serial, profile_hash, detail)
		select * from unnest($1::text[], $2::text[], $3::integer[], $4::bytea[], $5::bytea[], $6::bytea[])`,
	Audit: `insert into enrollgate.audit (chain, seq, n, tenant, event, actor, trace, detail, at)
		select $1::integer, $2::bigint, u.* from unnest($3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::timestamptz[]) u`,
	Feed: `with allocated as (update enrollgate.feed_position set last = last + $1::bigint where only_row returning last - $1::bigint as base)
		insert into enrollgate.status_feed (position, tenant, ca, serial, state, reason, invalid, at)
		select base + ord, tenant, ca, serial, state, reason, invalid, at
		from allocated, unnest($2::text[], $3::text[], $4::bytea[], $5::text[], $6::smallint[], $7::timestamptz[], $8::timestamptz[])
			with ordinality u(tenant, ca, serial, state, reason, invalid, at, ord)
		returning position`,
	Outbox: `insert into enrollgate.outbox (tenant, topic, payload, at)
		select tenant, topic, payload, $1::timestamptz
		from unnest($2::text[], $3::text[], $4::bytea[]) with ordinality u(tenant, topic, payload, ord) order by ord`,
	Batch: `insert into enrollgate.batches (chain, seq, id, prev, hash, rows, void, at)
		values ($1, $2, $3, $4, $5, $6, false, $7)`,

	// The settlement of a commit of unknown outcome.
	Settle: `insert into enrollgate.batches (chain, seq, id, prev, hash, rows, void, at)
		values ($1, $2, $3, $4, $5, 0, true, $6) on conflict (id) do nothing`,
	Settled: `select void from enrollgate.batches where id = $1`,

	// What is read.
	CertificateFind: `select c.der, c.not_before, c.not_after, c.profile, c.requester, c.endpoint, c.trace, c.issued_at, coalesce(r.state, 'issued')
		from enrollgate.certificates c
		left join enrollgate.revocations r on r.tenant = c.tenant and r.ca = c.ca and r.serial = c.serial
		where c.tenant = $1 and c.ca = $2 and c.month = $3 and c.serial = $4`,
	DecisionFind: `select detail, profile_hash from enrollgate.decisions where tenant = $1 and ca = $2 and month = $3 and serial = $4`,
	FeedRead: `select position, tenant, ca, serial, state, reason, invalid, at from enrollgate.status_feed
		where position > $1 order by position limit $2`,
	ReplayFind: `select digest, ca, serial from enrollgate.idempotency
		where tenant = $2 and key = $3 and expires > now() + $1::interval`,
	OutboxWaiting:   `select id, tenant, topic, payload, at from enrollgate.outbox order by id limit $1`,
	OutboxDelivered: `delete from enrollgate.outbox where tenant = $1 and id = $2`,

	// The ACME door. A lateral subquery with a limit is looked up row by row, by
	// key: a join could be planned as a walk through the tenant.
	AccountAdd: `insert into enrollgate.acme_accounts (tenant, endpoint, id, status, key, thumbprint, contact, terms, created_at,
			agreed, external, preauthorized)
		values ($1, $2, $3, $4, $5, $6, $7::text[], $8, $9, $10, $11, $12) on conflict do nothing`,
	AccountUpdate: `update enrollgate.acme_accounts set status = $4, contact = $5::text[], terms = $6, agreed = $7
		where tenant = $1 and endpoint = $2 and id = $3 and status = 'valid'`,
	AccountFind: `select ` + accountColumns + ` from enrollgate.acme_accounts
		where tenant = $1 and endpoint = $2 and id = $3`,
	AccountByKey: `select ` + accountColumns + ` from enrollgate.acme_accounts
		where tenant = $1 and endpoint = $2 and thumbprint = $3`,
	// Lists do not travel inside lists: each order's authorizations come joined by a comma, which no id holds.
	Orders: `insert into enrollgate.acme_orders (tenant, endpoint, id, account, status, identifiers, not_before, not_after,
			created_at, expires, authorizations, error, profile, replaces)
		select tenant, endpoint, id, account, status, identifiers, not_before, not_after, created_at, expires,
			string_to_array(authorizations, ','), error, profile, replaces
		from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[], $8::timestamptz[],
			$9::timestamptz[], $10::timestamptz[], $11::text[], $12::bytea[], $13::text[], $14::text[])
			u(tenant, endpoint, id, account, status, identifiers, not_before, not_after, created_at, expires, authorizations, error, profile, replaces)`,
	Authorizations: `insert into enrollgate.acme_authorizations (tenant, endpoint, id, account, type, value, wildcard, status,
			created_at, expires, challenges)
		select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::text[],
			$9::timestamptz[], $10::timestamptz[], $11::bytea[])`,
	OrderFinish: `update enrollgate.acme_orders o set status = 'valid', certificate = $5, ca = $6, serial = $7
		where o.tenant = $2 and o.endpoint = $3 and o.id = $4 and o.status = 'pending' and o.expires > now() + $1::interval
			and cardinality(o.authorizations) > 0
			and cardinality(o.authorizations) = (select count(*) from unnest(o.authorizations) named(id),
				lateral (select from enrollgate.acme_authorizations a
					where a.id = named.id and a.tenant = $2 and a.endpoint = $3 and a.status = 'valid' and a.expires > now() + $1::interval limit 1) valid)
			and (select status from enrollgate.acme_accounts where tenant = $2 and id = o.account and endpoint = $3 and thumbprint = $8) = 'valid'`,
	OrderFind: `select o.account, o.status, o.identifiers, o.not_before, o.not_after, o.created_at, o.expires, o.authorizations,
			coalesce(o.certificate, ''), o.ca, o.serial, o.error, o.profile, o.replaces,
			a.id, a.account, a.type, a.value, a.wildcard, a.status, a.created_at, a.expires, a.challenges
		from enrollgate.acme_orders o
		left join lateral unnest(o.authorizations) named(id) on true
		left join lateral (select * from enrollgate.acme_authorizations
			where id = named.id and tenant = $1 and endpoint = $2 limit 1) a on true
		where o.tenant = $1 and o.endpoint = $2 and o.id = $3`,
	OrderByCertificate: `select id, account, status, identifiers, not_before, not_after, created_at, expires, authorizations,
			coalesce(certificate, ''), ca, serial, error, profile, replaces
		from enrollgate.acme_orders where tenant = $1 and endpoint = $2 and certificate = $3`,
	AuthorizationFind: `select account, type, value, wildcard, status, created_at, expires, challenges
		from enrollgate.acme_authorizations where tenant = $1 and endpoint = $2 and id = $3`,
	ChallengeChange: `update enrollgate.acme_authorizations set challenges = $5, status = $6, expires = $7
		where tenant = $1 and endpoint = $2 and id = $3 and status = 'pending' and challenges = $4`,
	ChallengeEnd: `update enrollgate.acme_authorizations set status = $4, challenges = $5, expires = $6
		where tenant = $1 and endpoint = $2 and id = $3 and status = 'pending'`,
	AuthorizationDeactivate: `update enrollgate.acme_authorizations set status = 'deactivated'
		where tenant = $1 and endpoint = $2 and id = $3 and status in ('pending', 'valid')`,

	// A key that another transaction takes at the same time violates the table's unique key.
	KeyChange: `update enrollgate.acme_accounts set key = $4, thumbprint = $5, former = substring(thumbprint || former from 1 for $7::integer)
		where tenant = $1 and endpoint = $2 and id = $3 and status = 'valid' and thumbprint = $6
			and not exists (select from enrollgate.acme_accounts where tenant = $1 and endpoint = $2 and thumbprint = $5)`,
	OrdersOf: `select id from enrollgate.acme_orders where account = $4 and tenant = $2 and id > $5 and endpoint = $3
		and (status = 'valid' or status = 'pending' and expires > now() + $1::interval) order by id limit $6::integer`,
	Preauthorize: `update enrollgate.acme_accounts set preauthorized = true
		where tenant = $1 and endpoint = $2 and id = $3 and status = 'valid'`,
	PreauthorizationAdd: `insert into enrollgate.acme_authorizations (tenant, endpoint, id, account, type, value, wildcard, status,
			created_at, expires, challenges, preauthorized)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, true) on conflict do nothing`,
	Preauthorizations: `select ` + authorizationColumns + ` from enrollgate.acme_authorizations where ` + preauthorizationOf,
	// Orders are read from the newest on: older ones cannot have proofs that still count.
	HeldAuthorizations: `select a.* from (select id, authorizations from enrollgate.acme_orders
			where account = $4 and tenant = $2 and id > '' order by id desc limit $5::integer) o
		cross join lateral unnest(o.authorizations) named(id)
		cross join lateral (select ` + authorizationColumns + ` from enrollgate.acme_authorizations z
			where z.id = named.id and z.tenant = $2 and z.endpoint = $3 and z.account = $4 and z.status = 'valid' and z.expires > now() + $1::interval limit 1) a
		union all select ` + authorizationColumns + ` from enrollgate.acme_authorizations where ` + preauthorizationOf,
	RemovePreauthorizations: `delete from enrollgate.acme_authorizations where ctid = any(array(
		select ctid from enrollgate.acme_authorizations where preauthorized and expires <= now() + $1::interval
			order by expires limit $2 for update skip locked))`,
	ReplacementAdd: `insert into enrollgate.acme_replacements (tenant, ca, serial, order_id, expires) values ($1, $2, $3, $4, $5) on conflict do nothing`,
	Replacement:    `select order_id from enrollgate.acme_replacements where tenant = $1 and ca = $2 and serial = $3`,
	WindowsPut: `insert into enrollgate.renewal_windows (tenant, ca, serial, opens, closes, explanation, expires)
		select $1, * from unnest($2::text[], $3::bytea[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::timestamptz[])
		on conflict (serial, ca, tenant) do update set opens = excluded.opens, closes = excluded.closes, explanation = excluded.explanation`,
	WindowFind: `select opens, closes, explanation, expires from enrollgate.renewal_windows where tenant = $1 and ca = $2 and serial = $3`,
	RatesAdd: `insert into enrollgate.acme_rates as r (tenant, id, counted, expires) select $1, * from unnest($2::bytea[], $3::bigint[], $4::timestamptz[])
		on conflict (id, tenant) do update set counted = r.counted + excluded.counted returning id, counted`,
	SweepRates: `delete from enrollgate.acme_rates where ctid = any(array(select ctid from enrollgate.acme_rates where expires <= now() + $1::interval order by expires limit $2 for update skip locked))`,
	SweepRenewals: `with replaced as (delete from enrollgate.acme_replacements where ctid = any(array(
			select ctid from enrollgate.acme_replacements where expires <= now() + $1::interval order by expires limit $2 for update skip locked)) returning 1),
		windows as (delete from enrollgate.renewal_windows where ctid = any(array(
			select ctid from enrollgate.renewal_windows where expires <= now() + $1::interval order by expires limit $2 for update skip locked)) returning 1)
		select from replaced union all select from windows`,

	// What background work does to orders and replicas. Rows are named by their
	// place, so that each is found through the index once.
	EndOrders: `update enrollgate.acme_orders set status = 'invalid' where ctid = any(array(
		select ctid from enrollgate.acme_orders where status = 'pending' and expires <= now() + $1::interval
			order by expires limit $2 for update skip locked))`,
	// The count is that of the orders.
	RemoveOrders: `with gone as (delete from enrollgate.acme_orders where ctid = any(array(
			select ctid from enrollgate.acme_orders where status = 'invalid' and expires <= now() + $1::interval - $2::interval
				order by expires limit $3 for update skip locked)) returning tenant, endpoint, id, authorizations),
		named as (select tenant, endpoint, unnest(authorizations) as id from gone),
		proofs as (delete from enrollgate.acme_authorizations where ctid = any(array(
			select a.at from named n cross join lateral (select ctid as at from enrollgate.acme_authorizations
				where tenant = n.tenant and endpoint = n.endpoint and id = n.id offset 0) a)))
		select from gone`,
	MonthMake: `select where enrollgate.ensure_month($1::integer)`, // no row: it is there already
	ReplicaBeat: `insert into enrollgate.replicas (id, started, seen, config, schema, version, skew)
		values ($2, $3, clock_timestamp() + $1::interval, $4, $5, $6, $7::interval)
		on conflict (id) do update set started = excluded.started, seen = excluded.seen, config = excluded.config,
			schema = excluded.schema, version = excluded.version, skew = excluded.skew
		returning seen`,
	Replicas: `select id, started, seen, config, schema, version, skew from enrollgate.replicas
		where id > '' and seen >= now() + $1::interval - $2::interval order by id`,
	ReplicasForget: `delete from enrollgate.replicas where ctid = any(array(
		select ctid from enrollgate.replicas where id > '' and seen < now() + $1::interval - $2::interval limit $3 for update skip locked))`,

	// What is dropped by month. What decides and what drops are the owner's functions.
	Months: `select m.month, null::timestamptz, null::timestamptz, 0::bigint from enrollgate.months m
			where not exists (select from enrollgate.dropped_months d where d.month = m.month)
		union all select month, dropped_at, cleared_at, certificates from enrollgate.dropped_months order by 1`,
	MonthFind:    `select month, dropped_at, cleared_at, certificates from enrollgate.dropped_months where month = $1`,
	MonthCount:   `select tenant, ca, count(*) from enrollgate.certificates where month = $1 group by tenant, ca order by tenant, ca`,
	MonthWaits:   `select tenant, ca, scope, this_update from enrollgate.month_waits($1::integer) order by tenant, ca, scope`,
	MonthRelease: `select where enrollgate.release_month($1::integer, $2::bigint)`, // no row: it may not go, or is gone
	MonthDrop:    `select where enrollgate.drop_month($1::integer)`,                // no row: nothing was left

	// What time takes away.
	SweepNonces: `delete from enrollgate.acme_nonces where ctid = any(array(
		select ctid from enrollgate.acme_nonces where expires <= now() + $1::interval order by expires limit $2 for update skip locked))`,
	SweepIdempotency: `delete from enrollgate.idempotency where ctid = any(array(
		select ctid from enrollgate.idempotency where expires <= now() + $1::interval order by expires limit $2 for update skip locked))`,

	// The search of certificates: what drives a statement is looked up first and by itself, because
	// the planner thinks little of ranges that it does not know; the other filters hold besides.
	Find: findColumns + ` from enrollgate.certificates c` + findStatus + ` where c.tenant = $1 and c.ca = $2
		and c.month between $3::integer and $4::integer and c.serial between $5::bytea and $6::bytea` + findRest,
	FindBySubject:   `with k as materialized (` + findKeys + `subject = $11)` + findColumns + findKnown,
	FindByRequester: `with k as materialized (` + findKeys + `requester = $10)` + findColumns + findKnown,
	FindByKey:       `with k as materialized (` + findKeys + `key_id = $12)` + findColumns + findKnown,
	FindByName: `with k as materialized (select distinct month, serial from (select tenant, ca, month, serial from enrollgate.sans where kind = $15::smallint
			and reverse(encode(value, 'escape')) collate "C" between reverse(encode($16::bytea, 'escape')) and reverse(encode($16::bytea, 'escape')) || $17::text
			offset 0) n where tenant = $1 and ca = $2)` +
		findColumns + findKnown,
	FindByState: `with k as materialized (select get_byte(serial, 0) * 256 + get_byte(serial, 1) as month, serial
			from enrollgate.revocations where tenant = $1 and ca = $2 and serial between $5::bytea and $6::bytea and state = $13)` + findColumns + findKnown,
	RevocationFind: `select state, reason, invalid, at from enrollgate.revocations where tenant = $1 and ca = $2 and serial = $3`,
	StatusPage: `select serial, state, reason, invalid, at, shard from enrollgate.revocations
		where tenant = $1 and ca = $2 and serial > $3 order by serial limit $4::integer`,
	FeedEnd:    `select last from enrollgate.feed_position where only_row`,
	CRLPartAdd: `insert into enrollgate.crl_parts (tenant, ca, scope, sha256, n, part) values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
	CRLPublish: `with head as (insert into enrollgate.crl_heads as h (tenant, ca, scope, number, position, complete, delta)
			select $2, $3, $4, $5::bigint, $6::bigint, case when $7::bigint = 0 then $5::bigint else 0 end, case when $7::bigint = 0 then 0 else $5::bigint end
			where (select count(*) from enrollgate.crl_parts where tenant = $2 and ca = $3 and scope = $4 and sha256 = $8) = $9::integer
				and $7::bigint <= coalesce((select complete from enrollgate.crl_heads where tenant = $2 and ca = $3 and scope = $4), 0)
			on conflict (tenant, ca, scope) do update set number = excluded.number, position = excluded.position,
				complete = greatest(h.complete, excluded.complete), delta = greatest(h.delta, excluded.delta)
				where h.number < excluded.number and h.position <= excluded.position
			returning tenant, ca, scope, number, position)
		insert into enrollgate.crls (tenant, ca, scope, number, base, position, this_update, next_update, urls, entries, sha256, size, at)
		select tenant, ca, scope, number, $7::bigint, position, $10::timestamptz, $11::timestamptz, $12::text[], $13::bigint, $8, $14::bigint, now() + $1::interval
		from head`,
	CRLPartsDrop: `delete from enrollgate.crl_parts where tenant = $1 and ca = $2 and scope = $3
		and sha256 <> all (array(select sha256 from enrollgate.crls where tenant = $1 and ca = $2 and scope = $3 and base = 0
			order by number desc limit $4::integer))
		and sha256 <> all (array(select sha256 from enrollgate.crls where tenant = $1 and ca = $2 and scope = $3 and base > 0
			order by number desc limit $4::integer))`,
	CRLHeads: `select tenant, ca, scope, number, position, complete, delta from enrollgate.crl_heads order by tenant, ca, scope`,
	CRLFind: `select base, position, this_update, next_update, urls, entries, sha256, size from enrollgate.crls
		where tenant = $1 and ca = $2 and scope = $3 and number = $4`,
	CRLParts: `select part from enrollgate.crl_parts where tenant = $1 and ca = $2 and scope = $3 and sha256 = $4 order by n`,
	AuditByTrace: `select event, actor, trace, detail, at from enrollgate.audit
		where trace = $1 and trace <> '' and tenant = $2 order by at, chain, seq, n limit $3`,
	AuditBySerial: `select event, actor, trace, detail, at from enrollgate.audit
		where substring(encode(detail, 'escape') from '"serial":"([0-9a-f]{32})"') = $1 and event <> 'certificate.issued'
			and tenant = $2 order by at, chain, seq, n limit $3`,
}

// preauthorizationOf picks the authorizations of an account that it opened before
// any order and that count now.
const preauthorizationOf = `preauthorized and account = $4 and tenant = $2 and endpoint = $3
	and status = 'valid' and expires > now() + $1::interval and id > ''`

const (
	findKeys    = `select month, serial from enrollgate.certificates where tenant = $1 and ca = $2 and `
	findColumns = ` select c.serial, c.der, c.not_before, c.not_after, c.profile, c.requester, c.endpoint, c.trace, c.issued_at,
		coalesce(r.state, 'issued')`
	// One row at a time, whatever the planner believes of tables that it has no statistics of.
	findStatus = ` left join lateral (select state from enrollgate.revocations
		where tenant = c.tenant and ca = c.ca and serial = c.serial offset 0) r on true`
	findKnown = ` from k cross join lateral (select * from enrollgate.certificates
		where tenant = $1 and ca = $2 and month = k.month and serial = k.serial offset 0) c` + findStatus + `
		where k.month between $3::integer and $4::integer and k.serial between $5::bytea and $6::bytea` + findRest
	findRest = ` and ($7::timestamptz is null or c.not_after >= $7) and ($8::timestamptz is null or c.not_after < $8)
		and ($9::text is null or c.profile = $9) and ($10::text is null or c.requester = $10)
		and ($11::text is null or c.subject = $11) and ($12::bytea is null or c.key_id = $12)
		and ($13::text is null or coalesce(r.state, 'issued') = $13)
		order by c.month, c.serial limit $14::integer`
)
