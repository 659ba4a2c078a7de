// Package est is the EST door (RFC 7030, with the corrections of RFC 8951): bytes
// in, ca.Request out. It gives CA certificates (RFC 7030 section 4.1), enrolls
// (4.2.1) and re-enrolls (4.2.2), and tells what a request must hold (4.5, RFC
// 9908). Where an endpoint switches it on, it hands out keys that are made here
// (4.4), and where the CA has a registration authority it speaks full CMC (4.3, RFC
// 5272). It decides nothing about certificates.
//
// A client shows a user name and password by HTTP Basic, a certificate that was
// issued here, or a device certificate below a configured root, as the policy of
// the endpoint says. A re-enrollment is by the certificate that it renews, whose
// status is looked up each time, and keeps its subject and names.
//
// What a client sends is read in every form that is deployed: base64 in lines or
// in one, PEM, DER. What it gets has one form.
//
// Left out are EST over CoAP (RFC 9148); client authentication after the handshake
// or by HTTP Digest (3.2.3). Of CMC: requests in CRMF (RFC 5272 section 3.2.1.2.2),
// more than one request in a message, messages in messages, unsigned messages
// (appendix C.1), and every control but transactionId, senderNonce, dataReturn,
// regInfo and queryPending; who asks is found out by TLS and HTTP alone.
package est
