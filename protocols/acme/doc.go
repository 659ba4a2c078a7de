// Package acme is the ACME door (RFC 8555): bytes in, ca.Request out. It
// authenticates accounts by their JWS, keeps orders and authorizations in its
// state.Store, has identifiers validated, and hands what was proven to the
// core as claims. It decides nothing about certificates.
//
// A directory is an endpoint: one tenant, CA and profile each, with its own
// accounts. Every reply, errors included, carries a fresh Replay-Nonce
// (section 6.5).
//
// Left out so far, and therefore not advertised: revokeCert (section 7.6),
// keyChange (7.3.5), newAuthz (7.4.1), the orders list (7.1.2.1), external
// account binding (7.3.4), dns-01 (8.4) and with it wildcard names.
package acme
