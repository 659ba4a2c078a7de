package ca

import (
	"net/netip"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Operation says what a request wants.
type Operation string

const (
	Enroll Operation = "enroll" // a first certificate, or one without reference to an earlier one
	Renew  Operation = "renew"  // same subject, same key
	Rekey  Operation = "rekey"  // same subject, new key
	KeyGen Operation = "keygen" // the key is made by us; with Renews, the certificate in its place is renewed
)

// Request is one enrollment, whatever the wire it came over. Doors fill it in
// and decide nothing: claims are what was proven, Asserted is what was only said.
type Request struct {
	Trace      string     // trace id, 10 Crockford base32 characters
	Client     netip.Addr // where the request came from, for the audit trail; the zero Addr where nobody knows
	Endpoint   string     // endpoint id; it fixes tenant, CA, profile and authentication policy
	Operation  Operation
	Caller     caller.Caller
	Possession claim.Possession // the public key and how its possession was shown
	Claims     []claim.Claim
	Asserted   Asserted
	Renews     *Renewal // what a renewal or rekey replaces; nil otherwise

	// Transaction is the protocol's own transaction id (ACME: the order id).
	// Where a protocol has none it stays empty and the digest takes its place.
	Transaction string
	// Window is how long the same transaction gets the recorded answer again.
	Window time.Duration

	// InPlaceOfKey is what a repeated KeyGen request has in common with the first:
	// the key is another one each time. It stands in the place of the key in the
	// digest of the request. Empty for every other operation.
	InPlaceOfKey []byte

	// Spent says that the caller's credential has no use left: the answer that the
	// same request got before is found, and nothing new is signed.
	Spent bool

	// Effects are committed together with the certificate, or not at all.
	Effects []Effect
	// Parked are committed in their place where the request is parked for an
	// operator's approval; the door's Completion makes those of its end.
	Parked []Effect
}

// Asserted is what the requester merely said. A value gets into a certificate
// only where the profile grants exactly that.
type Asserted struct {
	Subject    pkix.RawName       // nil or EmptyName: none
	AltNames   []pkix.GeneralName // in the order asked
	Extensions []pkix.Extension   // other requested extensions, raw; subjectAltName is in AltNames
	NotBefore  time.Time          // zero: not asked
	NotAfter   time.Time          // zero: not asked
}

// Renewal names the certificate that a renewal replaces. It is proven by the
// full certificate and possession of its key, never by serial alone. An ACME
// account proves the names of each certificate anew, and names the old one
// (RFC 9773 section 5): it must be the account's own, and lends the request nothing.
type Renewal struct {
	Certificate []byte           // DER, as presented
	Possession  claim.Possession // of its key; zero: the requester is whom it was issued to

	// Recorded is the core's: whatever a door writes there is not looked at.
	Recorded *Renewed
}

// Renewed is what is recorded of the certificate that a request renews: what a
// policy decides about the renewal from.
type Renewed struct {
	Certificate Certificate
	Subject     pkix.RawName
	AltNames    []pkix.GeneralName
	Shown       bool      // possession of its key was shown: the request may rest on it
	Evidence    string    // how it is known to be the requester's
	Asked       time.Time // when the renewal was asked for
	Wanted      time.Time // from when an operator wants it renewed (RenewalWindow); zero: nobody said
}

// Decision is what a profile says about a request: every field of the
// certificate that policy controls, each with the place it came from.
type Decision struct {
	Profile     string   // profile id
	ProfileHash [32]byte // of the validated profile's canonical text, which the store keeps
	Subject     pkix.RawName
	NotBefore   time.Time // whole seconds, UTC
	NotAfter    time.Time
	Extensions  []pkix.Extension // complete and in encoding order
	AltNames    []pkix.GeneralName
	Fields      []Field

	Manual  bool         // an operator must approve before anything is signed
	Renewal RenewalTerms // zero: the profile says nothing of renewal

	Replaces       Serial // of the certificate that this one renews, of the same CA; zero: none
	RevokeReplaced bool   // that one is revoked, reason superseded, once Renewal.Overlap has passed

	Unique []Unique // what no other valid certificate may have
}

// RenewalTerms say how a certificate may be renewed by whoever shows that
// certificate and holds its key.
type RenewalTerms struct {
	From, Until      time.Time     // a renewal is taken from From until Until, which may lie after the certificate's end
	Overlap          time.Duration // how long the old certificate stays valid beside the new one
	RevokeSuperseded bool          // the old one is revoked, reason superseded, after Overlap
}

// What can be unique, and within what.
const (
	UniqueSubject = "subject"
	UniqueSAN     = "san"
	UniqueKey     = "key"

	WithinProfile = "profile"
	WithinCA      = "ca"
	WithinTenant  = "tenant"
)

// Unique is one thing that only one valid certificate may have at a time;
// renewals count as the certificate that they replace.
type Unique struct {
	What, Scope string
	Value       [32]byte // of tenant, scope and what is unique: equal values are in each other's way
	Of          string   // what it is the value of, for a refusal: "dns:host.example"; may be empty
}

// NotUnique is the refusal of a certificate under a profile when another valid
// one has what it must have alone. It does not say which one has it.
func NotUnique(profile string, u *Unique) *Error {
	where := map[string]string{WithinProfile: "under this profile", WithinCA: "of this CA", WithinTenant: "of this tenant"}[u.Scope]
	what := map[string]string{UniqueSubject: "subject", UniqueSAN: "name", UniqueKey: "key"}[u.What]
	err := Errorf(Denied, "another valid certificate %s has the same %s already: renew that one, or have it revoked", where, what)
	err.Field, err.Rule = u.Of, "profile "+profile+" unique."+u.What
	if err.Field == "" {
		err.Field = u.What
	}
	return err
}

// Field is one line of the decision record.
type Field struct {
	Name   string `json:"field"`            // "subject.CN", "san.dns", "key_usage", "validity.not_after", ...
	Value  string `json:"value"`            // as printed for people
	Source string `json:"source"`           // "profile NAME", "http-01 authorization ID at TIME", "asserted, granted by subject.cn", ...
	Note   string `json:"note,omitempty"`   // what was dropped or changed, and by which rule
	Denied bool   `json:"denied,omitempty"` // dry runs record what was refused
}

// Endpoint is one door bound to tenant, CA, profile and exactly one
// authentication policy.
type Endpoint struct {
	ID       string
	Door     caller.Door
	Tenant   string
	CA       string
	Profile  string
	Policies [][]caller.Method // alternatives; each is a set of methods that must all hold

	// Of is the id of the endpoint that this is a variant of, with another
	// profile: callers are authenticated there, and records name that one.
	// Empty for an endpoint of its own.
	Of string
}

// Recorded is the id of the endpoint in records.
func (e *Endpoint) Recorded() string {
	if e.Of != "" {
		return e.Of
	}
	return e.ID
}
