package pkix

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

func makeCSR(t testing.TB, key string, tpl *x509.CertificateRequest) []byte {
	t.Helper()
	return must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, tpl, signers()[key]))
}

func TestParseCSR(t *testing.T) {
	for name := range signers() {
		der := makeCSR(t, name, &x509.CertificateRequest{Subject: stdpkix.Name{CommonName: "host.example", Organization: []string{"Example"}},
			DNSNames: []string{"host.example", "HOST.example"}, IPAddresses: []net.IP{net.ParseIP("2001:db8::1")}, URIs: []*url.URL{{Scheme: "https", Host: "host.example"}},
			ExtraExtensions: []stdpkix.Extension{{Id: asn1.ObjectIdentifier(OIDKeyUsage), Critical: true, Value: []byte{3, 2, 7, 0x80}}}})
		c := must[*CSR](t)(ParseCSR(der))
		if c.Verified() {
			t.Errorf("%s: verified before Verify", name)
		}
		if err := c.Verify(false); err != nil || !c.Verified() {
			t.Errorf("%s: %v", name, err)
		}
		var names []string
		for _, n := range c.AltNames {
			names = append(names, n.String())
		}
		if got := strings.Join(names, " "); got != "dns:host.example dns:HOST.example ip:2001:db8::1 uri:https://host.example" {
			t.Errorf("%s: names %s", name, got)
		}
		if e, ok := FindExtension(c.Extensions, OIDKeyUsage); !ok || !e.Critical || c.Subject.String() != "O=Example,CN=host.example" || c.Key.Algorithm() != name {
			t.Errorf("%s: %+v, subject %s, key %s", name, e, c.Subject, c.Key.Algorithm())
		}
		for i := range der {
			if _, err := ParseCSR(der[:i]); err == nil {
				t.Fatalf("%s: the first %d octets parse", name, i)
			}
		}
		broken := bytes.Clone(der)
		at := bytes.Index(broken, []byte("HOST"))
		broken[at] = 'G'
		if c, err := ParseCSR(broken); err != nil || c.Verify(false) == nil || c.Verified() {
			t.Errorf("%s: a changed request verifies (%v)", name, err)
		}
	}
}

// A SHA-1 request counts only where the endpoint grants it.
func TestSHA1CSR(t *testing.T) {
	key := signers()["rsa-2048"]
	info := must[*CSR](t)(ParseCSR(makeCSR(t, "rsa-2048", &x509.CertificateRequest{}))).RawInfo
	legacy := signatureByName("sha1WithRSAEncryption")
	signature := must[[]byte](t)(key.Sign(rand.Reader, legacy.Digest(info), crypto.SHA1))
	c := must[*CSR](t)(ParseCSR(must[[]byte](t)(Assemble(info, legacy, signature))))
	if err := c.Verify(false); err == nil || c.Verified() {
		t.Error("SHA-1 was accepted without a grant")
	}
	if err := c.Verify(true); err != nil {
		t.Error(err)
	}
}

// buildCSR encodes a request whose signature means nothing, with attributes given raw.
func buildCSR(t testing.TB, version int64, attributes []byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(version)
		b.AddBytes(EmptyName)
		b.AddBytes(must[PublicKey](t)(NewPublicKey(signers()["ed25519"].Public())).Raw())
		b.AddBytes(attributes)
	})
	return must[[]byte](t)(Assemble(must[[]byte](t)(b.Bytes()), signatureByName("Ed25519"), make([]byte, 64)))
}

func TestCSRAttributes(t *testing.T) {
	request := "301e 06092a864886f70d01090e 3111 300f 300d 0603551d11 0406 3004 8202 612e" // SAN dns:a.
	for name, c := range map[string]struct {
		version    int64
		attributes string
		says       string
	}{
		"no attributes field":  {0, "", ""},
		"empty attributes":     {0, "a000", ""},
		"extension request":    {0, "a020" + request, ""},
		"Microsoft's":          {0, "a021 301f 060a2b0601040182370201 0e 3111 300f 300d 0603551d11 0406 3004 8202 612e", ""},
		"unknown attribute":    {0, "a00a 3008 06022a03 3102 0500", ""},
		"version 1":            {1, "", "version 1"},
		"two requests":         {0, "a040" + request + request, "more than one"},
		"empty request":        {0, "a011 300f 06092a864886f70d01090e 3102 3000", ""},
		"two values":           {0, "a013 3011 06092a864886f70d01090e 3104 3000 3000", "malformed extension request"},
		"value not a list":     {0, "a00f 300d 06092a864886f70d01090e 3100", "malformed extension request"},
		"broken attribute":     {0, "a004 3002 0500", "malformed attribute"},
		"bytes after":          {0, "a000 0500", "malformed attributes"},
		"duplicate extensions": {0, "a02f 302d 06092a864886f70d01090e 3120 301e 300d 0603551d11 0406 3004 8202 612e 300d 0603551d11 0406 3004 8202 612e", "twice"},
		"empty names":          {0, "a01c 301a 06092a864886f70d01090e 310d 300b 3009 0603551d11 0402 3000", "empty list"},
	} {
		_, err := ParseCSR(buildCSR(t, c.version, unhex(t, c.attributes)))
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	many := bytes.Repeat(unhex(t, "3008 06022a03 3102 0500"), 33)
	if _, err := ParseCSR(buildCSR(t, 0, append([]byte{0xa0, 0x82, byte(len(many) >> 8), byte(len(many))}, many...))); err == nil || !strings.Contains(err.Error(), "more than 32") {
		t.Errorf("33 attributes: %v", err)
	}
	if _, err := ParseCSR(make([]byte, MaxCSR+1)); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("too long: %v", err)
	}
}
