package claim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	cryptopkix "crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// shownBy makes a certificate, and the callers that come with it: as one of ours, and
// as a device's.
func shownBy(t *testing.T) (der []byte, ours, device caller.Caller) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hardware, err := pkix.NewHardwareModule(pkix.OID{1, 2, 3}, []byte("A1"))
	if err != nil {
		t.Fatal(err)
	}
	names := []pkix.GeneralName{hardware, pkix.DNS("host.example"), pkix.DNS("Not A Name"), pkix.NewEmail("a@b.example"), pkix.NewURI("urn:x:y"), {Kind: pkix.IPAddress, Raw: net.IPv4(192, 0, 2, 1).To4()}}
	san, err := pkix.MarshalSubjectAltName(names, false)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: cryptopkix.Name{SerialNumber: "C1"}, NotBefore: now, NotAfter: now.Add(time.Hour),
		ExtraExtensions: []cryptopkix.Extension{{Id: san.ID, Value: san.Value}}}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	hash, v := sha256.Sum256(der), caller.NewVerifier(caller.EST)
	ours, err = caller.FromCertificate(v, caller.PresentedCertificate{Tenant: "one", Endpoint: "e", Presented: hash, Issued: hash, Serial: "01", CA: "issuing", State: "issued", At: now})
	if err != nil {
		t.Fatal(err)
	}
	device, err = caller.FromDevice(v, caller.VerifiedDevice{Tenant: "one", Endpoint: "e", Presented: hash, Leaf: hash, Root: [32]byte{1}, At: now})
	if err != nil {
		t.Fatal(err)
	}
	return der, ours, device
}

// TestFromClientCertificate: a device certificate proves what it says about the
// device, one of ours its names, too; nothing that could not be issued.
func TestFromClientCertificate(t *testing.T) {
	der, ours, device := shownBy(t)
	v := NewVerifier(caller.EST)
	for name, test := range map[string]struct {
		who  caller.Caller
		want []string
	}{
		"ours":     {ours, []string{"serial:C1", "hardware:1.2.3/A1", "dns:host.example", "email:a@b.example", "uri:urn:x:y", "ip:192.0.2.1"}},
		"a device": {device, []string{"serial:C1", "hardware:1.2.3/A1"}},
	} {
		all, err := FromClientCertificate(v, test.who, der)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range all {
			got = append(got, c.String())
			if c.Method() != Certificate || c.Owner() != test.who.ID() || c.Door() != caller.EST || !c.Until().Equal(now.Add(time.Hour)) || !Permitted(c.Door(), c.Method(), c.Kind()) {
				t.Errorf("%s: %s by %s of %s", name, c, c.Source(), c.Owner())
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
		p, err := FromHandshake(v, test.who, der)
		if err != nil || !p.Verified() || p.Method() != "tls-handshake" {
			t.Errorf("%s: %v", name, err)
		}
		text, err := RecordPossession(p)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := PossessionFromRecord(text); err != nil || read.Key().Hash() != p.Key().Hash() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestShownByAnother: only who has shown this very certificate gets claims and
// possession of it.
func TestShownByAnother(t *testing.T) {
	der, ours, _ := shownBy(t)
	other, theirs, _ := shownBy(t)
	password, err := caller.FromPassword(caller.NewVerifier(caller.EST), caller.CheckedPassword{Tenant: "one", Endpoint: "e", Credential: "u", Name: "u",
		Binding: caller.Binding{Credential: "u"}, At: now})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		v   Verifier
		who caller.Caller
		der []byte
	}{
		"nobody":              {NewVerifier(caller.EST), caller.Caller{}, der},
		"a password's holder": {NewVerifier(caller.EST), password, der},
		"another's":           {NewVerifier(caller.EST), theirs, der},
		"another one":         {NewVerifier(caller.EST), ours, other},
		"another door":        {NewVerifier(caller.ACME), ours, der},
		"no verifier":         {Verifier{}, ours, der},
	} {
		if p, err := FromHandshake(test.v, test.who, test.der); err == nil || p.Verified() {
			t.Errorf("%s: possession of %s", name, p.Key().Algorithm())
		}
		if all, err := FromClientCertificate(test.v, test.who, test.der); err == nil || len(all) > 0 {
			t.Errorf("%s: %v", name, all)
		}
	}
}
