// Package ca is the core of Enrollgate: the nouns every door speaks (Request,
// Decision, Effect, Certificate, Error) and the Authority that takes a request
// through decide, lint, sign and record.
//
// The package knows no wire protocol, no SQL and no HTTP. What it needs from
// the outside (a policy that decides, a linter, an issuer that signs, a ledger
// that remembers) are interfaces declared here, where they are used.
package ca
