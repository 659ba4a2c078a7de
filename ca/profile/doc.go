// Package profile says what may be issued to whom: a written profile (the YAML
// block an operator reads and edits) is compiled once, at load, into a
// validated Profile, which turns requests into decisions.
//
// Deciding is pure: no I/O, no clock but the one handed in, no randomness. The
// same request under the same profile gives the same decision, so decisions
// can be fuzzed, replayed and run offline.
//
// What a certificate says comes from claims and from the profile's constants.
// A value that is only asserted gets in where the profile grants exactly that,
// and the decision record says so (RFC 5280 section 4 for the fields, RFC 6125
// for what a subject's CN may repeat).
//
// Names of every type but x400Address and ediPartyName are issued, proven or on
// a requester's word where the profile grants that; otherName, directoryName
// and registeredID are copied octet for octet. docs/profiles.md explains every key.
//
// Left out: noRevAvail (RFC 9608), nameConstraints but as a constant extension,
// private key usage periods, Debian's list of weak keys. Approval, renewal and
// uniqueness are stated in the decision; who acts on them is the core.
package profile
