// Package pkix holds the X.509 nouns as raw bytes: names, general names,
// extensions, public keys, signature algorithms, PKCS#10 requests, and the
// encoder that turns a template into to-be-signed bytes (RFC 5280, RFC 2986).
//
// Values are kept as DER wherever Go's crypto/x509 would drop something:
// string types and their order in names, multi-valued RDNs, otherName,
// directoryName and registeredID. Everything read here may be hostile; parsing
// is done with cryptobyte and bounded in count.
//
// Left out: attribute certificates, proxy certificates, unique identifiers
// (RFC 5280 section 4.1.2.8), DSA, RSA-PSS signatures by a CA.
package pkix
