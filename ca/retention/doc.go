// Package retention drops the certificates of expiry months that ended longer
// ago than the configuration keeps them, with their names and decisions.
//
// A month goes only after every CA that has certificates in it has published a
// complete list of each of its scopes since the month ended (RFC 5280 section
// 3.3); the store holds that guard, not this package. Revocations, the status
// feed, blocked keys and the audit trail are never dropped: a revoked
// certificate stays revoked in OCSP answers and may come back onto a CRL, and
// any other one of the month is unknown from then on.
package retention
