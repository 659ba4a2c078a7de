// Package claim says what was proven about the subject of a certificate: opaque
// values that only a verifier can make, from evidence it has checked. The
// certificate is built from claims; what a request merely asserts is not one.
package claim

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Kind says what a claim is about.
type Kind string

// Kinds that are names of a certificate.
const (
	DNS      Kind = "dns"      // a dNSName, lower-case A-labels, may start with "*."
	IP       Kind = "ip"       // an iPAddress
	Email    Kind = "email"    // an rfc822Name, a bare ASCII mailbox
	URI      Kind = "uri"      // a uniformResourceIdentifier
	UPN      Kind = "upn"      // a Microsoft user principal name
	Hardware Kind = "hardware" // a hardware module name (RFC 4108 section 5): TYPE/SERIAL

	Permanent Kind = "permanent" // a permanent identifier (RFC 4043): VALUE or VALUE/ASSIGNER
)

// Kinds that are facts about the holder: they get into a certificate where a
// profile uses them as a variable, or in an extension.
const (
	SID       Kind = "sid"       // a Windows security identifier, from a directory alone
	Serial    Kind = "serial"    // the serial number of a device
	Principal Kind = "principal" // who authenticated: a user or host principal
	Directory Kind = "directory" // one directory attribute, KEY=VALUE
	Attested  Kind = "attested"  // one property of a device that its attestation states, KEY=VALUE
)

// Kinds lists every Kind.
func Kinds() []Kind {
	return []Kind{DNS, IP, Email, URI, UPN, Hardware, Permanent, SID, Serial, Principal, Directory, Attested}
}

// Method says how a claim was verified.
type Method string

const (
	HTTP01    Method = "http-01"     // RFC 8555 section 8.3, RFC 8738 section 4
	DNS01     Method = "dns-01"      // RFC 8555 section 8.4
	TLSALPN01 Method = "tls-alpn-01" // RFC 8737, RFC 8738 section 6

	DNSAccount01   Method = "dns-account-01"   // draft-ietf-acme-dns-account-label
	DNSPersist01   Method = "dns-persist-01"   // draft-ietf-acme-dns-persist
	DeviceAttest01 Method = "device-attest-01" // draft-ietf-acme-device-attest

	Service Method = "service" // the configuration of the daemon itself

	// Credential is what a checked enrollment credential was given for. It proves
	// facts; names are limited by its patterns, and proven by other methods.
	Credential Method = "credential"

	// Certificate is a verified client certificate: an IDevID, or the unrevoked
	// certificate of ours that is renewed.
	Certificate Method = "certificate"

	// Profiles can name this already. No door verifies it yet, so the closed
	// table has no row for it and the core refuses it.
	DirectoryEntry Method = "directory" // the entry of an authenticated principal in a directory
)

// Methods lists every Method.
func Methods() []Method {
	return []Method{HTTP01, DNS01, TLSALPN01, DNSAccount01, DNSPersist01, DeviceAttest01, Service, DirectoryEntry, Credential, Certificate}
}

// Wildcards tells whether a challenge proves names that begin with the wildcard
// label, and the names below a name: one whose record the zone holds (RFC 8555
// section 7.1.3, RFC 9444 section 4).
func (m Method) Wildcards() bool { return m == DNS01 || m == DNSAccount01 || m == DNSPersist01 }

// Claim is one proven fact. The zero value is refused by the core.
type Claim struct{ f *fact }

type fact struct {
	kind      Kind
	name      pkix.GeneralName // of the kinds that are names
	door      caller.Door
	method    Method
	reference string
	owner     string // caller id the proof belongs to
	at, until time.Time
	text      string // of the other kinds
}

// Verified tells whether this claim was made from evidence.
func (c Claim) Verified() bool { return c.f != nil }

// Kind is what the claim is about.
func (c Claim) Kind() Kind { return c.f.kind }

// IsName tells whether the claim is a name of the certificate.
func (c Claim) IsName() bool { return c.f.text == "" }

// Name is the claim as a general name; the zero one where IsName is false.
func (c Claim) Name() pkix.GeneralName { return c.f.name }

// Text is the claim without the word for its kind: the name as
// pkix.GeneralName.Text prints it, or the fact itself.
func (c Claim) Text() string {
	if c.f.text != "" {
		return c.f.text
	}
	text, _ := c.f.name.Text()
	return text
}

// Key identifies the claimed value among those of its kind.
func (c Claim) Key() string {
	if c.f.text != "" {
		return c.f.text
	}
	return c.f.name.Key()
}

// Door is where the claim was verified.
func (c Claim) Door() caller.Door { return c.f.door }

// Method is how it was verified.
func (c Claim) Method() Method { return c.f.method }

// Owner is the id of the caller the proof belongs to.
func (c Claim) Owner() string { return c.f.owner }

// Until is when the proof stops counting.
func (c Claim) Until() time.Time { return c.f.until }

// Source says in one phrase where the claim comes from, for the decision record:
// `http-01 authorization ID at TIME`.
func (c Claim) Source() string {
	if c.f == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s %s at %s", c.f.method, c.f.reference, c.f.at.UTC().Format(time.RFC3339))
}

func (c Claim) String() string {
	if c.f == nil {
		return "no claim"
	}
	if c.f.text != "" {
		return string(c.f.kind) + ":" + c.f.text
	}
	return c.f.name.String()
}

// Verifier is a door's right to make claims; see caller.Verifier.
type Verifier struct{ door caller.Door }

// NewVerifier is called by cmd only; an architecture test keeps it so.
func NewVerifier(d caller.Door) Verifier { return Verifier{door: d} }

// ServiceName is the evidence that configuration gives the daemon's own
// certificate a name: a DNS name or an IP address.
type ServiceName struct {
	Owner string // caller id of the service
	DNS   string
	IP    netip.Addr
	At    time.Time
}

// FromServiceName makes a claim for the daemon's own certificate.
func FromServiceName(v Verifier, ev ServiceName) (Claim, error) {
	if v.door != caller.System {
		return Claim{}, fmt.Errorf("claim: a verifier of door %q cannot make a service claim", v.door)
	}
	if ev.Owner == "" || ev.At.IsZero() || (ev.DNS == "") == !ev.IP.IsValid() {
		return Claim{}, errors.New("claim: service evidence is incomplete: one of DNS and IP")
	}
	f := &fact{door: v.door, method: Service, reference: "configuration", owner: ev.Owner, at: ev.At, until: ev.At.Add(time.Hour)}
	if ev.IP.IsValid() {
		f.kind, f.name = IP, pkix.IP(ev.IP)
		return Claim{f}, nil
	}
	if err := CheckDNSName(ev.DNS); err != nil {
		return Claim{}, err
	}
	f.kind, f.name = DNS, pkix.DNS(ev.DNS)
	return Claim{f}, nil
}
