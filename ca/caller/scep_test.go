package caller

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func found() FoundSecret {
	return FoundSecret{Tenant: "one", Endpoint: "e", Credential: "c", Binding: Binding{Credential: "c", Device: "d"}, At: now}
}

func shared() SharedSecret {
	return SharedSecret{Tenant: "one", Endpoint: "e", Sent: [32]byte{1}, Configured: [32]byte{1}, At: now}
}

func admitted() AdmittedAddress {
	return AdmittedAddress{Tenant: "one", Endpoint: "e", Address: netip.MustParseAddr("10.1.2.3"), Network: netip.MustParsePrefix("10.1.0.0/16"), At: now}
}

func polling() PollSignature {
	return PollSignature{Tenant: "one", Endpoint: "e", SignatureKey: [32]byte{7}, At: now}
}

// TestSCEPCallers: each is what its evidence says, at its endpoint, and no more.
func TestSCEPCallers(t *testing.T) {
	v := NewVerifier(SCEP)
	for _, c := range []struct {
		id     string
		method Method
		make   func() (Caller, error)
	}{
		{"credential:c", SCEPSecret, func() (Caller, error) { return FromSecret(v, found()) }},
		{"static-secret:e", StaticSCEPSecret, func() (Caller, error) { return FromStaticSecret(v, shared()) }},
		{"address:10.1.2.3", Unauthenticated, func() (Caller, error) { return FromAddress(v, admitted()) }},
		{"request-key:07" + strings.Repeat("00", 31), RequestKey, func() (Caller, error) { return FromRequestKey(v, polling()) }},
		{"certificate:issuing/5f", Certificate, func() (Caller, error) { return FromCertificate(v, presented()) }},
	} {
		made, err := c.make()
		if err != nil || made.ID() != c.id || !slices.Equal(made.Methods(), []Method{c.method}) || made.Door() != SCEP || made.Tenant() != "one" || made.Endpoint() != "e" {
			t.Errorf("%s: %s %v, %v", c.id, made, made.Methods(), err)
		}
		if b, ok := made.Binding(); ok != (c.method == SCEPSecret) || ok && b.Device != "d" {
			t.Errorf("%s: binding %+v", c.id, b)
		}
		if key, ok := made.HeldKey(); ok != (c.method == RequestKey) || ok && key != ([32]byte{7}) {
			t.Errorf("%s: key %x", c.id, key)
		}
		if _, err := Record(made); (err == nil) != (c.method != RequestKey) {
			t.Errorf("%s is written down: %v", c.id, err)
		}
	}
	if _, enrolls := Methods()[RequestKey]; enrolls {
		t.Error("the key of a request enrolls")
	}
}

func TestSCEPEvidence(t *testing.T) {
	v := NewVerifier(SCEP)
	refuse := func(name string, c Caller, err error) {
		t.Helper()
		if err == nil || c.Verified() {
			t.Errorf("%s made %s", name, c)
		}
	}
	for name, change := range map[string]func(*FoundSecret){
		"no tenant": func(e *FoundSecret) { e.Tenant = "" }, "no endpoint": func(e *FoundSecret) { e.Endpoint = "" },
		"no credential": func(e *FoundSecret) { e.Credential, e.Binding.Credential = "", "" }, "no time": func(e *FoundSecret) { e.At = time.Time{} },
		"another's binding": func(e *FoundSecret) { e.Binding.Credential = "x" },
	} {
		ev := found()
		change(&ev)
		c, err := FromSecret(v, ev)
		refuse("secret, "+name, c, err)
	}
	for name, change := range map[string]func(*SharedSecret){
		"no tenant": func(e *SharedSecret) { e.Tenant = "" }, "no endpoint": func(e *SharedSecret) { e.Endpoint = "" }, "no time": func(e *SharedSecret) { e.At = time.Time{} },
		"none configured": func(e *SharedSecret) { e.Sent, e.Configured = [32]byte{}, [32]byte{} }, "another": func(e *SharedSecret) { e.Sent[31] = 1 },
	} {
		ev := shared()
		change(&ev)
		c, err := FromStaticSecret(v, ev)
		refuse("static secret, "+name, c, err)
	}
	for name, change := range map[string]func(*AdmittedAddress){
		"no tenant": func(e *AdmittedAddress) { e.Tenant = "" }, "no endpoint": func(e *AdmittedAddress) { e.Endpoint = "" }, "no time": func(e *AdmittedAddress) { e.At = time.Time{} },
		"no address": func(e *AdmittedAddress) { e.Address = netip.Addr{} }, "no network": func(e *AdmittedAddress) { e.Network = netip.Prefix{} },
		"another network": func(e *AdmittedAddress) { e.Network = netip.MustParsePrefix("10.2.0.0/16") },
		"every address":   func(e *AdmittedAddress) { e.Network = netip.MustParsePrefix("0.0.0.0/0") },
	} {
		ev := admitted()
		change(&ev)
		c, err := FromAddress(v, ev)
		refuse("address, "+name, c, err)
	}
	for name, change := range map[string]func(*PollSignature){
		"no tenant": func(e *PollSignature) { e.Tenant = "" }, "no endpoint": func(e *PollSignature) { e.Endpoint = "" }, "no time": func(e *PollSignature) { e.At = time.Time{} },
		"no key": func(e *PollSignature) { e.SignatureKey = [32]byte{} },
	} {
		ev := polling()
		change(&ev)
		c, err := FromRequestKey(v, ev)
		refuse("poll, "+name, c, err)
	}
	for _, door := range append(Doors(), "") {
		if door == SCEP {
			continue
		}
		v := NewVerifier(door)
		c, err := FromSecret(v, found())
		refuse(string(door), c, err)
		c, err = FromStaticSecret(v, shared())
		refuse(string(door), c, err)
		c, err = FromAddress(v, admitted())
		refuse(string(door), c, err)
		c, err = FromRequestKey(v, polling())
		refuse(string(door), c, err)
	}
}
