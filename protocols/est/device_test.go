package est

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	enrollpkix "github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/fixture"
)

func bigOf(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// maker is a manufacturer of devices: a root and a CA below it.
type maker struct {
	root, between *x509.Certificate
	sign          func(*x509.Certificate, any) []byte
}

func newMaker(t *testing.T, name string) *maker {
	t.Helper()
	m := &maker{}
	rootKey, key := fixture.Key(t), fixture.Key(t)
	create := func(template, parent *x509.Certificate, public, by any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	authority := func(cn string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	m.root = create(authority(" root"), authority(" root"), rootKey.Public(), rootKey)
	m.between = create(authority(" issuing"), m.root, key.Public(), rootKey)
	m.sign = func(template *x509.Certificate, public any) []byte {
		return create(template, m.between, public, key).Raw
	}
	return m
}

// device makes an IDevID: a serialNumber, and a hardware module name in a critical
// subjectAltName, which Go does not read.
func (m *maker) device(t *testing.T, serial string, change ...func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	name, err := enrollpkix.NewHardwareModule(enrollpkix.OID{1, 3, 6, 1, 4, 1, 99999, 1}, []byte("HW-"+serial))
	if err != nil {
		t.Fatal(err)
	}
	san, err := enrollpkix.MarshalSubjectAltName([]enrollpkix.GeneralName{name, enrollpkix.DNS("maker.example")}, true)
	if err != nil {
		t.Fatal(err)
	}
	key := fixture.Key(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{SerialNumber: serial}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:        time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier(san.ID), Critical: true, Value: san.Value}}}
	for _, f := range change {
		f(template)
	}
	return &tls.Certificate{Certificate: [][]byte{m.sign(template, key.Public()), m.between.Raw}, PrivateKey: key}
}

// deviceKit lets in devices of a maker; the certificate says which device it is.
func deviceKit(t *testing.T, m *maker) *kit {
	return newKit(t, func(k *kit) {
		k.change = func(w *profile.Written) {
			w.Subject.Asserted, w.Acknowledge = nil, nil
			w.Subject.Template = []map[string]string{{"O": "Example"}, {"SERIALNUMBER": "<serial>"}}
		}
		k.adapt = func(o *Options) { o.Own[o.Endpoints[0].ID] = Own{DeviceRoots: []*x509.Certificate{m.root}} }
	}, endpointOf("one", "issuing", signing, byDevice, byCertificate))
}

// TestDeviceCertificate: what a device's own certificate says gets into the one that
// it is issued, and that one renews itself.
func TestDeviceCertificate(t *testing.T) {
	m := newMaker(t, "Maker")
	k := deviceKit(t, m)
	key := fixture.Key(t)
	q := sent{method: "POST", path: at + "/simpleenroll", mediaType: "application/pkcs10", certificate: m.device(t, "C-1"), body: []byte(base64.StdEncoding.EncodeToString(fixture.CSR(t, key, "")))}
	c := k.issued(k.do(q))
	parsed, err := enrollpkix.ParseCertificate(c.Raw)
	if err != nil {
		t.Fatal(err)
	}
	names, err := parsed.AltNames()
	if err != nil || len(names) != 1 || names[0].String() != "hardware:1.3.6.1.4.1.99999.1/HW-C-1" || c.Subject.SerialNumber != "C-1" {
		t.Errorf("%s %v %v", c.Subject, names, err)
	}
	detail, _, err := k.Store.Decision(t.Context(), "one", "issuing", ca.Serial(c.SerialNumber.Bytes()))
	if err != nil || strings.Count(string(detail), `"source":"certificate `) < 2 {
		t.Errorf("%s %v", detail, err)
	}
	mine := &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
	if again := k.issued(k.reenroll(fixture.CSR(t, fixture.Key(t), ""), mine)); again.Subject.SerialNumber != "C-1" {
		t.Errorf("%s", again.Subject)
	}
}

func TestDeviceCertificateRefused(t *testing.T) {
	m, stranger := newMaker(t, "Maker"), newMaker(t, "Maker")
	k := deviceKit(t, m)
	body := []byte(base64.StdEncoding.EncodeToString(fixture.CSR(t, fixture.Key(t), "")))
	long := m.device(t, "C-1")
	for range maxPresented {
		long.Certificate = append(long.Certificate, m.between.Raw)
	}
	short := m.device(t, "C-1")
	short.Certificate = short.Certificate[:1]
	for name, test := range map[string]struct {
		with *tls.Certificate
		text string
	}{
		"none":               {nil, "wants a TLS client certificate"},
		"of another maker":   {stranger.device(t, "C-1"), "below a device root"},
		"self-signed":        {selfSigned(t, "C-1"), "below a device root"},
		"expired":            {m.device(t, "C-1", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "below a device root"},
		"without its issuer": {short, "below a device root"},
		"with too many":      {long, "below a device root"},
		"a critical unknown": {m.device(t, "C-1", func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 9}, Critical: true, Value: []byte{5, 0}})
		}), "below a device root"},
		"two serial numbers": {m.device(t, "C-1", func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: "C-1"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: "C-2"}}
		}), "cannot be taken over"},
		"a name that lies": {m.device(t, "C-1", func(c *x509.Certificate) { c.Subject = pkix.Name{SerialNumber: "C\n1"} }), "cannot be taken over"},
	} {
		k.refused(name, k.do(sent{method: "POST", path: at + "/simpleenroll", mediaType: "application/pkcs10", certificate: test.with, body: body}), http.StatusForbidden, test.text)
	}
	// A device's own certificate renews nothing.
	k.refused("simplereenroll", k.reenroll(fixture.CSR(t, fixture.Key(t), ""), m.device(t, "C-1")), http.StatusForbidden, "by the certificate that it renews")
}
