package caller

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// CheckedPassword is the evidence for the holder of a registered credential: a
// user name and a password that the registry found right.
type CheckedPassword struct {
	Tenant, Endpoint string
	Credential       string  // id of the credential that the password was checked against
	Name             string  // that was sent with it
	Binding          Binding // of the credential
	At               time.Time
}

// FromPassword makes the caller of a request with HTTP Basic credentials (RFC
// 7030 section 3.2.3).
func FromPassword(v Verifier, ev CheckedPassword) (Caller, error) {
	switch {
	case v.door != EST:
		return Caller{}, errWrongDoor(v, EST)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.Credential == "" || ev.At.IsZero():
		return Caller{}, errors.New("caller: password evidence is incomplete")
	case ev.Name != ev.Credential || ev.Binding.Credential != ev.Credential:
		return Caller{}, errors.New("caller: the password is of another credential")
	}
	return Caller{&principal{EST, []Method{Password}, ev.Tenant, ev.Endpoint, "credential:" + ev.Credential, ev.At, [32]byte{}, ev.Binding.clone(), [32]byte{}}}, nil
}

// PresentedCertificate is the evidence for a client certificate of ours: a TLS
// handshake that ended with a signature by its key, or a message that its key
// signed (SCEP). Hashes are SHA-256.
type PresentedCertificate struct {
	Tenant, Endpoint string
	Presented        [32]byte // the certificate of the handshake or the message
	Issued           [32]byte // the certificate that is recorded as issued, and in State
	Serial           string   // of the recorded certificate
	CA               string   // id of the CA that issued it
	State            string   // as recorded now; only "issued" makes a caller
	At               time.Time
}

// FromCertificate makes the caller of a request over a connection with a client
// certificate that was issued here (RFC 7030 section 3.3.2), or in a message that
// such a certificate's key signed (RFC 8894 section 3.3.1). Whether it may still
// be renewed after its end is for the core to say.
func FromCertificate(v Verifier, ev PresentedCertificate) (Caller, error) {
	switch {
	case v.door != EST && v.door != SCEP:
		return Caller{}, errWrongDoor(v, EST)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.Serial == "" || ev.CA == "" || ev.At.IsZero():
		return Caller{}, errors.New("caller: certificate evidence is incomplete")
	case ev.Presented == ([32]byte{}) || ev.Presented != ev.Issued:
		return Caller{}, errors.New("caller: the presented certificate is not the recorded one")
	case ev.State != "issued":
		return Caller{}, fmt.Errorf("caller: the certificate is %q, not issued", ev.State)
	}
	return Caller{&principal{v.door, []Method{Certificate}, ev.Tenant, ev.Endpoint, "certificate:" + ev.CA + "/" + ev.Serial, ev.At, [32]byte{}, nil, ev.Issued}}, nil
}

// VerifiedDevice is the evidence for a device certificate of somebody else: a TLS
// handshake that ended with a signature by its key, and a path from it to a
// configured root. Hashes are SHA-256.
type VerifiedDevice struct {
	Tenant, Endpoint string
	Presented        [32]byte // the certificate of the handshake
	Leaf             [32]byte // the certificate at the end of the verified path
	Root             [32]byte // the root at its beginning
	At               time.Time
}

// FromDevice makes the caller of a request over a connection with a device
// certificate (IEEE 802.1AR; RFC 7030 section 3.3.2).
func FromDevice(v Verifier, ev VerifiedDevice) (Caller, error) {
	switch {
	case v.door != EST:
		return Caller{}, errWrongDoor(v, EST)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.At.IsZero() || ev.Root == ([32]byte{}):
		return Caller{}, errors.New("caller: device evidence is incomplete")
	case ev.Presented == ([32]byte{}) || ev.Presented != ev.Leaf:
		return Caller{}, errors.New("caller: the presented certificate is not the verified one")
	}
	return Caller{&principal{EST, []Method{DeviceCertificate}, ev.Tenant, ev.Endpoint, "device:" + hex.EncodeToString(ev.Leaf[:]), ev.At, [32]byte{}, nil, ev.Leaf}}, nil
}

// Together makes one caller of two that were authenticated at the same endpoint,
// each by methods of its own; it is held to what either's credential says.
func Together(one, other Caller) (Caller, error) {
	a, b := one.p, other.p
	switch {
	case a == nil || b == nil:
		return Caller{}, errors.New("caller: nobody is with somebody")
	case a.door != b.door || a.tenant != b.tenant || a.endpoint != b.endpoint || a.endpoint == "":
		return Caller{}, errors.New("caller: the two were not authenticated at one endpoint")
	case slices.ContainsFunc(a.methods, func(m Method) bool { return slices.Contains(b.methods, m) }):
		return Caller{}, errors.New("caller: the two were authenticated in the same way")
	case a.binding != nil && b.binding != nil || a.key != b.key || a.shown != ([32]byte{}) && b.shown != ([32]byte{}):
		return Caller{}, errors.New("caller: the two cannot be one")
	}
	both := &principal{a.door, slices.Concat(a.methods, b.methods), a.tenant, a.endpoint, a.id + "+" + b.id, a.at, a.key, a.binding, a.shown}
	if b.at.Before(both.at) {
		both.at = b.at
	}
	if both.binding == nil {
		both.binding = b.binding
	}
	if both.shown == ([32]byte{}) {
		both.shown = b.shown
	}
	return Caller{both}, nil
}
