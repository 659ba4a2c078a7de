// Package scep is the SCEP door (RFC 8894, and what clients of
// draft-nourse-scep-23 still do): bytes in, ca.Request out. It tells what it can
// (GetCACaps), gives CA certificates (GetCACert, GetNextCACert), enrolls
// (PKCSReq), renews (RenewalReq, and a PKCSReq that a certificate of ours signed),
// says what became of a request (CertPoll), and finds certificates and lists
// (GetCert, GetCRL). It decides nothing about certificates.
//
// A message is signed by its sender and encrypted to the registration authority
// of the CA, which is a service of its own with a key of its own. Types of
// messages that are not listed are refused before anything else is looked at,
// and everything that goes wrong between the ciphertext and a request whose key
// signed the message is answered in one way after the same operations.
//
// Algorithms are answered in kind: the reply has the cipher and the digest of the
// request, where the endpoint's floor grants them.
//
// Left out are the answers of a CA without a registration authority (clients
// would encrypt to the CA's own key, which signs and does nothing else), UpdateReq
// of the old drafts, and Intune's and MDM's challenges, whose addresses are not
// served.
package scep
