// Package caller says who asks: an opaque value that only a verifier can make,
// from evidence it has checked. The zero Caller is nobody and is refused by the
// core. Nothing here parses a wire format.
package caller

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Door names where a request came in.
type Door string

// The doors. System is the daemon itself (its own service certificates);
// Operator is the administrative socket and command line.
const (
	ACME     Door = "acme"
	EST      Door = "est"
	SCEP     Door = "scep"
	CMP      Door = "cmp"
	WSTEP    Door = "wstep"
	System   Door = "system"
	Operator Door = "operator"
)

// Doors lists every Door, for table tests and configuration.
func Doors() []Door { return []Door{ACME, EST, SCEP, CMP, WSTEP, System, Operator} }

// Method says how a caller was authenticated. An endpoint's authentication
// policy is written in these words.
type Method string

const (
	// ACMEAccount is a JWS by the key of a valid account (RFC 8555 section 6.2).
	ACMEAccount Method = "acme-account"
	// ExternalAccount is an account that was made with the key of an external
	// account (RFC 8555 section 7.3.4). It holds beside ACMEAccount, never alone.
	ExternalAccount Method = "eab"
	// ServiceItself is the daemon acting for its own service certificates.
	ServiceItself Method = "service"
	// LocalOperator is an operator known by the credentials of a local socket or process.
	LocalOperator Method = "local-operator"
	// CertificateKey is a signature by the key of an issued certificate, which may
	// revoke that certificate and nothing else (RFC 8555 section 7.6).
	CertificateKey Method = "certificate-key"
	// Password is a user name and password of the registry of credentials, by HTTP
	// Basic (RFC 7617). With a credential that can be used once, it is an enrollment code.
	Password Method = "password"
	// Certificate is a client certificate that was issued here: it renews itself.
	Certificate Method = "certificate"
	// DeviceCertificate is a client certificate below a configured root, such as
	// an IDevID that a device was made with (IEEE 802.1AR).
	DeviceCertificate Method = "device-certificate"
	// SCEPSecret is a challenge password of the registry of credentials, as a rule
	// good once (RFC 8894 section 7.3).
	SCEPSecret Method = "scep-secret"
	// StaticSCEPSecret is the one challenge password of an endpoint, which every
	// device there has.
	StaticSCEPSecret Method = "static-scep-secret"
	// Unauthenticated is nothing at all but an address that is let in.
	Unauthenticated Method = "unauthenticated"
	// RequestKey is a signature by the key that a request waits for a certificate
	// for, which may ask what became of it and nothing else (RFC 8894 section 3.3.3).
	RequestKey Method = "request-key"
)

// Methods lists every Method that an endpoint's policy can name, with the doors
// that can verify it. CertificateKey and RequestKey are not among them: they
// enroll nobody.
func Methods() map[Method][]Door {
	return map[Method][]Door{ACMEAccount: {ACME}, ExternalAccount: {ACME}, Password: {EST}, Certificate: {EST, SCEP}, DeviceCertificate: {EST},
		SCEPSecret: {SCEP}, StaticSCEPSecret: {SCEP}, Unauthenticated: {SCEP}, ServiceItself: {System}, LocalOperator: {Operator}}
}

// Verifier is a door's right to make callers. cmd makes one for each door and
// hands it to that door's authentication code; alone it makes nothing, every
// constructor also wants the evidence.
type Verifier struct{ door Door }

// NewVerifier is called by cmd only; an architecture test keeps it so.
func NewVerifier(d Door) Verifier { return Verifier{door: d} }

// Caller is who asks. The zero value is nobody.
type Caller struct{ p *principal }

type principal struct {
	door     Door
	methods  []Method
	tenant   string
	endpoint string
	id       string
	at       time.Time
	key      [32]byte // of a CertificateKey or RequestKey caller
	binding  *Binding // of the credential that let it in; nil: none
	shown    [32]byte // SHA-256 of the client certificate that it came with; zero: none
}

// Verified tells whether this caller was made from evidence.
func (c Caller) Verified() bool { return c.p != nil }

// Door is where the caller came in; empty for nobody.
func (c Caller) Door() Door {
	if c.p == nil {
		return ""
	}
	return c.p.door
}

// Methods are the authentication methods that all held.
func (c Caller) Methods() []Method {
	if c.p == nil {
		return nil
	}
	return append([]Method(nil), c.p.methods...)
}

// Tenant is the tenant the caller belongs to.
func (c Caller) Tenant() string {
	if c.p == nil {
		return ""
	}
	return c.p.tenant
}

// Endpoint is the endpoint where it was authenticated; empty for system and operators.
func (c Caller) Endpoint() string {
	if c.p == nil {
		return ""
	}
	return c.p.endpoint
}

// ID is stable for one requester across requests, unique within the tenant and
// free of secrets: `acme-account:ID`, `service:NAME`, `operator:NAME`,
// `certificate-key:HEXHASH`, `credential:ID`, `certificate:CA/SERIAL`,
// `device:HEXHASH`, `static-secret:ENDPOINT`, `address:IP`, `request-key:HEXHASH`; with + between those of a caller that was authenticated twice.
func (c Caller) ID() string {
	if c.p == nil {
		return ""
	}
	return c.p.id
}

// At is when the evidence was checked.
func (c Caller) At() time.Time {
	if c.p == nil {
		return time.Time{}
	}
	return c.p.at
}

// HeldKey is the SHA-256 of the SubjectPublicKeyInfo whose private key a
// CertificateKey or RequestKey caller has shown to hold; ok is false for every
// other caller.
func (c Caller) HeldKey() (hash [32]byte, ok bool) {
	if c.p == nil || c.p.key == ([32]byte{}) {
		return hash, false
	}
	return c.p.key, true
}

// Shown is the SHA-256 of the client certificate whose key the caller has shown to
// hold; ok is false for one that came without, and for one read from a record.
func (c Caller) Shown() (hash [32]byte, ok bool) {
	if c.p == nil || c.p.shown == ([32]byte{}) {
		return hash, false
	}
	return c.p.shown, true
}

func (c Caller) String() string {
	if c.p == nil {
		return "nobody"
	}
	return c.p.id
}

// AccountSignature is the evidence for an ACME account: a JWS whose signature
// verified with the account's current key.
type AccountSignature struct {
	Tenant, Endpoint string
	Account          string   // account id
	Status           string   // as stored; only "valid" makes a caller (RFC 8555 section 7.1.2)
	KeyThumbprint    [32]byte // of the key the signature verified with (RFC 7638, SHA-256)
	AccountKey       [32]byte // thumbprint stored with the account
	Binding          *Binding // of the credential that the account was made with; nil: none
	At               time.Time
}

// FromAccountSignature makes the caller of an ACME request.
func FromAccountSignature(v Verifier, ev AccountSignature) (Caller, error) {
	switch {
	case v.door != ACME:
		return Caller{}, errWrongDoor(v, ACME)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.Account == "" || ev.At.IsZero():
		return Caller{}, errors.New("caller: account evidence is incomplete")
	case ev.Status != "valid":
		return Caller{}, fmt.Errorf("caller: account is %q, not valid", ev.Status)
	case ev.KeyThumbprint == ([32]byte{}) || ev.KeyThumbprint != ev.AccountKey:
		return Caller{}, errors.New("caller: the signature is not by the account's key")
	}
	p := &principal{ACME, []Method{ACMEAccount}, ev.Tenant, ev.Endpoint, "acme-account:" + ev.Account, ev.At, [32]byte{}, nil, [32]byte{}}
	if ev.Binding != nil {
		if ev.Binding.Credential == "" {
			return Caller{}, errors.New("caller: an external account has no credential")
		}
		p.methods, p.binding = append(p.methods, ExternalAccount), ev.Binding.clone()
	}
	return Caller{p}, nil
}

// CertificateKeySignature is the evidence for the holder of a certificate's key:
// a JWS that verified with a key, and the certificate it is the key of. Hashes are
// SHA-256 of the SubjectPublicKeyInfo.
type CertificateKeySignature struct {
	Tenant, Endpoint string
	SignatureKey     [32]byte // that the signature verified with
	Certificate      [32]byte // in an issued certificate
	At               time.Time
}

// FromCertificateKey makes the caller of a revocation that is signed with the
// certificate's own key (RFC 8555 section 7.6).
func FromCertificateKey(v Verifier, ev CertificateKeySignature) (Caller, error) {
	switch {
	case v.door != ACME:
		return Caller{}, errWrongDoor(v, ACME)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.At.IsZero():
		return Caller{}, errors.New("caller: certificate key evidence is incomplete")
	case ev.SignatureKey == ([32]byte{}) || ev.SignatureKey != ev.Certificate:
		return Caller{}, errors.New("caller: the signature is not by the certificate's key")
	}
	id := string(CertificateKey) + ":" + hex.EncodeToString(ev.Certificate[:])
	return Caller{&principal{ACME, []Method{CertificateKey}, ev.Tenant, ev.Endpoint, id, ev.At, ev.Certificate, nil, [32]byte{}}}, nil
}

// ServiceIdentity is the evidence for the daemon's own services.
type ServiceIdentity struct {
	Tenant string
	Name   string // "tls", "ocsp", "ra", ...
	At     time.Time
}

// FromService makes the system caller for a service certificate.
func FromService(v Verifier, ev ServiceIdentity) (Caller, error) {
	if v.door != System {
		return Caller{}, errWrongDoor(v, System)
	}
	if ev.Tenant == "" || ev.Name == "" || ev.At.IsZero() {
		return Caller{}, errors.New("caller: service evidence is incomplete")
	}
	return Caller{&principal{System, []Method{ServiceItself}, ev.Tenant, "", "service:" + ev.Name, ev.At, [32]byte{}, nil, [32]byte{}}}, nil
}

// OperatorIdentity is the evidence for an operator: the peer credentials of a
// local socket, or of the process itself where the command opens the store.
type OperatorIdentity struct {
	Tenant string
	User   string // login name
	UID    int
	At     time.Time
}

// FromOperator makes the caller of an administrative operation.
func FromOperator(v Verifier, ev OperatorIdentity) (Caller, error) {
	if v.door != Operator {
		return Caller{}, errWrongDoor(v, Operator)
	}
	if ev.Tenant == "" || ev.User == "" || ev.UID < 0 || ev.At.IsZero() {
		return Caller{}, errors.New("caller: operator evidence is incomplete")
	}
	return Caller{&principal{Operator, []Method{LocalOperator}, ev.Tenant, "", "operator:" + ev.User, ev.At, [32]byte{}, nil, [32]byte{}}}, nil
}

func errWrongDoor(v Verifier, want Door) error {
	return fmt.Errorf("caller: a verifier of door %q cannot make a caller of %q", v.door, want)
}

// Digest identifies the caller in an idempotency key.
func (c Caller) Digest() string {
	sum := sha256.Sum256([]byte(c.Tenant() + "\x00" + c.ID()))
	return hex.EncodeToString(sum[:16])
}
