package claim

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

func attested(t *testing.T) ValidatedAuthorization {
	t.Helper()
	device, err := pkix.NewPermanentIdentifier("C02XG0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return ValidatedAuthorization{ID: "a", Owner: "acme-account:1", Device: device, Challenge: DeviceAttest01, Status: "valid",
		Validated: now, Expires: now.Add(time.Hour), Now: now}
}

// Devices are named by device-attest-01 alone, and it says facts beside the name.
func TestFromAuthorizationDevice(t *testing.T) {
	v := NewVerifier(caller.ACME)
	c, err := FromAuthorization(v, attested(t))
	if err != nil || c.Kind() != Permanent || c.Text() != "C02XG0" || c.Method() != DeviceAttest01 || !c.IsName() {
		t.Fatalf("%s, %v", c, err)
	}
	for kind, value := range map[Kind]string{Serial: "C02XG0", Attested: "udid=00008"} {
		c, err := FromAttestation(v, attested(t), kind, value)
		if err != nil || c.Kind() != kind || c.Text() != value || c.Source() != "device-attest-01 authorization a at 2026-03-01T12:00:00Z" {
			t.Errorf("%s, %s, %v", c, c.Source(), err)
		}
	}
	for what, change := range map[string]func(*ValidatedAuthorization){
		"http-01":      func(ev *ValidatedAuthorization) { ev.Challenge = HTTP01 },
		"a wildcard":   func(ev *ValidatedAuthorization) { ev.Wildcard = true },
		"an ancestor":  func(ev *ValidatedAuthorization) { ev.Ancestor = "example" },
		"two subjects": func(ev *ValidatedAuthorization) { ev.Identifier = "host.example" },
		"another name": func(ev *ValidatedAuthorization) { ev.Device = pkix.NewEmail("a@b.example") },
		"not valid":    func(ev *ValidatedAuthorization) { ev.Status = "pending" },
		"expired":      func(ev *ValidatedAuthorization) { ev.Now = ev.Expires },
		"a DNS name":   func(ev *ValidatedAuthorization) { ev.Device, ev.Identifier = pkix.GeneralName{}, "host.example" },
	} {
		ev := attested(t)
		change(&ev)
		if c, err := FromAuthorization(v, ev); err == nil {
			t.Errorf("%s: %s", what, c)
		}
	}
	byHTTP := attested(t)
	byHTTP.Challenge = HTTP01
	for what, try := range map[string]func() (Claim, error){
		"by http-01":      func() (Claim, error) { return FromAttestation(v, byHTTP, Serial, "1") },
		"a principal":     func() (Claim, error) { return FromAttestation(v, attested(t), Principal, "1") },
		"a name":          func() (Claim, error) { return FromAttestation(v, attested(t), Permanent, "1") },
		"no key":          func() (Claim, error) { return FromAttestation(v, attested(t), Attested, "1") },
		"of another door": func() (Claim, error) { return FromAttestation(NewVerifier(caller.EST), attested(t), Serial, "1") },
	} {
		if c, err := try(); err == nil {
			t.Errorf("%s: %s", what, c)
		}
	}
}

// A name below the one that was proven is proven by a record in the zone alone
// (RFC 9444 section 4).
func TestFromAuthorizationAncestor(t *testing.T) {
	v := NewVerifier(caller.ACME)
	for _, c := range []struct {
		name, ancestor string
		wildcard       bool
		method         Method
		want           string
	}{
		{"a.b.example", "b.example", false, DNS01, "dns:a.b.example"},
		{"a.b.example", "b.example", true, DNS01, "dns:*.a.b.example"},
		{"b.example", "b.example", true, DNSPersist01, "dns:*.b.example"},
		{"a.b.example", "b.example", false, DNSAccount01, "dns:a.b.example"},
		{"a.b.example", "b.example", false, HTTP01, ""},
		{"a.b.example", "b.example", false, TLSALPN01, ""},
		{"ab.example", "b.example", false, DNS01, ""},
		{"example", "b.example", false, DNS01, ""},
	} {
		got, err := FromAuthorization(v, ValidatedAuthorization{ID: "a", Owner: "acme-account:1", Identifier: c.name, Ancestor: c.ancestor, Wildcard: c.wildcard,
			Challenge: c.method, Status: "valid", Validated: now, Expires: now.Add(time.Hour), Now: now})
		if (err == nil) != (c.want != "") || err == nil && got.String() != c.want {
			t.Errorf("%s below %s by %s: %s, %v", c.name, c.ancestor, c.method, got, err)
		}
	}
}
