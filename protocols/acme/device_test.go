package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/acme/attest"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// vendor attests devices in the packed form.
type vendor struct {
	t    *testing.T
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newVendor(t *testing.T) *vendor {
	t.Helper()
	v := &vendor{t: t, key: fixture.Key(t)}
	v.root = v.certificate(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, v.key.Public())
	return v
}

func (v *vendor) certificate(c, parent *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	v.t.Helper()
	c.SerialNumber, c.Subject, c.NotBefore, c.NotAfter = big.NewInt(1), stdpkix.Name{CommonName: "vendor"}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, v.key)
	if err != nil {
		v.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		v.t.Fatal(err)
	}
	return made
}

// attest makes the answer to a challenge for a device with a serial number and names.
func (v *vendor) attest(key *ecdsa.PrivateKey, serial int, keyAuthorization string, names ...pkix.GeneralName) string {
	v.t.Helper()
	number, err := asn1.Marshal(serial)
	if err != nil {
		v.t.Fatal(err)
	}
	leaf := &x509.Certificate{ExtraExtensions: []stdpkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}, Value: number}}}
	if len(names) > 0 {
		der, err := pkix.MarshalGeneralNames(names)
		if err != nil {
			v.t.Fatal(err)
		}
		leaf.ExtraExtensions = append(leaf.ExtraExtensions, stdpkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der})
	}
	sum := sha256.Sum256([]byte(keyAuthorization))
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		v.t.Fatal(err)
	}
	object, err := cbor.Marshal(map[string]any{"fmt": "packed", "attStmt": map[string]any{"alg": -7, "sig": sig,
		"x5c": [][]byte{v.certificate(leaf, v.root, key.Public()).Raw}}})
	if err != nil {
		v.t.Fatal(err)
	}
	return fmt.Sprintf(`{"attObj":%q}`, base64.RawURLEncoding.EncodeToString(object))
}

// newDevices makes a bench with an endpoint where devices attest themselves, and
// where the names of drafts and names below others can be proven.
func newDevices(t *testing.T, more ...func(*Own)) (*bench, *vendor, *client) {
	t.Helper()
	p := core.Profile(t, "privatessl-tls-server", func(w *profile.Written) {
		w.ID, w.Title = "devices", "Devices"
		w.SubjectAltName.DNS.Min, w.SubjectAltName.DNS.Wildcard = 0, true
		w.SubjectAltName.DNS.Methods = []string{"http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"}
		w.SubjectAltName.DNS.Allow = []string{"*.corp.example"}
		w.SubjectAltName.Permanent = &profile.WrittenNames{Methods: []string{"device-attest-01"}}
		w.SubjectAltName.Hardware = &profile.WrittenNames{Methods: []string{"device-attest-01"}}
		w.Subject = profile.WrittenSubject{Template: []map[string]string{{"OU": "<attested.format?>"}, {"SERIALNUMBER": "<serial?>"}}}
	})
	v := newVendor(t)
	verifier, err := attest.New(map[string][]*x509.Certificate{"packed": {v.root}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	names := &verdicts{fail: map[string]error{}}
	own := Own{Validators: map[claim.Method]Validator{claim.HTTP01: names, claim.DNS01: names, claim.TLSALPN01: names, claim.DeviceAttest01: verifier}}
	for _, change := range more {
		change(&own)
	}
	b := newBenchWith(t, openSQLite(t), further{profiles: map[string]*profile.Profile{"devices": p}, own: map[string]Own{"devices": own},
		endpoints: []ca.Endpoint{{ID: "devices", Door: caller.ACME, Tenant: "one", CA: "issuing", Profile: "devices", Policies: [][]caller.Method{{caller.ACMEAccount}}}}})
	b.validator = names
	c := b.client("one")
	c.base = b.server.URL + "/acme/one/issuing/devices"
	r := c.post(c.base+"/new-account", `{}`)
	if r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	c.kid = r.header.Get("Location")
	return b, v, c
}

func device(value string) state.Identifier {
	return state.Identifier{Type: identifierPermanent, Value: value}
}

// keyAuthorization is that of a challenge for this client.
func (c *client) keyAuthorization(token string) string {
	sum := sha256.Sum256([]byte(c.jwk()))
	return token + "." + base64.RawURLEncoding.EncodeToString(sum[:])
}

// read gives an authorization of an order.
func (c *client) readAuthorization(o orderObject, i int) (a authorizationObject) {
	c.b.t.Helper()
	c.post(o.Authorizations[i], "").into(c.b.t, &a)
	return a
}

func (c *client) finish(o orderObject, key *ecdsa.PrivateKey, template *x509.CertificateRequest) reply {
	c.b.t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		c.b.t.Fatal(err)
	}
	return c.post(o.Finalize, fmt.Sprintf(`{"csr":%q}`, base64.RawURLEncoding.EncodeToString(der)))
}

func mustName(t *testing.T, value string) pkix.GeneralName {
	t.Helper()
	n, ok := deviceName(device(value))
	if !ok {
		t.Fatal(value)
	}
	return n
}

func withNames(t *testing.T, names ...pkix.GeneralName) *x509.CertificateRequest {
	t.Helper()
	der, err := pkix.MarshalGeneralNames(names)
	if err != nil {
		t.Fatal(err)
	}
	return &x509.CertificateRequest{ExtraExtensions: []stdpkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}}}
}

// TestDevice has a device attest itself and gets a certificate for the attested key
// alone, with what was attested in it.
func TestDevice(t *testing.T) {
	_, v, c := newDevices(t)
	for what, csr := range map[string]*x509.CertificateRequest{
		"names nothing":            {},
		"its serial as CN":         {Subject: stdpkix.Name{CommonName: "4711"}},
		"the permanent identifier": withNames(t, mustName(t, "4711")),
	} {
		key := fixture.Key(t)
		url, o, r := c.open(nil, device("4711"))
		if r.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", what, r.status, r.body)
		}
		a := c.readAuthorization(o, 0)
		if len(a.Challenges) != 1 || a.Challenges[0].Type != "device-attest-01" || a.Challenges[0].Token == "" || a.Identifier != device("4711") {
			t.Fatalf("%s: %+v", what, a)
		}
		var answered challengeObject
		c.post(a.Challenges[0].URL, v.attest(key, 4711, c.keyAuthorization(a.Challenges[0].Token))).into(t, &answered)
		if answered.Status != state.Valid {
			t.Fatalf("%s: %+v %s", what, answered, answered.Error)
		}
		o = c.settled(url)
		if r := c.finish(o, fixture.Key(t), csr); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeBadCSR {
			t.Errorf("%s: another key: %d %s", what, r.status, r.body)
		}
		if r := c.finish(o, key, withNames(t, mustName(t, "4712"))); r.problem(t).Type != urn+typeBadCSR {
			t.Errorf("%s: another device: %s", what, r.body)
		}
		if r = c.finish(o, key, csr); r.status != http.StatusOK {
			t.Fatalf("%s: %d %s", what, r.status, r.body)
		}
		r.into(t, &o)
		leaf, err := pkix.ParseCertificate(decodePEM(c.post(o.Certificate, "").body)[0])
		if err != nil {
			t.Fatal(err)
		}
		names, err := leaf.AltNames()
		if err != nil || len(names) != 1 || names[0].String() != "permanent:4711" {
			t.Errorf("%s: %v, %v", what, names, err)
		}
		if got := leaf.Subject.String(); got != "OU=packed,SERIALNUMBER=4711" && got != "SERIALNUMBER=4711,OU=packed" {
			t.Errorf("%s: subject %s", what, got)
		}
	}
}

// A hardware module is named by its type and serial number; a DNS name may stand
// beside it, and the device's name may then be left out of the CSR.
func TestDeviceWithNames(t *testing.T) {
	_, v, c := newDevices(t)
	module, err := pkix.NewHardwareModule(pkix.OID{1, 2, 3}, []byte("TPM-1"))
	if err != nil {
		t.Fatal(err)
	}
	key := fixture.Key(t)
	url, o, r := c.open(nil, state.Identifier{Type: "dns", Value: "a.corp.example"}, state.Identifier{Type: identifierHardware, Value: "TPM-1/1.2.3"})
	if r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	name, hardware := c.readAuthorization(o, 0), c.readAuthorization(o, 1)
	var types []string
	for _, ch := range name.Challenges {
		types = append(types, ch.Type)
	}
	if diff := cmp.Diff([]string{"http-01", "dns-01", "tls-alpn-01"}, types); diff != "" { // interop rule 5
		t.Error(diff)
	}
	c.post(name.Challenges[0].URL, "{}")
	c.post(hardware.Challenges[0].URL, v.attest(key, 1, c.keyAuthorization(hardware.Challenges[0].Token), module))
	o = c.settled(url)
	if r := c.finish(o, fixture.Key(t), &x509.CertificateRequest{DNSNames: []string{"a.corp.example"}}); r.problem(t).Type != urn+typeBadCSR {
		t.Errorf("another key: %s", r.body)
	}
	if r := c.finish(o, key, withNames(t, module)); r.problem(t).Type != urn+typeBadCSR {
		t.Errorf("without the DNS name: %s", r.body)
	}
	if r := c.finish(o, key, &x509.CertificateRequest{DNSNames: []string{"a.corp.example"}}); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// What is wrong with an attestation ends challenge and order, and is said.
func TestDeviceRefused(t *testing.T) {
	_, v, c := newDevices(t)
	other := newVendor(t)
	for what, answer := range map[string]func(token string) string{
		"another token":   func(string) string { return v.attest(fixture.Key(t), 4711, c.keyAuthorization("x")) },
		"another account": func(token string) string { return v.attest(fixture.Key(t), 4711, token+".x") },
		"another device":  func(token string) string { return v.attest(fixture.Key(t), 4712, c.keyAuthorization(token)) },
		"another root":    func(token string) string { return other.attest(fixture.Key(t), 4711, c.keyAuthorization(token)) },
		"nothing":         func(string) string { return "{}" },
		"an error":        func(string) string { return `{"error":"no TPM"}` },
	} {
		url, o, _ := c.open(nil, device("4711"))
		a := c.readAuthorization(o, 0)
		var answered challengeObject
		c.post(a.Challenges[0].URL, answer(a.Challenges[0].Token)).into(t, &answered)
		if answered.Status != state.Invalid || !strings.Contains(string(answered.Error), urn+"badAttestationStatement") {
			t.Errorf("%s: %+v %s", what, answered, answered.Error)
		}
		if o = c.settled(url); o.Status != state.Invalid || !strings.Contains(string(o.Error), "badAttestationStatement") {
			t.Errorf("%s: order %+v", what, o)
		}
	}
	for what, id := range map[string]state.Identifier{
		"empty":                 device(""),
		"only an assigner":      device("/1.2.3"),
		"no OID":                device("a/b"),
		"an OID not in form":    device("a/1.02.3"),
		"two slashes":           device("a/1.2/3"),
		"not UTF-8":             {Type: identifierPermanent, Value: "a\x00"},
		"long":                  device(strings.Repeat("a", maxDevice+1)),
		"a module without type": {Type: identifierHardware, Value: "TPM-1"},
	} {
		if _, _, r := c.open(nil, id); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeMalformed {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	plain := c.b.registered("one")
	if _, _, r := plain.open(nil, device("4711")); r.problem(t).Type != urn+typeRejectedIdentifier {
		t.Errorf("where no device attests itself: %s", r.body)
	}
}

// An external account of one device cannot be used with another, nor an order name two.
func TestSameDevice(t *testing.T) {
	module, err := pkix.NewHardwareModule(pkix.OID{1, 2}, []byte("TPM-1"))
	if err != nil {
		t.Fatal(err)
	}
	evidence := func(device pkix.GeneralName) claim.ValidatedAuthorization {
		return claim.ValidatedAuthorization{ID: "a", Owner: "o", Device: device, Challenge: claim.DeviceAttest01,
			Status: "valid", Validated: time.Now(), Expires: time.Now().Add(time.Hour), Now: time.Now()}
	}
	v := claim.NewVerifier(caller.ACME)
	must := func(c claim.Claim, err error) claim.Claim {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	serial := func(text string) claim.Claim {
		return must(claim.FromAttestation(v, evidence(mustName(t, "x")), claim.Serial, text))
	}
	named := func(n pkix.GeneralName) claim.Claim { return must(claim.FromAuthorization(v, evidence(n))) }
	account := func(device string) claim.Claim {
		who, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: "t", Endpoint: "e", Account: "a", Status: "valid",
			KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, Binding: &caller.Binding{Credential: "k", Device: device}, At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		all, err := claim.FromCredential(v, who)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		return all[0]
	}
	for what, c := range map[string]struct {
		claims []claim.Claim
		good   bool
	}{
		"nothing":                {nil, true},
		"no attestation":         {[]claim.Claim{account("1")}, true},
		"one serial twice":       {[]claim.Claim{serial("1"), serial("1")}, true},
		"two serials":            {[]claim.Claim{serial("1"), serial("2")}, false},
		"its serial":             {[]claim.Claim{account("1"), named(mustName(t, "UDID")), serial("1")}, true},
		"another serial":         {[]claim.Claim{account("2"), named(mustName(t, "UDID")), serial("1")}, false},
		"its name":               {[]claim.Claim{account("SN"), named(mustName(t, "SN/1.2.3"))}, true},
		"its name with assigner": {[]claim.Claim{account("SN/1.2.3"), named(mustName(t, "SN/1.2.3"))}, true},
		"another name":           {[]claim.Claim{account("SN"), named(mustName(t, "SM"))}, false},
		"its module":             {[]claim.Claim{account("TPM-1"), named(module)}, true},
		"another module":         {[]claim.Claim{account("TPM-2"), named(module)}, false},
	} {
		if err := sameDevice(c.claims); (err == nil) != c.good {
			t.Errorf("%s: %v", what, err)
		}
	}
}
