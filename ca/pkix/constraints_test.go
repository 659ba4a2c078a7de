package pkix

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func subtree(t testing.TB, text string) GeneralName {
	t.Helper()
	kind, value, _ := strings.Cut(text, ":")
	kinds := map[string]NameKind{"dns": DNSName, "email": RFC822Name, "uri": URI, "ip": IPAddress}
	return must[GeneralName](t)(Subtree(kinds[kind], value))
}

func subtrees(t testing.TB, texts ...string) (all []GeneralName) {
	for _, text := range texts {
		all = append(all, subtree(t, text))
	}
	return all
}

func named(t testing.TB, text string) GeneralName {
	kind, value, _ := strings.Cut(text, ":")
	switch kind {
	case "dns":
		return DNS(value)
	case "ip":
		return IP(netip.MustParseAddr(value))
	case "email":
		return GeneralName{RFC822Name, []byte(value)}
	case "uri":
		return GeneralName{URI, []byte(value)}
	case "rid":
		return GeneralName{RegisteredID, unhex(t, value)}
	}
	t.Fatal(text)
	return GeneralName{}
}

// TestNameConstraints holds our answer against crypto/x509, which verifies a
// chain that carries our extension.
func TestNameConstraints(t *testing.T) {
	for _, c := range []struct {
		permitted, excluded []string
		yes, no             []string
		laxer               []string // refused by RFC 5280, which crypto/x509 does not follow there
	}{
		{permitted: []string{"dns:example.com"}, yes: []string{"dns:example.com", "dns:a.b.example.com", "dns:*.example.com", "dns:EXAMPLE.com", "ip:192.0.2.1"},
			no: []string{"dns:example.org", "dns:badexample.com", "dns:com"}},
		{permitted: []string{"dns:.example.com"}, yes: []string{"dns:a.example.com"}, no: []string{"dns:example.org"}},
		{permitted: []string{"dns:example.com", "dns:example.org"}, excluded: []string{"dns:secret.example.com"}, yes: []string{"dns:a.example.com", "dns:example.org", "dns:*.a.example.com"},
			no: []string{"dns:secret.example.com", "dns:x.secret.example.com", "dns:*.secret.example.com", "dns:*.example.com"}},
		{permitted: []string{"ip:192.0.2.0/24", "ip:2001:db8::/32"}, yes: []string{"ip:192.0.2.7", "ip:2001:db8::1", "dns:any.example"}, no: []string{"ip:192.0.3.7", "ip:2001:db9::1"}},
		{excluded: []string{"ip:0.0.0.0/0"}, yes: []string{"ip:2001:db8::1", "dns:a.example"}, no: []string{"ip:10.0.0.1"}},
		{permitted: []string{"email:example.com", "email:root@example.org", "email:.example.net"}, yes: []string{"email:a@example.com", "email:root@example.org", "email:x@mail.example.net"},
			laxer: []string{"email:a@mail.example.com"}, no: []string{"email:other@example.org", "email:x@example.net"}},
		{permitted: []string{"uri:host.example", "uri:.below.example"}, yes: []string{"uri:https://host.example/x", "uri:https://a.below.example:8443/"},
			laxer: []string{"uri:https://a.host.example/"}, no: []string{"uri:https://below.example/", "uri:https://192.0.2.1/"}},
	} {
		constraints := &NameConstraints{subtrees(t, c.permitted...), subtrees(t, c.excluded...)}
		for _, group := range []struct {
			names []string
			ok    bool
			other bool // crypto/x509's answer
		}{{c.yes, true, true}, {c.no, false, false}, {c.laxer, false, true}} {
			for _, text := range group.names {
				n := named(t, text)
				if err := constraints.Check(EmptyName, []GeneralName{n}); (err == nil) != group.ok {
					t.Errorf("%v: %s: %v", c, text, err)
				}
				if err := verifyBelow(t, constraints, n); (err == nil) != group.other {
					t.Errorf("%v: %s: crypto/x509 says %v", c, text, err)
				}
			}
		}
	}
}

// verifyBelow has crypto/x509 verify a certificate with the name below a CA with the constraints.
func verifyBelow(t *testing.T, c *NameConstraints, n GeneralName) error {
	t.Helper()
	ext := must[Extension](t)(MarshalNameConstraints(c))
	key := signers()["ecdsa-p256"]
	now := time.Now()
	issue := func(cn string, isCA bool, serial int64, parent *x509.Certificate, extensions ...Extension) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: stdpkix.Name{CommonName: cn}, NotBefore: now.Add(-time.Hour),
			NotAfter: now.Add(time.Hour), IsCA: isCA, BasicConstraintsValid: true}
		if isCA {
			template.KeyUsage = x509.KeyUsageCertSign
		}
		for _, e := range extensions {
			template.ExtraExtensions = append(template.ExtraExtensions, stdpkix.Extension{Id: e.ID, Critical: e.Critical, Value: e.Value})
		}
		if parent == nil {
			parent = template
		}
		return must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key))))
	}
	root := issue("root", true, 1, nil)
	middle := issue("middle", true, 2, root, ext)
	leaf := issue("leaf", false, 3, middle, must[Extension](t)(MarshalSubjectAltName([]GeneralName{n}, false)))
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	between.AddCert(middle)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// TestConstraintsOnDirectoryNames: what crypto/x509 does not look at.
func TestConstraintsOnDirectoryNames(t *testing.T) {
	attribute := func(name, text string) RDN {
		oid, ok := AttributeOID(name)
		if !ok {
			t.Fatal(name)
		}
		return RDN{must[Attribute](t)(NewAttribute(oid, text))}
	}
	base := mustName(t, attribute("C", "DE"), attribute("O", "Example Ltd"))
	below := mustName(t, attribute("C", "DE"), attribute("O", "EXAMPLE  ltd"), attribute("CN", "device"))
	beside := mustName(t, attribute("C", "DE"), attribute("O", "Other"))
	mailed := mustName(t, attribute("Email", "a@example.org"))
	constraints := &NameConstraints{Permitted: []GeneralName{{DirectoryName, base}}, Excluded: []GeneralName{subtree(t, "email:example.org"), {OtherName, unhex(t, "06022a03a00302010a")}}}
	for name, c := range map[string]struct {
		subject RawName
		names   []GeneralName
		ok      bool
	}{
		"below":                {below, nil, true},
		"the base":             {base, nil, true},
		"beside":               {beside, nil, false},
		"above":                {mustName(t, attribute("C", "DE")), nil, false},
		"empty":                {EmptyName, nil, true},
		"beside, as a name":    {below, []GeneralName{{DirectoryName, beside}}, false},
		"email in the subject": {mailed, nil, false},
		"another kind":         {below, []GeneralName{{OtherName, unhex(t, "06022a03a00302010b")}}, false}, // cannot be compared
	} {
		if err := constraints.Check(c.subject, c.names); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	only := &NameConstraints{Excluded: []GeneralName{subtree(t, "email:example.org")}}
	if err := only.Check(mailed, nil); err == nil {
		t.Error("an excluded mailbox in the subject passes")
	}
}

func TestMalformedConstraints(t *testing.T) {
	for name, value := range map[string]string{
		"empty":             "3000",
		"empty permitted":   "3002a000",
		"not a sequence":    "0500",
		"trailing":          "3007a00530038201610500",
		"minimum 1":         "300aa008300682016180010 1",
		"unknown tag":       "3007a00530038901 61",
		"short address":     "3009a0073005870301 02 03",
		"mask with a hole":  "300ea00c300a8708c0000200ff00ff00",
		"NUL in a DNS name": "3008a0063004820261 00",
	} {
		der, err := hex.DecodeString(strings.ReplaceAll(value, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c, err := ParseNameConstraints(der); err == nil {
			t.Errorf("%s: %v", name, c)
		}
	}
	for _, text := range []string{"192.0.2.1", "192.0.2.1/24", "x"} {
		if _, err := Subtree(IPAddress, text); err == nil {
			t.Errorf("%s passes", text)
		}
	}
}

// FuzzNameConstraints: what parses encodes to what parses to the same, and no
// comparison panics.
func FuzzNameConstraints(f *testing.F) {
	for _, c := range []*NameConstraints{
		{Permitted: subtrees(f, "dns:example.com", "ip:192.0.2.0/24")},
		{Excluded: subtrees(f, "uri:.example.com", "email:a@example.com", "dns:")},
		{Permitted: []GeneralName{{DirectoryName, EmptyName}}},
	} {
		f.Add(must[Extension](f)(MarshalNameConstraints(c)).Value, "https://host.example.com/")
	}
	f.Fuzz(func(t *testing.T, der []byte, text string) {
		c, err := ParseNameConstraints(der)
		if err != nil {
			return
		}
		for _, kind := range []NameKind{DNSName, RFC822Name, URI} {
			if err := c.Check(EmptyName, []GeneralName{{kind, []byte(text)}}); err != nil && err.Error() == "" {
				t.Fatal("a refusal without a text")
			}
		}
		again := must[Extension](t)(MarshalNameConstraints(c))
		if !bytes.Equal(again.Value, der) {
			t.Fatalf("%x becomes %x", der, again.Value)
		}
		if _, err := url.Parse(text); err == nil {
			_ = c.Check(EmptyName, []GeneralName{{URI, []byte(text)}, {IPAddress, []byte{192, 0, 2, 1}}})
		}
	})
}
