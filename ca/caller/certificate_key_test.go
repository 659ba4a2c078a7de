package caller

import (
	"strings"
	"testing"
	"time"
)

// TestCertificateKey makes the caller from matching evidence alone.
func TestCertificateKey(t *testing.T) {
	good := CertificateKeySignature{Tenant: "t", Endpoint: "e", SignatureKey: [32]byte{1}, Certificate: [32]byte{1}, At: time.Now()}
	c, err := FromCertificateKey(NewVerifier(ACME), good)
	if err != nil {
		t.Fatal(err)
	}
	if want := "certificate-key:01" + strings.Repeat("00", 31); c.ID() != want || c.Tenant() != "t" || c.Endpoint() != "e" || c.Door() != ACME {
		t.Errorf("%s of %s at %s through %s", c.ID(), c.Tenant(), c.Endpoint(), c.Door())
	}
	if key, ok := c.HeldKey(); !ok || key != good.Certificate {
		t.Errorf("holds %x, %t", key, ok)
	}
	for name, change := range map[string]func(*CertificateKeySignature){
		"no tenant":   func(ev *CertificateKeySignature) { ev.Tenant = "" },
		"no endpoint": func(ev *CertificateKeySignature) { ev.Endpoint = "" },
		"no time":     func(ev *CertificateKeySignature) { ev.At = time.Time{} },
		"no keys":     func(ev *CertificateKeySignature) { ev.SignatureKey, ev.Certificate = [32]byte{}, [32]byte{} },
		"another key": func(ev *CertificateKeySignature) { ev.SignatureKey[31] = 1 },
	} {
		ev := good
		change(&ev)
		if c, err := FromCertificateKey(NewVerifier(ACME), ev); err == nil || c.Verified() {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, door := range Doors() {
		if c, err := FromCertificateKey(NewVerifier(door), good); door != ACME && (err == nil || c.Verified()) {
			t.Errorf("door %s makes such a caller", door)
		}
	}
	if _, enrolls := Methods()[CertificateKey]; enrolls {
		t.Error("an endpoint's policy can name certificate-key")
	}
}

// TestOthersHoldNoKey keeps revocation by key to callers that showed one.
func TestOthersHoldNoKey(t *testing.T) {
	account, err := FromAccountSignature(NewVerifier(ACME), AccountSignature{Tenant: "t", Endpoint: "e", Account: "a", Status: "valid",
		KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Caller{{}, account} {
		if key, ok := c.HeldKey(); ok {
			t.Errorf("%s holds %x", c, key)
		}
	}
}
