package sqlite

// Columns as the scanners of their rows read them.
const (
	accountColumns       = `tenant, endpoint, id, status, key, thumbprint, contact, terms_agreed, created_at, agreed, external, preauthorized, former`
	orderColumns         = `tenant, endpoint, id, account, status, identifiers, authorizations, not_before, not_after, created_at, expires, certificate, ca, serial, error, profile, replaces`
	authorizationColumns = `tenant, endpoint, id, account, identifier, wildcard, status, created_at, expires, challenges`

	credentialColumns = `tenant, id, kind, door, profile, endpoints, bindings, secret, granted, uses, expires, created_at, revoked_at`
	checkpointColumns = `number, chain, seq, hash, rows, at, prev, key, signature`
)

// someOfMonth picks the same certificates every time it runs in one transaction.
const someOfMonth = `SELECT id FROM certificates WHERE tenant = ? AND ca = ? AND month = ? ORDER BY serial LIMIT ?`

// preauthorizationOf picks the authorizations without an order of an account (?2)
// of an endpoint (?3) that count at a time (?4).
const preauthorizationOf = `tenant = ?1 AND account = ?2 AND order_id IS NULL AND endpoint = ?3 AND status = 'valid' AND expires > ?4 AND id > ''`

// removableOrders picks the same orders every time it runs in one transaction.
const removableOrders = `SELECT tenant, id FROM acme_orders WHERE status = 'invalid' AND status <> 'valid' AND expires <= ?
	ORDER BY expires, tenant, id LIMIT ?`

// readStatements are those that the read pool prepares.
var readStatements = []query{selectCertificate, selectIdempotency, selectDecision, selectFeed, selectProfile, selectOutbox, selectCredential, selectCredentialByLookup, selectCredentials, selectDataKeys,
	selectOrdersOf, selectPreauthorizations, selectHeldAuthorizations,
	selectUncovered, selectLastCheckpoint, selectAuditKeys,
	selectGenerations, selectActivations, selectServices, selectAccount, selectAccountByKey, selectOrder, selectOrderByCertificate, selectAuthorization, selectAuthorizations,
	selectReplacement, selectWindow,
	selectReplicas,
	findBySerial, findBySubject, findByRequester, findByKey, findByName, findByState, selectRevocation, selectAuditByTrace, selectAuditBySerial,
	selectStatusPage, selectFeedEnd, selectCRLParts, selectCRLHeads, selectCRL, selectMonths, selectDropped, selectMonth, nextCA, countMonth, inMonth, selectNewest,
	selectPending, selectPendingTransaction, selectPendingPage, selectPendingApproved, selectPendingOverdue, countPending, selectSuperseded, selectReply}
