package claim

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// ValidatedAuthorization is the evidence of an ACME authorization in status
// valid (RFC 8555 section 7.1.4): its identifier, the challenge that proved it,
// and the account that owns it. One of Identifier, IP and Device is set.
type ValidatedAuthorization struct {
	ID         string
	Owner      string           // caller id of the account
	Identifier string           // dns: lower-case name without the wildcard label
	IP         netip.Addr       // ip (RFC 8738)
	Device     pkix.GeneralName // a permanent identifier or a hardware module name (draft-ietf-acme-device-attest)
	Wildcard   bool
	Ancestor   string // the name that was proven, where Identifier is one below it (RFC 9444); empty: Identifier itself
	Challenge  Method
	Status     string
	Validated  time.Time
	Expires    time.Time
	Now        time.Time // the store's clock
}

// FromAuthorization makes the claim of a name. A wildcard name, and one below the
// name that was proven, needs a record in the zone; an address cannot be proven
// by one (RFC 8738 section 7).
func FromAuthorization(v Verifier, ev ValidatedAuthorization) (Claim, error) {
	if err := ev.check(v); err != nil {
		return Claim{}, err
	}
	f := ev.fact(v)
	var err error
	if f.kind, f.name, err = ev.subject(); err != nil {
		return Claim{}, err
	}
	switch {
	case !Permitted(v.door, ev.Challenge, f.kind):
		return Claim{}, fmt.Errorf("claim: %q is not a challenge that proves a name of kind %s", ev.Challenge, f.kind)
	case (ev.Wildcard || ev.Ancestor != "") && !ev.Challenge.Wildcards():
		return Claim{}, errors.New("claim: a wildcard name, or one below the name that was proven, needs a record in the zone (RFC 8555 section 7.1.3, RFC 9444 section 4)")
	}
	return Claim{f}, nil
}

// FromAttestation makes a claim of what the attestation of a device states
// beside its name: a Serial, or an Attested property KEY=VALUE.
func FromAttestation(v Verifier, ev ValidatedAuthorization, kind Kind, value string) (Claim, error) {
	if err := ev.check(v); err != nil {
		return Claim{}, err
	}
	if ev.Challenge != DeviceAttest01 || !Permitted(v.door, ev.Challenge, kind) || kind != Serial && kind != Attested {
		return Claim{}, fmt.Errorf("claim: %q states nothing of kind %s", ev.Challenge, kind)
	}
	f := ev.fact(v)
	f.kind = kind
	var err error
	if _, f.text, err = valueOf(kind, value); err != nil {
		return Claim{}, err
	}
	return Claim{f}, nil
}

func (ev *ValidatedAuthorization) check(v Verifier) error {
	subjects := 0
	for _, there := range []bool{ev.Identifier != "", ev.IP.IsValid(), ev.Device.Raw != nil} {
		if there {
			subjects++
		}
	}
	switch {
	case v.door != caller.ACME:
		return fmt.Errorf("claim: a verifier of door %q cannot make an ACME claim", v.door)
	case ev.ID == "" || ev.Owner == "" || ev.Validated.IsZero() || ev.Expires.IsZero() || ev.Now.IsZero():
		return errors.New("claim: authorization evidence is incomplete")
	case subjects != 1:
		return errors.New("claim: authorization evidence is about one name, one address or one device")
	case ev.Status != "valid":
		return fmt.Errorf("claim: authorization is %q, not valid", ev.Status)
	case !ev.Now.Before(ev.Expires):
		return errors.New("claim: authorization has expired")
	}
	return nil
}

func (ev *ValidatedAuthorization) fact(v Verifier) *fact {
	return &fact{door: v.door, method: ev.Challenge, reference: "authorization " + ev.ID, owner: ev.Owner, at: ev.Validated, until: ev.Expires}
}

// subject gives the name that the evidence is about.
func (ev *ValidatedAuthorization) subject() (Kind, pkix.GeneralName, error) {
	if ev.Identifier == "" && (ev.Wildcard || ev.Ancestor != "") {
		return "", pkix.GeneralName{}, errors.New("claim: only a DNS name has a wildcard and names below it")
	}
	if ev.IP.IsValid() {
		if ev.IP.Zone() != "" || ev.IP.Is4In6() {
			return "", pkix.GeneralName{}, errors.New("claim: an address has no zone and one form")
		}
		return IP, pkix.IP(ev.IP), nil
	}
	if ev.Device.Raw != nil {
		if _, _, ok := ev.Device.PermanentIdentifier(); ok {
			return Permanent, ev.Device, nil
		}
		if _, _, ok := ev.Device.HardwareModule(); ok {
			return Hardware, ev.Device, nil
		}
		return "", pkix.GeneralName{}, errors.New("claim: a device is named by a permanent identifier or a hardware module name")
	}
	if ev.Ancestor != "" && !strings.HasSuffix(ev.Identifier, "."+ev.Ancestor) && ev.Identifier != ev.Ancestor {
		return "", pkix.GeneralName{}, errors.New("claim: the name is not below the one that was proven")
	}
	name := ev.Identifier
	if ev.Wildcard {
		name = "*." + name
	}
	return DNS, pkix.DNS(name), CheckDNSName(name)
}
