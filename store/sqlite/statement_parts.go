package sqlite

// someOfMonth picks the same certificates every time it runs in one transaction.
const someOfMonth = `SELECT id FROM certificates WHERE tenant = ? AND ca = ? AND month = ? ORDER BY serial LIMIT ?`

// preauthorizationOf picks the authorizations without an order of an account (?2)
// of an endpoint (?3) that count at a time (?4).
const preauthorizationOf = `tenant = ?1 AND account = ?2 AND order_id IS NULL AND endpoint = ?3 AND status = 'valid' AND expires > ?4 AND id > ''`

// removableOrders picks the same orders every time it runs in one transaction.
const removableOrders = `SELECT tenant, id FROM acme_orders WHERE status = 'invalid' AND status <> 'valid' AND expires <= ?
	ORDER BY expires, tenant, id LIMIT ?`

// readStatements are those that the read pool prepares.
var readStatements = []query{selectCertificate, selectDecision, selectFeed, selectProfile, selectOutbox, selectCredential, selectCredentialByLookup, selectCredentials, selectDataKeys,
	selectOrdersOf, selectPreauthorizations, selectHeldAuthorizations,
	selectUncovered, selectLastCheckpoint, selectAuditKeys,
	selectGenerations, selectActivations, selectServices, selectAccount, selectAccountByKey, selectOrder, selectOrderByCertificate, selectAuthorization, selectAuthorizations,
	selectReplacement, selectWindow,
	selectReplicas,
	findBySerial, findBySubject, findByRequester, findByKey, findByName, findByState, selectRevocation, selectAuditByTrace, selectAuditBySerial,
	selectStatusPage, selectFeedEnd, selectCRLParts, selectCRLHeads, selectCRL, selectMonths, selectDropped, selectMonth, nextCA, countMonth, inMonth, selectNewest,
	selectPending, selectPendingPage, selectPendingApproved, selectPendingOverdue, countPending, selectSuperseded}
