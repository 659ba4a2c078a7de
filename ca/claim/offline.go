package claim

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// offline is where claims of offline tools come in. It is no door: the closed
// table has no row for it, and no endpoint is of it, so that the core refuses
// what such a claim is about.
const offline caller.Door = "offline"

// OfflineVerifier is the right to make claims that nothing proved, for tools
// that decide without issuing.
type OfflineVerifier struct{ made bool }

// NewOfflineVerifier is called by the offline tools of cmd only; an
// architecture test keeps it so.
func NewOfflineVerifier() OfflineVerifier { return OfflineVerifier{made: true} }

// Offline is what the user of an offline tool supposes: that a value of a kind
// was proven by a method.
type Offline struct {
	Kind   Kind
	Value  string // dns, ip, email, uri, upn, sid, serial, principal: the text; hardware: TYPE/SERIAL; permanent: VALUE or VALUE/ASSIGNER; directory, attested: KEY=VALUE
	Method Method
	At     time.Time
}

// FromOffline makes a claim that a profile can decide on and the core refuses.
func FromOffline(v OfflineVerifier, ev Offline) (Claim, error) {
	switch {
	case !v.made:
		return Claim{}, errors.New("claim: no verifier")
	case ev.At.IsZero() || !slices.Contains(Methods(), ev.Method):
		return Claim{}, errors.New("claim: offline evidence is incomplete: a method of the closed list and a time")
	}
	name, text, err := valueOf(ev.Kind, ev.Value)
	if err != nil {
		return Claim{}, err
	}
	return Claim{&fact{ev.Kind, name, offline, ev.Method, "supposed offline", "offline", ev.At, ev.At.Add(time.Hour), text}}, nil
}

// valueOf reads the value of a claim: a name, or a text for the other kinds.
func valueOf(kind Kind, value string) (name pkix.GeneralName, text string, err error) {
	switch kind {
	case DNS:
		return pkix.DNS(value), "", CheckDNSName(value)
	case IP:
		address, err := netip.ParseAddr(value)
		if err != nil || address.Zone() != "" {
			return name, "", fmt.Errorf("claim: %q is not an IP address", clip(value))
		}
		return pkix.IP(address), "", nil
	case Email:
		return pkix.NewEmail(value), "", CheckEmail(value)
	case URI:
		return pkix.NewURI(value), "", CheckURI(value)
	case UPN:
		if name, err = pkix.NewUPN(value); err != nil {
			return name, "", err
		}
		if read, ok := name.UPN(); !ok || !strings.Contains(read, "@") {
			return name, "", fmt.Errorf("claim: %q is not a user principal name such as user@corp.example", clip(value))
		}
		return name, "", nil
	case Hardware:
		hardware, serial, err := pkix.ParseHardwareModule(value)
		if err != nil {
			return name, "", fmt.Errorf("claim: %w", err)
		}
		name, err = pkix.NewHardwareModule(hardware, serial)
		return name, "", err
	case Permanent:
		text, assigner, err := pkix.ParsePermanentIdentifier(value)
		if err != nil {
			return name, "", fmt.Errorf("claim: %w", err)
		}
		name, err = pkix.NewPermanentIdentifier(text, assigner)
		return name, "", err
	case SID:
		return name, value, pkix.CheckSecurityID(value)
	case Directory, Attested:
		if key, what, found := strings.Cut(value, "="); !found || key == "" || what == "" {
			return name, "", fmt.Errorf("claim: %q is not KEY=VALUE", clip(value))
		}
	case Serial, Principal:
	default:
		return name, "", fmt.Errorf("claim: %q is not a kind of claim", clip(string(kind)))
	}
	if value == "" || strings.IndexFunc(value, func(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }) >= 0 {
		return name, "", errors.New("claim: the value is empty or holds a control character")
	}
	return name, value, nil
}
