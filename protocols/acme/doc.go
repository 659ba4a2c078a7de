// Package acme is the ACME door (RFC 8555): bytes in, ca.Request out. It
// authenticates accounts by their JWS, keeps orders and authorizations in its
// state.Store, has identifiers validated, and hands what was proven to the
// core as claims. It decides nothing about certificates.
//
// A directory is an endpoint: one tenant, CA and profile each, with its own
// accounts. Every reply, errors included, carries a fresh Replay-Nonce
// (section 6.5).
//
// Names are proven by http-01 (section 8.3) or dns-01 (8.4), wildcard names by
// dns-01 alone. Certificates are revoked (7.6) by the account that they were
// issued to, or by their own key.
//
// Left out so far, and therefore not advertised: keyChange (section 7.3.5),
// newAuthz (7.4.1), the orders list (7.1.2.1), external account binding (7.3.4),
// and revocation by an account that holds authorizations for every name (7.6).
package acme
