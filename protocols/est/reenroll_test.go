package est

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestReenroll: a certificate renews itself, with its key or another one, and
// nobody says who it is for.
func TestReenroll(t *testing.T) {
	k := newKit(t, nil)
	old := k.holder("device-1", k.user("one", 1))
	key := old.PrivateKey.(*ecdsa.PrivateKey)
	for name, csr := range map[string][]byte{
		"the same key": fixture.CSR(t, key, "device-1", "device-1.example"),
		"another key":  fixture.CSR(t, fixture.Key(t), "device-1", "device-1.example"),
		"no names":     fixture.CSR(t, fixture.Key(t), ""),
		"no subject":   fixture.CSR(t, fixture.Key(t), "", "device-1.example"),
		"another case": fixture.CSR(t, fixture.Key(t), "Device-1", "DEVICE-1.example"),
	} {
		c := k.issued(k.reenroll(csr, old))
		if c.Equal(old.Leaf) || len(c.DNSNames) != 1 || c.DNSNames[0] != "device-1.example" || name != "another case" && c.Subject.CommonName != "device-1" {
			t.Errorf("%s: %s %v", name, c.Subject, c.DNSNames)
		}
		if next := k.issued(k.reenroll(csr, old)); !next.Equal(c) {
			t.Errorf("%s: the retry got another certificate", name)
		}
	}
	next := fixture.Key(t)
	c := k.issued(k.reenroll(fixture.CSR(t, next, "device-1", "device-1.example"), old))
	k.issued(k.reenroll(fixture.CSR(t, fixture.Key(t), ""), &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: next}))
}

// TestReenrollOtherNames: RFC 7030 section 4.2.2.
func TestReenrollOtherNames(t *testing.T) {
	k := newKit(t, nil)
	old := k.holder("device-1", k.user("one", 1))
	for name, csr := range map[string][]byte{
		"another subject": fixture.CSR(t, fixture.Key(t), "device-2", "device-1.example"),
		"another name":    fixture.CSR(t, fixture.Key(t), "device-1", "device-2.example"),
		"one name more":   fixture.CSR(t, fixture.Key(t), "device-1", "device-1.example", "device-2.example"),
	} {
		k.refused(name, k.reenroll(csr, old), http.StatusForbidden, "keeps the subject")
	}
}

// TestReenrollAsFirst: the request that a profile made the certificate of renews it,
// although its names are not those of the certificate.
func TestReenrollAsFirst(t *testing.T) {
	k := newKit(t, func(k *kit) {
		k.change = func(w *profile.Written) {
			w.CopyCNToDNS = true
			w.Subject.Asserted[0].Attribute = "CN"
			w.Subject.Template = []map[string]string{{"O": "Example"}, {"CN": "<CN>"}}
		}
	})
	key := fixture.Key(t)
	csr := fixture.CSR(t, key, "device-1.example")
	c := k.issued(k.enroll(csr, k.user("one", 1)))
	if c.Subject.String() != "CN=device-1.example,O=Example" || len(c.DNSNames) != 1 {
		t.Fatalf("%s %v", c.Subject, c.DNSNames)
	}
	old := &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
	if again := k.issued(k.reenroll(csr, old)); again.Subject.String() != c.Subject.String() || again.Equal(c) {
		t.Errorf("%s", again.Subject)
	}
	k.refused("another device", k.reenroll(fixture.CSR(t, key, "device-2.example"), old), http.StatusForbidden, "keeps the subject")
}

// TestReenrollRefused: only a certificate of this very tenant, CA and profile that
// is in force renews itself.
func TestReenrollRefused(t *testing.T) {
	k := newKit(t, nil)
	code := func(tenant string) user { return k.user(tenant, credential.Unlimited) }
	csr := fixture.CSR(t, fixture.Key(t), "")
	elsewhere := func(path, tenant string) *tls.Certificate {
		key, u := fixture.Key(t), code(tenant)
		c := k.issued(k.do(sent{method: "POST", path: path + "/simpleenroll", user: u, mediaType: "application/pkcs10",
			body: []byte(base64.StdEncoding.EncodeToString(fixture.CSR(t, key, "device-1")))}))
		return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
	}
	revoked, held := k.holder("device-2", code("one")), k.holder("device-3", code("one"))
	k.Revoke(revoked.Leaf.SerialNumber.Bytes(), ca.KeyCompromise)
	k.Revoke(held.Leaf.SerialNumber.Bytes(), ca.CertificateHold)
	for name, test := range map[string]struct {
		with *tls.Certificate
		text string
	}{
		"none":               {nil, "as TLS client certificate"},
		"of nobody":          {selfSigned(t, "device-1"), "not issued here"},
		"of another tenant":  {elsewhere("/two/issuing/"+signing, "two"), "not issued here"},
		"of another CA":      {elsewhere("/one/spare/"+signing, "one"), "not issued here"},
		"of another profile": {elsewhere("/one/issuing/"+other, "one"), "another profile"},
		"revoked":            {revoked, "revoked"},
		"held":               {held, "held"},
	} {
		k.refused(name, k.reenroll(csr, test.with), http.StatusForbidden, test.text)
	}
	// Its status counts on a connection that was opened before it changed, too.
	mine := k.holder("device-4", code("one"))
	k.issued(k.reenroll(csr, mine))
	k.Revoke(mine.Leaf.SerialNumber.Bytes(), ca.Superseded)
	k.refused("revoked meanwhile", k.reenroll(csr, mine), http.StatusForbidden, "revoked")
}

// TestCertificateEnrollsNothingElse: with a certificate alone nobody gets another name.
func TestCertificateEnrollsNothingElse(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", credential.Unlimited)
	mine := k.holder("device-1", u)
	q := sent{method: "POST", path: at + "/simpleenroll", mediaType: "application/pkcs10", certificate: mine, body: []byte(base64.StdEncoding.EncodeToString(fixture.CSR(t, fixture.Key(t), "device-2")))}
	k.refused("simpleenroll", k.do(q), http.StatusUnauthorized, "user name")
	q.user = u
	if c := k.issued(k.do(q)); c.Subject.CommonName != "device-2" {
		t.Errorf("%s", c.Subject)
	}
	alone := newKit(t, nil, endpointOf("one", "issuing", signing, byCertificate))
	q.user = user{}
	alone.refused("where a certificate is all that lets in", alone.do(q), http.StatusForbidden, "simplereenroll")
}

// TestGrace: how long after its end a certificate renews itself is the profile's word.
func TestGrace(t *testing.T) {
	for name, test := range map[string]struct {
		grace string
		late  time.Duration // after the certificate's end
		text  string        // of the refusal; "": none
	}{
		"no grace":       {"", time.Hour, "could be renewed until"},
		"within grace":   {"P7D", 6 * 24 * time.Hour, ""},
		"after grace":    {"P7D", 8 * 24 * time.Hour, "could be renewed until"},
		"before its end": {"", -time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, func(k *kit) {
				k.change = func(w *profile.Written) { w.Validity.Default, w.Renewal.Grace = "P10D", test.grace }
			})
			old := k.holder("device-1", k.user("one", 1))
			k.Late(time.Until(old.Leaf.NotAfter) + test.late)
			r := k.reenroll(fixture.CSR(t, fixture.Key(t), ""), old)
			if test.text == "" {
				k.issued(r)
				return
			}
			k.refused(name, r, http.StatusForbidden, test.text)
		})
	}
}

// TestNoRenewal: where the policy does not name certificates, they are not renewed.
func TestNoRenewal(t *testing.T) {
	m := newMaker(t, "Maker")
	k := newKit(t, func(k *kit) {
		k.adapt = func(o *Options) { o.Own[o.Endpoints[0].ID] = Own{DeviceRoots: []*x509.Certificate{m.root}} }
	}, endpointOf("one", "issuing", signing, byDevice))
	key := fixture.Key(t)
	c := k.issued(k.do(sent{method: "POST", path: at + "/simpleenroll", mediaType: "application/pkcs10", certificate: m.device(t, "C-1"),
		body: []byte(base64.StdEncoding.EncodeToString(fixture.CSR(t, key, "device-1")))}))
	k.refused("renewal", k.reenroll(fixture.CSR(t, fixture.Key(t), ""), &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}), http.StatusForbidden, "do not renew themselves")
}

// TestBothMethods: an alternative of two methods wants both.
func TestBothMethods(t *testing.T) {
	k := newKit(t, nil, endpointOf("one", "issuing", signing, byPassword, []caller.Method{caller.Certificate, caller.Password}))
	u := k.user("one", credential.Unlimited)
	old := k.holder("device-1", u)
	strict := newKit(t, nil, endpointOf("one", "issuing", signing, []caller.Method{caller.Certificate, caller.Password}))
	strict.Late(time.Second)
	strict.refused("nobody has both", strict.enroll(fixture.CSR(t, fixture.Key(t), "x"), strict.user("one", credential.Unlimited)), http.StatusForbidden, "client certificate")
	q := sent{method: "POST", path: at + "/simplereenroll", mediaType: "application/pkcs10", certificate: old, body: []byte(base64.StdEncoding.EncodeToString(fixture.CSR(t, fixture.Key(t), "")))}
	k.refused("the certificate alone", k.do(q), http.StatusUnauthorized, "user name")
	q.user = u
	k.issued(k.do(q))
}

// selfSigned is a certificate that nobody knows, with a serial number of our form.
func selfSigned(t *testing.T, cn string) *tls.Certificate {
	t.Helper()
	key := fixture.Key(t)
	serial := ca.NewSerial(time.Now())
	template := &x509.Certificate{SerialNumber: bigOf(serial[:]), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
