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
// Left out so far: policy qualifiers, name constraints, noRevAvail (RFC 9608),
// otherName and directoryName copied raw from a request, approval by hand.
package profile
