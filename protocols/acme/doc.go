// Package acme is the ACME door (RFC 8555): bytes in, ca.Request out. It
// authenticates accounts by their JWS, keeps orders and authorizations in its
// state.Store, has identifiers validated, and hands what was proven to the
// core as claims. It decides nothing about certificates.
//
// A directory is an endpoint: one tenant, CA and profile each, with its own
// accounts. Every reply, errors included, carries a fresh Replay-Nonce
// (section 6.5).
//
// Names are proven by http-01 (section 8.3), dns-01 (8.4) or tls-alpn-01 (RFC
// 8737), wildcard names by dns-01 and its likes alone; they may be proven before an
// order (section 7.4.1), and where the endpoint says so by a name above them (RFC
// 9444). Where the configuration names them there are dns-account-01
// (draft-ietf-acme-dns-account-label-03), dns-persist-01
// (draft-ietf-acme-dns-persist-02 or -00) and, for devices, device-attest-01
// (draft-ietf-acme-device-attest-10). Certificates
// are revoked (7.6) by the account that they were issued to, by one that holds
// authorizations for all their names, or by their own key.
//
// Accounts change their key (7.3.5), list their orders (7.1.2.1), agree to terms
// of service (7.3.3) and may be bound to an external account (7.3.4).
package acme
