// Package probe enrolls as a client does, through the network alone, and holds
// what it got against what relying parties will hold it against: the path to the
// trust anchor, key, names and validity (RFC 5280 section 6.1), the OCSP answer
// (RFC 6960, RFC 5019) and the CRL that the certificate names (RFC 5280 section
// 6.3). Each step is timed, so that a run is a smoke test and a row of runs a canary.
//
// It knows nothing that a client does not know: no store, no key, no core. A door
// is one implementation of Door; there are ACME (RFC 8555), with http-01 and
// tls-alpn-01 (RFC 8737), and EST (RFC 7030), with cacerts, csrattrs, simpleenroll
// by HTTP Basic and simplereenroll by certificate, and SCEP (RFC 8894), with GetCACaps,
// GetCACert, PKCSReq by challengePassword and RenewalReq. Left out: dns-01, identifiers that are no DNS
// names, device certificates, channel binding, OCSP answers by GET, stapling, delta CRLs, and
// OCSP answers signed with Ed25519.
package probe
