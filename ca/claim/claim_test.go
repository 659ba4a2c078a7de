package claim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The table is closed: of every door, method and kind, these and no others.
func TestTableIsClosed(t *testing.T) {
	want := map[row]bool{
		{caller.ACME, HTTP01, DNS}:               true,
		{caller.ACME, HTTP01, IP}:                true,
		{caller.ACME, DNS01, DNS}:                true,
		{caller.ACME, TLSALPN01, DNS}:            true,
		{caller.ACME, TLSALPN01, IP}:             true,
		{caller.ACME, DNSAccount01, DNS}:         true,
		{caller.ACME, DNSPersist01, DNS}:         true,
		{caller.ACME, DeviceAttest01, Permanent}: true,
		{caller.ACME, DeviceAttest01, Hardware}:  true,
		{caller.ACME, DeviceAttest01, Serial}:    true,
		{caller.ACME, DeviceAttest01, Attested}:  true,
		{caller.ACME, Credential, Principal}:     true,
		{caller.ACME, Credential, Serial}:        true,
		{caller.EST, Credential, Principal}:      true,
		{caller.EST, Credential, Serial}:         true,
		{caller.EST, Certificate, Serial}:        true,
		{caller.EST, Certificate, Hardware}:      true,
		{caller.EST, Certificate, Permanent}:     true,
		{caller.EST, Certificate, DNS}:           true,
		{caller.EST, Certificate, IP}:            true,
		{caller.EST, Certificate, Email}:         true,
		{caller.EST, Certificate, URI}:           true,
		{caller.SCEP, Credential, Principal}:     true,
		{caller.SCEP, Credential, Serial}:        true,
		{caller.SCEP, Certificate, Serial}:       true,
		{caller.SCEP, Certificate, Hardware}:     true,
		{caller.SCEP, Certificate, Permanent}:    true,
		{caller.SCEP, Certificate, DNS}:          true,
		{caller.SCEP, Certificate, IP}:           true,
		{caller.SCEP, Certificate, Email}:        true,
		{caller.SCEP, Certificate, URI}:          true,
		{caller.System, Service, DNS}:            true,
		{caller.System, Service, IP}:             true,
	}
	met := 0
	for _, door := range append(caller.Doors(), "", "other") {
		for _, method := range append(Methods(), "", "other") {
			for _, kind := range append(Kinds(), "", "other") {
				got := Permitted(door, method, kind)
				if got != want[row{door, method, kind}] {
					t.Errorf("%s may bring %s by %s: %v", door, kind, method, got)
				}
				if got {
					met++
				}
			}
		}
	}
	if met != len(table) || met != len(want) {
		t.Errorf("%d of %d rows were met: a door, method or kind is not listed", met, len(table))
	}
}

func evidence() ValidatedAuthorization {
	return ValidatedAuthorization{ID: "z1", Owner: "acme-account:a", Identifier: "host.example", Challenge: HTTP01, Status: "valid",
		Validated: now.Add(-time.Minute), Expires: now.Add(time.Hour), Now: now}
}

func TestFromAuthorization(t *testing.T) {
	v := NewVerifier(caller.ACME)
	c, err := FromAuthorization(v, evidence())
	if err != nil {
		t.Fatal(err)
	}
	if !c.Verified() || c.Kind() != DNS || c.Method() != HTTP01 || c.Door() != caller.ACME || c.Owner() != "acme-account:a" || !c.Until().Equal(now.Add(time.Hour)) ||
		c.String() != "dns:host.example" || c.Source() != "http-01 authorization z1 at 2026-03-01T11:59:00Z" {
		t.Errorf("claim %s from %s", c, c.Source())
	}
	star := evidence()
	star.Wildcard, star.Challenge = true, DNS01
	if c, err := FromAuthorization(v, star); err != nil || c.String() != "dns:*.host.example" {
		t.Errorf("wildcard: %s, %v", c, err)
	}
	for _, text := range []string{"192.0.2.1", "2001:db8::1"} {
		for _, method := range []Method{HTTP01, TLSALPN01} {
			ev := evidence()
			ev.Identifier, ev.IP, ev.Challenge = "", netip.MustParseAddr(text), method
			if c, err := FromAuthorization(v, ev); err != nil || c.Kind() != IP || c.Method() != method || c.String() != "ip:"+text {
				t.Errorf("%s by %s: %s, %v", text, method, c, err)
			}
		}
	}
	address := func(e *ValidatedAuthorization) { e.Identifier, e.IP = "", netip.MustParseAddr("192.0.2.1") }
	for name, change := range map[string]func(*ValidatedAuthorization){
		"address, dns-01":   func(e *ValidatedAuthorization) { address(e); e.Challenge = DNS01 },
		"address, wildcard": func(e *ValidatedAuthorization) { address(e); e.Wildcard, e.Challenge = true, DNS01 },
		"address, mapped":   func(e *ValidatedAuthorization) { address(e); e.IP = netip.MustParseAddr("::ffff:192.0.2.1") },
		"address, zone":     func(e *ValidatedAuthorization) { address(e); e.IP = netip.MustParseAddr("fe80::1%eth0") },
		"name and address":  func(e *ValidatedAuthorization) { address(e); e.Identifier = "host.example" },
		"nothing":           func(e *ValidatedAuthorization) { e.Identifier = "" },
		"wildcard, tls":     func(e *ValidatedAuthorization) { e.Wildcard, e.Challenge = true, TLSALPN01 },
		"no id":             func(e *ValidatedAuthorization) { e.ID = "" },
		"no owner":          func(e *ValidatedAuthorization) { e.Owner = "" },
		"not validated":     func(e *ValidatedAuthorization) { e.Validated = time.Time{} },
		"no expiry":         func(e *ValidatedAuthorization) { e.Expires = time.Time{} },
		"no clock":          func(e *ValidatedAuthorization) { e.Now = time.Time{} },
		"pending":           func(e *ValidatedAuthorization) { e.Status = "pending" },
		"expired":           func(e *ValidatedAuthorization) { e.Expires = now },
		"service method":    func(e *ValidatedAuthorization) { e.Challenge = Service },
		"wildcard, http-01": func(e *ValidatedAuthorization) { e.Wildcard = true },
		"upper case":        func(e *ValidatedAuthorization) { e.Identifier = "Host.example" },
		"wildcard in name":  func(e *ValidatedAuthorization) { e.Identifier, e.Wildcard, e.Challenge = "*.host.example", true, DNS01 },
		"address":           func(e *ValidatedAuthorization) { e.Identifier = "192.0.2.1" },
	} {
		ev := evidence()
		change(&ev)
		if c, err := FromAuthorization(v, ev); err == nil || c.Verified() {
			t.Errorf("%s made the claim %s", name, c)
		}
	}
}

// A token makes only its own door's claims, and the zero token none.
func TestWrongVerifier(t *testing.T) {
	service := ServiceName{Owner: "service:tls", DNS: "host.example", At: now}
	for _, door := range append(caller.Doors(), "") {
		v := NewVerifier(door)
		if c, err := FromAuthorization(v, evidence()); (err == nil) != (door == caller.ACME) || c.Verified() != (err == nil) {
			t.Errorf("door %q and ACME's evidence: %v", door, err)
		}
		if c, err := FromServiceName(v, service); (err == nil) != (door == caller.System) || c.Verified() != (err == nil) {
			t.Errorf("door %q and a service's evidence: %v", door, err)
		}
		if p, err := OwnKey(v, key(t)); (err == nil) != (door == caller.System) || p.Verified() != (err == nil) {
			t.Errorf("door %q and our own key: %v", door, err)
		}
	}
}

func key(t *testing.T) pkix.PublicKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := pkix.NewPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func TestFromServiceName(t *testing.T) {
	v := NewVerifier(caller.System)
	c, err := FromServiceName(v, ServiceName{Owner: "service:tls", IP: netip.MustParseAddr("::1"), At: now})
	if err != nil || c.Kind() != IP || c.String() != "ip:::1" || !c.Until().After(now) {
		t.Errorf("%s, %v", c, err)
	}
	for name, ev := range map[string]ServiceName{
		"neither":  {Owner: "service:tls", At: now},
		"both":     {Owner: "service:tls", DNS: "a.example", IP: netip.MustParseAddr("::1"), At: now},
		"no owner": {DNS: "a.example", At: now},
		"no time":  {Owner: "service:tls", DNS: "a.example"},
		"bad name": {Owner: "service:tls", DNS: "a b", At: now},
	} {
		if c, err := FromServiceName(v, ev); err == nil || c.Verified() {
			t.Errorf("%s made the claim %s", name, c)
		}
	}
}

func TestZeroValues(t *testing.T) {
	if (Claim{}).Verified() || (Claim{}).Source() != "nothing" || (Claim{}).String() != "no claim" || (Possession{}).Verified() {
		t.Error("a zero value counts as proof")
	}
	if _, err := OwnKey(NewVerifier(caller.System), pkix.PublicKey{}); err == nil {
		t.Error("no key is held")
	}
}

func TestVerifyCSR(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"host.example"}}, k)
	if err != nil {
		t.Fatal(err)
	}
	csr, p, err := VerifyCSR(der, false)
	if err != nil || !p.Verified() || p.Method() != "csr-signature" || p.Key().Algorithm() != "ecdsa-p256" || csr == nil {
		t.Fatalf("%v, %v", p, err)
	}
	at := strings.Index(string(der), "host")
	der[at] = 'g'
	if _, p, err := VerifyCSR(der, false); err == nil || p.Verified() {
		t.Error("a changed request shows possession")
	}
	if _, p, err := VerifyCSR([]byte("nonsense"), true); err == nil || p.Verified() {
		t.Error("nonsense shows possession")
	}
}

func TestCheckDNSName(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, good := range []string{"a", "host.example", "*.host.example", "xn--bcher-kva.example", "_acme.example", "1.example", "a.1b", long + ".example", strings.Repeat("a.", 126) + "a"} {
		if err := CheckDNSName(good); err != nil {
			t.Errorf("%.40s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "*.", "*", ".", "a.", ".a", "a..b", "-a.example", "a-.example", "A.example", "a b", "a\x00b", "bücher.example", "*.*.example", "a.*.example", "*a.example",
		"192.0.2.1", "::1", "*.192.0.2.1", "1.2.3", "host.1", long + "a.example", strings.Repeat("a.", 127) + "a", "a/b", "a:1"} {
		if err := CheckDNSName(bad); err == nil {
			t.Errorf("%.40q was accepted", bad)
		}
	}
}

func FuzzCheckDNSName(f *testing.F) {
	for _, s := range []string{"host.example", "*.host.example", "192.0.2.1", "", "a..b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if CheckDNSName(name) != nil {
			return
		}
		if _, err := netip.ParseAddr(name); err == nil || len(name) > 253 || name != strings.ToLower(name) || strings.ContainsAny(name, " \x00/@:") || strings.LastIndex(name, "*") > 0 {
			t.Fatalf("%q was accepted", name)
		}
	})
}
