package sqlite

// query names a statement. Every statement of the driver is in one table, so
// that a test can look at the plan of each.
type query int

const (
	beginBatch query = iota
	commitBatch
	rollbackBatch

	insertMonth
	insertCertificate
	insertSAN
	insertDecision
	selectCertificate
	selectDecision

	selectIdempotency
	putIdempotency
	selectBlocked
	insertBlocked

	selectState
	putRevocation
	insertFeed
	selectFeed
	selectKeyHash

	insertAudit
	insertBatch
	selectChain
	putChain
	settleChain

	insertProfile
	selectProfile

	takeLease
	selectLease
	releaseLease
	heldLease

	insertOutbox
	selectOutbox
	deleteOutbox

	insertCredential
	burnUse
	selectCredential
	selectCredentialByLookup
	selectCredentials
	revokeCredential
	sweepCredentials

	insertDataKey
	selectDataKeys
	putKEK
	changeKEK
	rewrapDataKey
	countDataKeys
	insertGeneration
	selectGenerations
	insertActivation
	selectActivations
	insertService
	selectServices
	forgetService
	selectNonce
	selectUncovered
	selectLastCheckpoint
	insertCheckpoint
	insertAuditKey
	selectAuditKeys
	selectChains
	selectBatches
	selectBatchRows
	selectCheckpoints
	countAudit

	insertNonce
	insertAccount
	selectAccount
	selectAccountByKey
	updateAccount
	insertOrder
	selectOrder
	selectOrderByCertificate
	finishOrder
	insertAuthorization
	selectAuthorization
	selectAuthorizations
	changeChallenge
	endChallenge
	deactivateAuthorization
	changeKey
	selectOrdersOf
	preauthorize
	selectPreauthorizations
	selectHeldAuthorizations

	insertReplacement
	selectReplacement
	putWindow
	selectWindow
	sweepReplacements
	sweepWindows
	addRate
	sweepRates

	sweepNonces
	sweepIdempotency
	endOrders
	removeAuthorizations
	removeOrders
	removePreauthorizations
	beatReplica
	selectReplicas
	forgetReplicas

	findBySerial
	findBySubject
	findByRequester
	findByKey
	findByName
	findByState
	selectRevocation
	selectAuditByTrace
	selectAuditBySerial
	selectStatusPage
	selectFeedEnd
	selectCRLParts
	insertCRLPart
	putCRLHead
	insertCRL
	dropCRLParts
	selectCRLHeads
	selectCRL

	selectMonths
	selectDropped
	selectMonth
	nextCA
	countMonth
	inMonth
	selectNewest
	dropMonth
	clearSANs
	clearDecisions
	clearCertificates
	forgetMonth
	clearedMonth

	takeUnique
	sweepUnique
	insertPending
	selectPending
	selectPendingTransaction
	selectPendingKey
	freePendingKey
	selectPendingPage
	selectPendingApproved
	selectPendingOverdue
	countPending
	settlePending
	issuePending
	sweepPending
	parkOrder
	finishParkedOrder
	rejectOrder
	putSuperseded
	strikeSuperseded
	selectSuperseded
	sweepSuperseded
	keepReply
	selectReply
	sweepReplies

	queries // how many there are
)

var statements = joined(replyStatements, joined(approvalStatements, [queries]string{
	beginBatch:    `BEGIN IMMEDIATE`,
	commitBatch:   `COMMIT`,
	rollbackBatch: `ROLLBACK`,

	insertMonth: `INSERT INTO months (month, made_at) VALUES (?, ?) ON CONFLICT DO NOTHING`,
	insertCertificate: `INSERT INTO certificates (tenant, ca, month, serial, der, not_before, not_after, profile, requester, endpoint, trace,
		issued_at, subject, key_id, key_hash, tbs_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	insertSAN:      `INSERT INTO sans (certificate, position, tenant, kind, value, reversed) VALUES (?, ?, ?, ?, ?, ?)`,
	insertDecision: `INSERT INTO decisions (certificate, tenant, profile_hash, detail) VALUES (?, ?, ?, ?)`,
	selectCertificate: `SELECT c.der, c.not_before, c.not_after, c.profile, c.requester, c.endpoint, c.trace, c.issued_at, coalesce(r.state, 'issued')
		FROM certificates c LEFT JOIN revocations r USING (tenant, ca, month, serial)
		WHERE c.tenant = ? AND c.ca = ? AND c.month = ? AND c.serial = ?`,
	selectDecision: `SELECT d.profile_hash, d.detail FROM certificates c JOIN decisions d ON d.certificate = c.id AND d.tenant = c.tenant
		WHERE c.tenant = ? AND c.ca = ? AND c.month = ? AND c.serial = ?`,

	selectIdempotency: `SELECT digest, ca, serial FROM idempotency WHERE tenant = ? AND key = ? AND expires > ?`,
	putIdempotency: `INSERT INTO idempotency (tenant, key, digest, ca, serial, expires) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, key) DO UPDATE SET digest = excluded.digest, ca = excluded.ca, serial = excluded.serial, expires = excluded.expires`,
	selectBlocked: `SELECT 1 FROM blocked_keys WHERE key_hash = ?`,
	insertBlocked: `INSERT INTO blocked_keys (key_hash, tenant, blocked_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,

	selectState: `SELECT coalesce(r.state, 'issued'), coalesce(r.reason, 0), coalesce(r.changed_at, 0), r.invalid,
			EXISTS (SELECT 1 FROM blocked_keys b WHERE b.key_hash = c.key_hash) FROM certificates c LEFT JOIN revocations r USING (tenant, ca, month, serial)
		WHERE c.tenant = ? AND c.ca = ? AND c.month = ? AND c.serial = ?`,
	putRevocation: `INSERT INTO revocations (tenant, ca, month, serial, state, reason, invalid, changed_at, shard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, ca, month, serial) DO UPDATE SET state = excluded.state, reason = excluded.reason,
			invalid = excluded.invalid, changed_at = excluded.changed_at, shard = excluded.shard`,
	insertFeed:    `INSERT INTO status_feed (tenant, ca, serial, state, reason, invalid, at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
	selectFeed:    `SELECT position, tenant, ca, serial, state, reason, invalid, at FROM status_feed WHERE position > ? ORDER BY position LIMIT ?`,
	selectKeyHash: `SELECT key_hash FROM certificates WHERE tenant = ? AND ca = ? AND month = ? AND serial = ?`,

	insertAudit: `INSERT INTO audit (batch, tenant, event, actor, trace, detail, at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
	insertBatch: `INSERT INTO batches (chain, seq, id, prev, hash, rows, first_row, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
	selectChain: `SELECT seq, hash, last FROM chains WHERE chain = ?`,
	putChain: `INSERT INTO chains (chain, seq, hash, last) VALUES (?, ?, ?, ?)
		ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, last = excluded.last`,
	settleChain: `UPDATE chains SET last = ? WHERE chain = ?`,

	insertProfile: `INSERT INTO profiles (hash, text, kept_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
	selectProfile: `SELECT text FROM profiles WHERE hash = ?`,

	takeLease: `INSERT INTO leases (name, holder, fence, until) VALUES (?1, ?2, 1, ?3)
		ON CONFLICT (name) DO UPDATE SET fence = fence + (holder <> excluded.holder OR until <= ?4), holder = excluded.holder, until = excluded.until
		WHERE holder = excluded.holder OR until <= ?4`,
	selectLease:  `SELECT fence FROM leases WHERE name = ?`,
	releaseLease: `UPDATE leases SET until = 0 WHERE name = ? AND holder = ? AND fence = ?`,
	heldLease:    `UPDATE leases SET fence = fence WHERE name = ? AND holder = ? AND fence = ? AND until > ?`,

	insertOutbox: `INSERT INTO outbox (tenant, topic, payload, at) VALUES (?, ?, ?, ?)`,
	selectOutbox: `SELECT id, tenant, topic, payload, at FROM outbox WHERE id > 0 ORDER BY id LIMIT ?`,
	deleteOutbox: `DELETE FROM outbox WHERE id = ? AND tenant = ?`,

	insertCredential: `INSERT INTO credentials (` + credentialColumns + `, lookup) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	burnUse: `UPDATE credentials SET uses = uses - 1 WHERE tenant = ? AND id = ? AND (uses > 0 OR uses IS NULL) AND expires > ?
		AND revoked_at IS NULL`,
	selectCredential:         `SELECT ` + credentialColumns + ` FROM credentials WHERE tenant = ? AND id = ?`,
	selectCredentialByLookup: `SELECT ` + credentialColumns + ` FROM credentials WHERE tenant = ? AND lookup = ?`,
	selectCredentials:        `SELECT ` + credentialColumns + ` FROM credentials WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`,
	revokeCredential:         `UPDATE credentials SET revoked_at = ? WHERE tenant = ? AND id = ? AND revoked_at IS NULL`,
	sweepCredentials: `DELETE FROM credentials WHERE (tenant, id) IN
		(SELECT tenant, id FROM credentials WHERE expires <= ? ORDER BY expires LIMIT ?)`,

	insertDataKey: `INSERT INTO data_keys (purpose, version, wrapped, created_at) SELECT ?1, ?2, ?3, ?4 FROM seal_kek WHERE id = ?5
		ON CONFLICT DO NOTHING`,
	selectDataKeys: `SELECT purpose, version, wrapped, created_at FROM data_keys ORDER BY purpose, version`,
	putKEK:         `INSERT INTO seal_kek (only_row, id) VALUES (1, ?) ON CONFLICT DO NOTHING`,
	changeKEK:      `UPDATE seal_kek SET id = ?2 WHERE id = ?1`,
	rewrapDataKey:  `UPDATE data_keys SET wrapped = ?4 WHERE purpose = ?1 AND version = ?2 AND wrapped = ?3`,
	countDataKeys:  `SELECT count(*) FROM data_keys`,
	insertGeneration: `INSERT INTO ca_generations (tenant, ca, number, key_uri, der, chain, root, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`,
	selectGenerations: `SELECT ca, number, key_uri, der, chain, root, created_at FROM ca_generations WHERE tenant = ? ORDER BY ca, number`,
	insertActivation: `INSERT INTO ca_activations (tenant, ca, position, generation, signs_from, created_at)
		SELECT ?1, ?2, ?3, number, ?5, ?6 FROM ca_generations WHERE tenant = ?1 AND ca = ?2 AND number = ?4 ON CONFLICT DO NOTHING`,
	selectActivations: `SELECT ca, position, generation, signs_from, created_at FROM ca_activations WHERE tenant = ? ORDER BY ca, position`,

	insertService: `INSERT INTO service_certificates (tenant, ca, service, number, der, not_after, sealed, key_uri, created_at)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE NOT EXISTS (SELECT 1 FROM service_certificates WHERE tenant = ?1 AND ca = ?2 AND service = ?3 AND number >= ?4)`,
	selectServices: `SELECT number, der, not_after, sealed, key_uri, created_at FROM service_certificates
		WHERE tenant = ? AND ca = ? AND service = ? ORDER BY number`,
	forgetService: `DELETE FROM service_certificates WHERE tenant = ?1 AND ca = ?2 AND service = ?3 AND number = ?4
		AND EXISTS (SELECT 1 FROM service_certificates WHERE tenant = ?1 AND ca = ?2 AND service = ?3 AND number > ?4)`,

	selectNonce: `SELECT 1 FROM acme_nonces WHERE tenant = ? AND id = ?`,
	selectUncovered: `SELECT h.chain, h.seq, h.hash, coalesce(k.rows, 0) + sum(b.rows), sum(b.rows), min(b.at) FROM chains h
		LEFT JOIN audit_checkpoints k ON k.number = (SELECT number FROM audit_checkpoints l WHERE l.chain = h.chain ORDER BY seq DESC LIMIT 1)
		JOIN batches b ON b.chain = h.chain AND b.seq > coalesce(k.seq, 0)
		GROUP BY h.chain ORDER BY h.chain`,
	selectLastCheckpoint: `SELECT ` + checkpointColumns + ` FROM audit_checkpoints ORDER BY number DESC LIMIT 1`,
	insertCheckpoint:     `INSERT INTO audit_checkpoints (` + checkpointColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	insertAuditKey:       `INSERT INTO audit_keys (version, public, sealed, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	selectAuditKeys:      `SELECT version, public, sealed FROM audit_keys ORDER BY version`,
	selectChains:         `SELECT DISTINCT chain FROM batches ORDER BY chain`,
	selectBatches:        `SELECT seq, id, prev, hash, rows, first_row, at FROM batches WHERE chain = ? AND seq > ? ORDER BY seq LIMIT ?`,
	selectBatchRows:      `SELECT tenant, event, actor, trace, detail, at FROM audit WHERE id >= ? AND id < ? AND batch = ? ORDER BY id`,
	selectCheckpoints:    `SELECT ` + checkpointColumns + ` FROM audit_checkpoints WHERE number > ? ORDER BY number LIMIT ?`,
	countAudit:           `SELECT count(*) FROM audit`,

	insertNonce:        `INSERT INTO acme_nonces (tenant, id, expires) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
	insertAccount:      `INSERT INTO acme_accounts (` + accountColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '') ON CONFLICT DO NOTHING`,
	selectAccount:      `SELECT ` + accountColumns + ` FROM acme_accounts WHERE tenant = ? AND id = ? AND endpoint = ?`,
	selectAccountByKey: `SELECT ` + accountColumns + ` FROM acme_accounts WHERE tenant = ? AND endpoint = ? AND thumbprint = ?`,
	updateAccount: `UPDATE acme_accounts SET status = ?, contact = ?, terms_agreed = ?, agreed = ?
		WHERE tenant = ? AND id = ? AND endpoint = ? AND status = 'valid'`,
	insertOrder:              `INSERT INTO acme_orders (` + orderColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	selectOrder:              `SELECT ` + orderColumns + ` FROM acme_orders WHERE tenant = ? AND id = ? AND endpoint = ?`,
	selectOrderByCertificate: `SELECT ` + orderColumns + ` FROM acme_orders WHERE tenant = ? AND certificate = ? AND endpoint = ?`,
	finishOrder: `UPDATE acme_orders AS o SET status = 'valid', certificate = ?1, ca = ?2, serial = ?3
		WHERE tenant = ?4 AND id = ?5 AND endpoint = ?6 AND status = 'pending' AND expires > ?7
			AND EXISTS (SELECT 1 FROM acme_authorizations a WHERE a.tenant = o.tenant AND a.order_id = o.id)
			AND NOT EXISTS (SELECT 1 FROM acme_authorizations a WHERE a.tenant = o.tenant AND a.order_id = o.id
				AND (a.status <> 'valid' OR a.expires <= ?7))
			AND EXISTS (SELECT 1 FROM acme_accounts c WHERE c.tenant = o.tenant AND c.id = o.account AND c.endpoint = o.endpoint AND c.status = 'valid'
				AND c.thumbprint = ?8)`,
	insertAuthorization: `INSERT INTO acme_authorizations (` + authorizationColumns + `, order_id, position)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	selectAuthorization:  `SELECT ` + authorizationColumns + ` FROM acme_authorizations WHERE tenant = ? AND id = ? AND endpoint = ?`,
	selectAuthorizations: `SELECT ` + authorizationColumns + ` FROM acme_authorizations WHERE tenant = ? AND order_id = ? ORDER BY position`,
	changeChallenge: `UPDATE acme_authorizations SET status = ?, challenges = ?, expires = ?
		WHERE tenant = ? AND id = ? AND endpoint = ? AND status = 'pending' AND challenges = ?`,
	endChallenge: `UPDATE acme_authorizations SET status = ?, challenges = ?, expires = ? WHERE tenant = ? AND id = ? AND endpoint = ? AND status = 'pending'`,
	deactivateAuthorization: `UPDATE acme_authorizations SET status = 'deactivated'
		WHERE tenant = ? AND id = ? AND endpoint = ? AND status IN ('pending', 'valid')`,

	changeKey: `UPDATE acme_accounts SET key = ?1, thumbprint = ?2, former = substr(hex(thumbprint) || former, 1, ?7) WHERE tenant = ?3 AND id = ?4 AND endpoint = ?5 AND status = 'valid' AND thumbprint = ?6
		AND NOT EXISTS (SELECT 1 FROM acme_accounts o WHERE o.tenant = ?3 AND o.endpoint = ?5 AND o.thumbprint = ?2)`,
	selectOrdersOf: `SELECT id FROM acme_orders WHERE tenant = ?1 AND account = ?2 AND id > ?3 AND endpoint = ?4
		AND (status = 'valid' OR status = 'pending' AND expires > ?5) ORDER BY id LIMIT ?6`,
	preauthorize:            `UPDATE acme_accounts SET preauthorized = 1 WHERE tenant = ? AND id = ? AND endpoint = ? AND status = 'valid'`,
	selectPreauthorizations: `SELECT ` + authorizationColumns + ` FROM acme_authorizations WHERE ` + preauthorizationOf,
	// Orders are read from the newest on: older ones cannot have proofs that still count.
	selectHeldAuthorizations: `SELECT ` + authorizationColumns + ` FROM acme_authorizations WHERE tenant = ?1 AND endpoint = ?3 AND status = 'valid' AND expires > ?4
			AND account = ?2 AND order_id IN (SELECT id FROM acme_orders WHERE tenant = ?1 AND account = ?2 ORDER BY id DESC LIMIT ?5)`,
	insertReplacement: `INSERT INTO acme_replacements (tenant, ca, serial, order_id, expires) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	selectReplacement: `SELECT order_id FROM acme_replacements WHERE tenant = ? AND ca = ? AND serial = ?`,
	putWindow: `INSERT INTO renewal_windows (tenant, ca, serial, opens, closes, explanation, expires) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, ca, serial) DO UPDATE SET opens = excluded.opens, closes = excluded.closes, explanation = excluded.explanation`,
	selectWindow: `SELECT opens, closes, explanation, expires FROM renewal_windows WHERE tenant = ? AND ca = ? AND serial = ?`,
	sweepReplacements: `DELETE FROM acme_replacements WHERE (tenant, ca, serial) IN
		(SELECT tenant, ca, serial FROM acme_replacements WHERE expires <= ? ORDER BY expires LIMIT ?)`,
	sweepWindows: `DELETE FROM renewal_windows WHERE (tenant, ca, serial) IN
		(SELECT tenant, ca, serial FROM renewal_windows WHERE expires <= ? ORDER BY expires LIMIT ?)`,

	addRate:    `INSERT INTO acme_rates (tenant, id, counted, expires) VALUES (?, ?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE SET counted = counted + excluded.counted RETURNING counted`,
	sweepRates: `DELETE FROM acme_rates WHERE (tenant, id) IN (SELECT tenant, id FROM acme_rates WHERE expires <= ? ORDER BY expires LIMIT ?)`,

	sweepNonces: `WITH RECURSIVE tenants (tenant) AS (SELECT min(tenant) FROM acme_nonces
			UNION ALL SELECT (SELECT min(n.tenant) FROM acme_nonces n WHERE n.tenant > each.tenant) FROM tenants each WHERE each.tenant IS NOT NULL)
		DELETE FROM acme_nonces WHERE (tenant, id) IN (SELECT n.tenant, n.id FROM tenants each CROSS JOIN acme_nonces n ON n.tenant = each.tenant
			AND n.id < coalesce((SELECT m.id FROM acme_nonces m WHERE m.tenant = each.tenant ORDER BY m.id LIMIT 1 OFFSET ?2), x'ffffffffffffffffffffffffffffffffff')
			AND n.expires <= ?1 LIMIT ?2)`, // of each tenant the first are looked at: ids rise with their expiries (state.Nonce)
	sweepIdempotency: `DELETE FROM idempotency WHERE (tenant, key) IN
		(SELECT tenant, key FROM idempotency WHERE expires <= ? ORDER BY expires LIMIT ?)`,
	endOrders: `UPDATE acme_orders SET status = 'invalid' WHERE (tenant, id) IN
		(SELECT tenant, id FROM acme_orders WHERE status = 'pending' AND status <> 'valid' AND expires <= ? ORDER BY expires LIMIT ?)`,
	removeAuthorizations: `DELETE FROM acme_authorizations WHERE (tenant, order_id) IN (` + removableOrders + `)`,
	removeOrders:         `DELETE FROM acme_orders WHERE (tenant, id) IN (` + removableOrders + `)`,

	removePreauthorizations: `DELETE FROM acme_authorizations WHERE (tenant, id) IN
		(SELECT tenant, id FROM acme_authorizations WHERE order_id IS NULL AND expires <= ? ORDER BY expires LIMIT ?)`,

	beatReplica: `INSERT INTO replicas (id, started, seen, config, schema, version, skew) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET started = excluded.started, seen = excluded.seen, config = excluded.config,
			schema = excluded.schema, version = excluded.version, skew = excluded.skew`,
	selectReplicas: `SELECT id, started, seen, config, schema, version, skew FROM replicas WHERE id > '' AND seen >= ? ORDER BY id`,
	forgetReplicas: `DELETE FROM replicas WHERE id IN (SELECT id FROM replicas WHERE id > '' AND seen < ? LIMIT ?)`,

	findBySerial:    findColumns + `certificates c` + findWhere + findOrder,
	findBySubject:   findColumns + `certificates c INDEXED BY certificates_by_subject` + findWhere + ` AND c.subject = ?11 AND c.subject <> ''` + findOrder,
	findByRequester: findColumns + `certificates c INDEXED BY certificates_by_requester` + findWhere + ` AND c.requester = ?10` + findOrder,
	findByKey:       findColumns + `certificates c INDEXED BY certificates_by_key` + findWhere + ` AND c.key_id = ?12` + findOrder,
	findByName: findColumns + `certificates c` + findWhere + ` AND c.id IN (SELECT certificate FROM sans INDEXED BY sans_by_name
		WHERE tenant = ?1 AND kind = ?15 AND reversed BETWEEN ?16 AND ?17)` + findOrder,
	findByState:      findColumns + `certificates c` + findWhere + ` AND r.state = ?13` + findOrder,
	selectRevocation: `SELECT state, reason, invalid, changed_at FROM revocations WHERE tenant = ? AND ca = ? AND month = ? AND serial = ?`,
	selectAuditByTrace: `SELECT event, actor, trace, detail, at FROM audit INDEXED BY audit_by_trace
		WHERE trace = ?1 AND trace <> '' AND tenant = ?2 ORDER BY id LIMIT ?3`,
	selectAuditBySerial: `SELECT event, actor, trace, detail, at FROM audit INDEXED BY audit_by_serial
		WHERE about = ?1 AND tenant = ?2 ORDER BY id LIMIT ?3`,

	selectStatusPage: `SELECT serial, state, reason, invalid, changed_at, shard FROM revocations
		WHERE tenant = ?1 AND ca = ?2 AND (month, serial) > (?3, ?4) ORDER BY month, serial LIMIT ?5`,
	selectCRLParts: `SELECT part FROM crl_parts WHERE tenant = ? AND ca = ? AND scope = ? AND sha256 = ? ORDER BY n`,
	insertCRLPart:  `INSERT INTO crl_parts (tenant, ca, scope, sha256, n, part) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	putCRLHead: `INSERT INTO crl_heads AS h (tenant, ca, scope, number, position, complete, delta)
		SELECT ?1, ?2, ?3, ?4, ?5, iif(?6 = 0, ?4, 0), iif(?6 = 0, 0, ?4)
			WHERE (SELECT count(*) FROM crl_parts WHERE tenant = ?1 AND ca = ?2 AND scope = ?3 AND sha256 = ?7) = ?8
				AND ?6 <= coalesce((SELECT complete FROM crl_heads WHERE tenant = ?1 AND ca = ?2 AND scope = ?3), 0)
		ON CONFLICT (tenant, ca, scope) DO UPDATE SET number = excluded.number, position = excluded.position,
			complete = max(h.complete, excluded.complete), delta = max(h.delta, excluded.delta)
			WHERE h.number < excluded.number AND h.position <= excluded.position`,
	insertCRL: `INSERT INTO crls (tenant, ca, scope, number, base, position, this_update, next_update, urls, entries, sha256, size, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	dropCRLParts: `DELETE FROM crl_parts WHERE tenant = ?1 AND ca = ?2 AND scope = ?3
		AND sha256 NOT IN (SELECT sha256 FROM crls WHERE tenant = ?1 AND ca = ?2 AND scope = ?3 AND base = 0 ORDER BY number DESC LIMIT ?4)
		AND sha256 NOT IN (SELECT sha256 FROM crls WHERE tenant = ?1 AND ca = ?2 AND scope = ?3 AND base > 0 ORDER BY number DESC LIMIT ?4)`,
	selectCRLHeads: `SELECT tenant, ca, scope, number, position, complete, delta FROM crl_heads ORDER BY tenant, ca, scope`,
	selectCRL: `SELECT base, position, this_update, next_update, urls, entries, sha256, size FROM crls
		WHERE tenant = ? AND ca = ? AND scope = ? AND number = ?`,
	selectFeedEnd: `SELECT coalesce(max(position), 0) FROM status_feed`,

	selectMonths:  `SELECT month, NULL, NULL, 0 FROM months WHERE month > 0`,
	selectDropped: `SELECT month, dropped_at, cleared_at, certificates FROM dropped_months WHERE month > 0`,
	selectMonth:   `SELECT month, dropped_at, cleared_at, certificates FROM dropped_months WHERE month = ?`,
	// The next CA that has certificates, by a step down the key, however many they are.
	nextCA:     `SELECT tenant, ca FROM certificates WHERE (tenant, ca) > (?, ?) ORDER BY tenant, ca LIMIT 1`,
	countMonth: `SELECT count(*) FROM certificates WHERE tenant = ? AND ca = ? AND month = ?`,
	inMonth:    `SELECT 1 FROM certificates WHERE tenant = ? AND ca = ? AND month = ? LIMIT 1`,
	selectNewest: `SELECT h.scope, l.this_update, l.next_update FROM crl_heads h
		JOIN crls l ON l.tenant = h.tenant AND l.ca = h.ca AND l.scope = h.scope AND l.number = h.complete
		WHERE h.tenant = ? AND h.ca = ? AND h.scope GLOB 'g[0-9]*' ORDER BY h.scope`,
	dropMonth:         `INSERT INTO dropped_months (month, certificates, dropped_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
	clearSANs:         `DELETE FROM sans WHERE certificate IN (` + someOfMonth + `)`,
	clearDecisions:    `DELETE FROM decisions WHERE certificate IN (` + someOfMonth + `)`,
	clearCertificates: `DELETE FROM certificates WHERE id IN (` + someOfMonth + `)`,
	forgetMonth:       `DELETE FROM months WHERE month = ?`,
	clearedMonth:      `UPDATE dropped_months SET cleared_at = ? WHERE month = ?`,
}))
