package sqlite

const pendingColumns = `tenant, id, state, door, endpoint, ca, profile, requester, operation, transaction_id, trace, subject, names, key, key_hash,
	created_at, expires, decided_at, decided_by, reason, serial, kind`

// approvalStatements are those of what is unique, of requests that wait for an
// operator, and of certificates that were superseded.
var approvalStatements = map[query]string{
	// What is unique is taken from nobody, or from who no longer stands in the way.
	takeUnique: `INSERT INTO unique_values AS u (tenant, value, ca, month, serial, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (tenant, value) DO UPDATE SET ca = excluded.ca, month = excluded.month, serial = excluded.serial, expires = excluded.expires
		WHERE u.expires < ?7 OR u.ca = ?3 AND u.serial = ?8
			OR EXISTS (SELECT 1 FROM revocations r WHERE r.tenant = u.tenant AND r.ca = u.ca AND r.month = u.month AND r.serial = u.serial AND r.state = 'revoked')`,
	sweepUnique: `DELETE FROM unique_values WHERE (tenant, value) IN (SELECT tenant, value FROM unique_values WHERE expires < ? ORDER BY expires LIMIT ?)`,

	insertPending: `INSERT INTO pending_requests (tenant, id, state, door, endpoint, ca, profile, requester, operation, transaction_id, trace, subject, names,
		key, key_hash, created_at, expires, sealed, idempotency, digest, replay) VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	selectPending: `SELECT ` + pendingColumns + `, sealed, approval FROM pending_requests WHERE tenant = ? AND id = ?`,
	selectPendingTransaction: `SELECT ` + pendingColumns + `, sealed, approval FROM pending_requests
		WHERE tenant = ? AND endpoint = ? AND transaction_id = ? AND transaction_id <> '' ORDER BY id DESC LIMIT 1`,
	selectPendingKey:      `SELECT id, digest, ended_at IS NULL OR ended_at + replay > ? FROM pending_requests WHERE tenant = ? AND idempotency = ?`,
	freePendingKey:        `UPDATE pending_requests SET idempotency = NULL WHERE tenant = ? AND idempotency = ?`,
	selectPendingPage:     `SELECT ` + pendingColumns + `, x'', NULL FROM pending_requests WHERE tenant = ? AND state = ? AND id > ? ORDER BY id LIMIT ?`,
	selectPendingApproved: `SELECT ` + pendingColumns + `, sealed, approval FROM pending_requests WHERE state = 'approved' AND state IN ('pending', 'approved') ORDER BY expires, tenant, id LIMIT ?`,
	selectPendingOverdue: `SELECT ` + pendingColumns + `, sealed, approval FROM pending_requests WHERE state = 'pending' AND state IN ('pending', 'approved') AND expires <= ?
		ORDER BY expires, tenant, id LIMIT ?`,
	countPending: `SELECT tenant, count(*) FROM pending_requests WHERE state = 'pending' AND state IN ('pending', 'approved') GROUP BY tenant`,
	settlePending: `UPDATE pending_requests SET state = ?4, decided_at = CASE WHEN ?5 = '' THEN decided_at ELSE ?6 END,
			decided_by = CASE WHEN ?5 = '' THEN decided_by ELSE ?5 END, reason = CASE WHEN ?7 = '' THEN reason ELSE ?7 END,
			approval = coalesce(?8, approval), kind = ?9, ended_at = CASE WHEN ?4 = 'approved' THEN NULL ELSE ?6 END
		WHERE tenant = ?1 AND id = ?2 AND state = ?3 AND (?4 <> 'approved' OR expires > ?6) AND (?4 <> 'expired' OR expires <= ?6)`,
	issuePending: `UPDATE pending_requests SET state = 'issued', serial = ?, ended_at = ? WHERE tenant = ? AND id = ? AND ca = ? AND state = 'approved'`,
	sweepPending: `DELETE FROM pending_requests WHERE (tenant, id) IN
		(SELECT tenant, id FROM pending_requests WHERE ended_at IS NOT NULL AND ended_at <= ?1 AND ended_at + replay <= ?2 ORDER BY ended_at LIMIT ?3)`,

	// An order that waits for an operator: it was ready when its request was parked.
	parkOrder: `UPDATE acme_orders AS o SET status = 'processing', expires = max(expires, ?1)
		WHERE tenant = ?2 AND id = ?3 AND endpoint = ?4 AND status = 'pending' AND expires > ?5
			AND EXISTS (SELECT 1 FROM acme_authorizations a WHERE a.tenant = o.tenant AND a.order_id = o.id)
			AND NOT EXISTS (SELECT 1 FROM acme_authorizations a WHERE a.tenant = o.tenant AND a.order_id = o.id
				AND (a.status <> 'valid' OR a.expires <= ?5))
			AND EXISTS (SELECT 1 FROM acme_accounts c WHERE c.tenant = o.tenant AND c.id = o.account AND c.endpoint = o.endpoint AND c.status = 'valid'
				AND c.thumbprint = ?6)`,
	finishParkedOrder: `UPDATE acme_orders AS o SET status = 'valid', certificate = ?1, ca = ?2, serial = ?3
		WHERE tenant = ?4 AND id = ?5 AND endpoint = ?6 AND status = 'processing'
			AND NOT EXISTS (SELECT 1 FROM acme_authorizations a WHERE a.tenant = o.tenant AND a.order_id = o.id AND a.status <> 'valid')
			AND EXISTS (SELECT 1 FROM acme_accounts c WHERE c.tenant = o.tenant AND c.id = o.account AND c.endpoint = o.endpoint AND c.status = 'valid')`,
	rejectOrder: `UPDATE acme_orders SET status = 'invalid', error = ? WHERE tenant = ? AND id = ? AND endpoint = ? AND status = 'processing'`,

	putSuperseded:    `INSERT INTO superseded (tenant, ca, month, serial, successor, due, expires) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	strikeSuperseded: `DELETE FROM superseded WHERE tenant = ? AND ca = ? AND serial = ?`,
	selectSuperseded: `SELECT tenant, ca, serial, successor, due FROM superseded WHERE due <= ?1 AND expires > ?1 ORDER BY due LIMIT ?2`,
	sweepSuperseded: `DELETE FROM superseded WHERE (tenant, ca, serial) IN (SELECT s.tenant, s.ca, s.serial FROM superseded s WHERE s.due <= ?1
		AND (s.expires <= ?1 OR EXISTS (SELECT 1 FROM revocations r WHERE r.tenant = s.tenant AND r.ca = s.ca AND r.month = s.month AND r.serial = s.serial
			AND r.state = 'revoked')) ORDER BY s.due LIMIT ?2)`,
}

// joined puts the statements of a part into the list of all.
func joined(part map[query]string, all [queries]string) [queries]string {
	for q, text := range part {
		all[q] = text
	}
	return all
}
