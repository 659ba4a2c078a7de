package lint

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"sync"
	"testing"
	"time"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

var signers = sync.OnceValue(func() map[string]crypto.Signer {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	ec2, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"ec": ec, "ec2": ec2, "ed": ed, "rsa": r}
})

func publicKey(t testing.TB, name string) pkix.PublicKey {
	t.Helper()
	key, err := pkix.NewPublicKey(signers()[name].Public())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// must gives an encoder's result or ends the test.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func subject(t testing.TB, attributes ...pkix.Attribute) pkix.RawName {
	t.Helper()
	var rdns []pkix.RDN
	for _, a := range attributes {
		rdns = append(rdns, pkix.RDN{a})
	}
	return must[pkix.RawName](t)(pkix.MarshalName(rdns))
}

func utf8(oid pkix.OID, text string) pkix.Attribute {
	return pkix.Attribute{Type: oid, Tag: 12, Value: []byte(text)}
}

func altNames(t testing.TB, names ...string) pkix.Extension {
	t.Helper()
	var all []pkix.GeneralName
	for _, n := range names {
		all = append(all, pkix.DNS(n))
	}
	return must[pkix.Extension](t)(pkix.MarshalSubjectAltName(all, false))
}

// good is a template that passes, for a key of signers().
func good(t testing.TB, key string) *pkix.Template {
	t.Helper()
	pub, issuer := publicKey(t, key), publicKey(t, "ec")
	ext := must[pkix.Extension](t)
	notAfter := time.Date(2027, 3, 1, 11, 59, 59, 0, time.UTC)
	serial := ca.NewSerial(notAfter)
	return &pkix.Template{
		Serial: serial[:], Signature: must[*pkix.SignatureAlgorithm](t)(pkix.SignatureFor(issuer)),
		Issuer: subject(t, utf8(oidCommonName, "Test CA")), Subject: subject(t, utf8(oidCommonName, "host.example")), Key: pub,
		NotBefore: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), NotAfter: notAfter,
		Extensions: []pkix.Extension{
			ext(pkix.MarshalBasicConstraints(false, -1)),
			ext(pkix.MarshalKeyUsage(pkix.DigitalSignature)),
			ext(pkix.MarshalExtKeyUsage([]pkix.OID{pkix.ExtKeyUsages["serverAuth"], pkix.ExtKeyUsages["clientAuth"]}, false)),
			ext(pkix.MarshalSubjectKeyID(pub.KeyID())),
			ext(pkix.MarshalAuthorityKeyID(issuer.KeyID())),
			ext(pkix.MarshalAuthorityInfoAccess([]string{"http://pki.example/ocsp"}, []string{"http://pki.example/ca.cer"})),
			ext(pkix.MarshalCRLDistributionPoints([]string{"http://pki.example/ca.crl"})),
			ext(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example"), pkix.DNS("*.host.example"), {Kind: pkix.IPAddress, Raw: []byte{192, 0, 2, 1}}}, false)),
		},
	}
}

// set replaces the extension of the same id.
func set(t *pkix.Template, e pkix.Extension) {
	for i := range t.Extensions {
		if t.Extensions[i].ID.Equal(e.ID) {
			t.Extensions[i] = e
			return
		}
	}
	t.Extensions = append(t.Extensions, e)
}

func remove(t *pkix.Template, id pkix.OID) {
	var kept []pkix.Extension
	for _, e := range t.Extensions {
		if !e.ID.Equal(id) {
			kept = append(kept, e)
		}
	}
	t.Extensions = kept
}

func TestGoodPasses(t *testing.T) {
	for key := range signers() {
		template := good(t, key)
		if err := (Linter{}).Lint(must[[]byte](t)(template.MarshalTBS()), template, ""); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		template.NotAfter = pkix.NoExpiry
		if err := (Linter{}).Lint(must[[]byte](t)(template.MarshalTBS()), template, ""); err != nil {
			t.Errorf("%s without expiry: %v", key, err)
		}
	}
	authority := good(t, "rsa")
	ext := must[pkix.Extension](t)
	set(authority, ext(pkix.MarshalBasicConstraints(true, 0)))
	set(authority, ext(pkix.MarshalKeyUsage(pkix.KeyCertSign|pkix.CRLSign)))
	if err := (Linter{}).Lint(must[[]byte](t)(authority.MarshalTBS()), authority, ""); err != nil {
		t.Errorf("a CA certificate: %v", err)
	}
}

// Each rule shown failing, on bytes that the encoder makes.
var breaks = map[string]func(t testing.TB, c *pkix.Template){
	"serial": func(t testing.TB, c *pkix.Template) { c.Serial = []byte{1} },
	"subject-attribute": func(t testing.TB, c *pkix.Template) {
		c.Subject = subject(t, utf8(oidCommonName, strings.Repeat("x", 65)))
	},
	"country": func(t testing.TB, c *pkix.Template) {
		c.Subject = subject(t, pkix.Attribute{Type: oidCountry, Tag: 19, Value: []byte("de")})
	},
	"string-type": func(t testing.TB, c *pkix.Template) { c.Subject = subject(t, utf8(oidSerialNumber, "12")) },
	"ca-subject": func(t testing.TB, c *pkix.Template) {
		ext := must[pkix.Extension](t)
		set(c, ext(pkix.MarshalBasicConstraints(true, -1)))
		set(c, ext(pkix.MarshalKeyUsage(pkix.KeyCertSign)))
		set(c, ext(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example")}, true)))
		c.Subject = pkix.EmptyName
	},
	"issuer":          func(t testing.TB, c *pkix.Template) { c.Issuer = pkix.EmptyName },
	"key-identifiers": func(t testing.TB, c *pkix.Template) { remove(c, pkix.OIDAuthorityKeyID) },
	"key-usage":       func(t testing.TB, c *pkix.Template) { remove(c, pkix.OIDKeyUsage) },
	"key-usage-ca": func(t testing.TB, c *pkix.Template) {
		set(c, must[pkix.Extension](t)(pkix.MarshalKeyUsage(pkix.KeyCertSign)))
	},
	"key-usage-key": func(t testing.TB, c *pkix.Template) {
		set(c, must[pkix.Extension](t)(pkix.MarshalKeyUsage(pkix.KeyEncipherment)))
	},
	"basic-constraints": func(t testing.TB, c *pkix.Template) {
		ext := must[pkix.Extension](t)
		e := ext(pkix.MarshalBasicConstraints(true, -1))
		e.Critical = false
		set(c, e)
		set(c, ext(pkix.MarshalKeyUsage(pkix.KeyCertSign)))
	},
	"ext-key-usage": func(t testing.TB, c *pkix.Template) {
		set(c, must[pkix.Extension](t)(pkix.MarshalExtKeyUsage([]pkix.OID{{1, 2, 3}, {1, 2, 3}}, false)))
	},
	"san-critical": func(t testing.TB, c *pkix.Template) { c.Subject = pkix.EmptyName },
	"san-dns": func(t testing.TB, c *pkix.Template) {
		set(c, must[pkix.Extension](t)(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example"), pkix.DNS("bad host")}, false)))
	},
	"san-email": func(t testing.TB, c *pkix.Template) {
		set(c, must[pkix.Extension](t)(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example"), {Kind: pkix.RFC822Name, Raw: []byte("Some One <a@b>")}}, false)))
	},
	"san-twice": func(t testing.TB, c *pkix.Template) {
		set(c, must[pkix.Extension](t)(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example"), pkix.DNS("host.example")}, false)))
	},
	"cn-in-san": func(t testing.TB, c *pkix.Template) { c.Subject = subject(t, utf8(oidCommonName, "Other.example")) },
	"urls": func(t testing.TB, c *pkix.Template) {
		set(c, must[pkix.Extension](t)(pkix.MarshalCRLDistributionPoints([]string{"file:///etc/crl"})))
	},
	"san-uri": func(t testing.TB, c *pkix.Template) {
		set(c, must[pkix.Extension](t)(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example"), {Kind: pkix.URI, Raw: []byte("relative")}}, false)))
	},
	"criticality": func(t testing.TB, c *pkix.Template) {
		set(c, pkix.Extension{ID: pkix.OID{2, 5, 29, 16}, Critical: true, Value: []byte{5, 0}})
	},
	"no-rev-avail": func(t testing.TB, c *pkix.Template) { set(c, unavailable) },
}

// unavailable is noRevAvail (RFC 9608 section 2).
var unavailable = pkix.Extension{ID: pkix.OIDNoRevAvail, Value: []byte{5, 0}}

// withoutPlaces takes away where a status would be found.
func withoutPlaces(t testing.TB, c *pkix.Template) {
	remove(c, pkix.OIDCRLDistPoints)
	set(c, must[pkix.Extension](t)(pkix.MarshalAuthorityInfoAccess(nil, []string{"http://pki.example/ca.cer"})))
	set(c, unavailable)
}

func TestNoRevAvailPasses(t *testing.T) {
	c := good(t, "ec")
	withoutPlaces(t, c)
	if err := (Linter{}).Lint(must[[]byte](t)(c.MarshalTBS()), c, ""); err != nil {
		t.Error(err)
	}
}

// Rules that our own encoder never breaks, shown failing on what was read.
var breaksRead = map[string]func(c *certificate){
	"signature-digest":  func(c *certificate) { legacy := *c.Algorithm; legacy.Legacy = true; c.Algorithm = &legacy },
	"usage-purpose":     func(c *certificate) { c.usage = pkix.NonRepudiation },
	"validity-order":    func(c *certificate) { c.NotBefore, c.NotAfter = c.NotAfter, c.NotBefore },
	"validity-encoding": func(c *certificate) { c.times[1].tag = casn1.GeneralizedTime },
}

func TestEachRuleFails(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			template := good(t, "ec")
			if change, ok := breaks[r.name]; ok {
				change(t, template)
				err := Linter{}.Lint(must[[]byte](t)(template.MarshalTBS()), template, "")
				if e := ca.AsError(err); !ca.IsKind(err, ca.Denied) || !strings.Contains(e.Err.Error(), r.section) || e.Rule == "" || e.Public == "" {
					t.Errorf("got %v, want Denied by %s", err, r.section)
				}
			}
			parsed := must[*pkix.Certificate](t)(pkix.ParseTBS(must[[]byte](t)(template.MarshalTBS())))
			c := must[*certificate](t)(newCertificate(parsed))
			if change, ok := breaksRead[r.name]; ok {
				change(c)
			}
			for _, f := range c.check() {
				if f.Rule == r.name {
					return
				}
			}
			t.Errorf("the rule does not fail on a certificate that breaks it: %v", c.check())
		})
	}
}

// The branches of rules with more than one.
func TestRuleBranches(t *testing.T) {
	ext := must[pkix.Extension](t)
	loose := func(e pkix.Extension, critical bool) pkix.Extension { e.Critical = critical; return e }
	for name, c := range map[string]struct {
		key, rule string
		change    func(c *pkix.Template)
	}{
		"serial not ours": {"ec", "serial", func(c *pkix.Template) { c.Serial = bytes.Repeat([]byte{1}, 20) }},
		"country letters": {"ec", "country", func(c *pkix.Template) {
			c.Subject = subject(t, pkix.Attribute{Type: oidCountry, Tag: 19, Value: []byte("D1")})
		}},
		"email type":         {"ec", "string-type", func(c *pkix.Template) { c.Subject = subject(t, utf8(oidEmail, "a@example")) }},
		"no SKI":             {"ec", "key-identifiers", func(c *pkix.Template) { remove(c, pkix.OIDSubjectKeyID) }},
		"wrong SKI":          {"ec", "key-identifiers", func(c *pkix.Template) { set(c, ext(pkix.MarshalSubjectKeyID(make([]byte, 20)))) }},
		"usage not critical": {"ec", "key-usage", func(c *pkix.Template) { set(c, loose(ext(pkix.MarshalKeyUsage(pkix.DigitalSignature)), false)) }},
		"usage without a bit": {"ec", "key-usage", func(c *pkix.Template) {
			set(c, pkix.Extension{ID: pkix.OIDKeyUsage, Critical: true, Value: []byte{3, 2, 7, 0}})
		}},
		"CA without sign":      {"ec", "key-usage-ca", func(c *pkix.Template) { set(c, ext(pkix.MarshalBasicConstraints(true, -1))) }},
		"agreement by Ed25519": {"ed", "key-usage-key", func(c *pkix.Template) { set(c, ext(pkix.MarshalKeyUsage(pkix.KeyAgreement))) }},
		"critical any":         {"ec", "ext-key-usage", func(c *pkix.Template) { set(c, ext(pkix.MarshalExtKeyUsage([]pkix.OID{{2, 5, 29, 37, 0}}, true))) }},
		"critical SAN": {"ec", "san-critical", func(c *pkix.Template) {
			set(c, ext(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example")}, true)))
		}},
		"nobody": {"ec", "san-critical", func(c *pkix.Template) { c.Subject = pkix.EmptyName; remove(c, pkix.OIDSubjectAltName) }},
		"upper-case DNS": {"ec", "san-dns", func(c *pkix.Template) {
			set(c, ext(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example"), pkix.DNS("HOST.example")}, false)))
		}},
		"responder beside noRevAvail": {"ec", "no-rev-avail", func(c *pkix.Template) {
			withoutPlaces(t, c)
			set(c, ext(pkix.MarshalAuthorityInfoAccess([]string{"http://pki.example/ocsp"}, []string{"http://pki.example/ca.cer"})))
		}},
		"freshest beside noRevAvail": {"ec", "no-rev-avail", func(c *pkix.Template) {
			withoutPlaces(t, c)
			set(c, ext(pkix.MarshalFreshestCRL([]string{"http://pki.example/d.crl"})))
		}},
		"critical noRevAvail": {"ec", "no-rev-avail", func(c *pkix.Template) { withoutPlaces(t, c); set(c, loose(unavailable, true)) }},
		"noRevAvail not NULL": {"ec", "no-rev-avail", func(c *pkix.Template) {
			withoutPlaces(t, c)
			set(c, pkix.Extension{ID: pkix.OIDNoRevAvail, Value: []byte{0x30, 0}})
		}},
		"CA with noRevAvail": {"ec", "no-rev-avail", func(c *pkix.Template) {
			withoutPlaces(t, c)
			set(c, ext(pkix.MarshalBasicConstraints(true, -1)))
		}},
		"URL without host": {"ec", "urls", func(c *pkix.Template) { set(c, ext(pkix.MarshalAuthorityInfoAccess(nil, []string{"http:///ca.cer"}))) }},
	} {
		template := good(t, c.key)
		c.change(template)
		parsed := must[*pkix.Certificate](t)(pkix.ParseTBS(must[[]byte](t)(template.MarshalTBS())))
		found := false
		for _, f := range must[*certificate](t)(newCertificate(parsed)).check() {
			found = found || f.Rule == c.rule
		}
		if !found {
			t.Errorf("%s: rule %s does not fail", name, c.rule)
		}
	}
}

// Bytes that are not what the template says, and bytes that do not read back.
func TestOtherBytes(t *testing.T) {
	for name, change := range map[string]func(c *pkix.Template){
		"serial": func(c *pkix.Template) { c.Serial = append([]byte{c.Serial[0]}, make([]byte, 15)...) },
		"algorithm": func(c *pkix.Template) {
			c.Signature = must[*pkix.SignatureAlgorithm](t)(pkix.SignatureFor(publicKey(t, "ed")))
		},
		"issuer":      func(c *pkix.Template) { c.Issuer = subject(t, utf8(oidCommonName, "Other CA")) },
		"not before":  func(c *pkix.Template) { c.NotBefore = c.NotBefore.Add(time.Second) },
		"not after":   func(c *pkix.Template) { c.NotAfter = c.NotAfter.Add(time.Second) },
		"subject":     func(c *pkix.Template) { c.Subject = subject(t, utf8(oidCommonName, "a.example")) },
		"key":         func(c *pkix.Template) { c.Key = publicKey(t, "rsa") },
		"extension":   func(c *pkix.Template) { c.Extensions[0].Critical = false },
		"order":       func(c *pkix.Template) { c.Extensions[0], c.Extensions[1] = c.Extensions[1], c.Extensions[0] },
		"one is gone": func(c *pkix.Template) { c.Extensions = c.Extensions[1:] },
	} {
		template := good(t, "ec")
		tbs := must[[]byte](t)(template.MarshalTBS())
		change(template)
		if err := (Linter{}).Lint(tbs, template, ""); !ca.IsKind(err, ca.Internal) {
			t.Errorf("%s: %v, want Internal", name, err)
		}
	}
	for name, change := range map[string]func(c *pkix.Template){
		"twice":        func(c *pkix.Template) { c.Extensions = append(c.Extensions, c.Extensions[0]) },
		"empty usages": func(c *pkix.Template) { set(c, pkix.Extension{ID: pkix.OIDExtKeyUsage, Value: []byte{0x30, 0}}) },
		"short address": func(c *pkix.Template) {
			set(c, pkix.Extension{ID: pkix.OIDSubjectAltName, Value: []byte{0x30, 3, 0x87, 1, 1}})
		},
		"URLs": func(c *pkix.Template) {
			set(c, pkix.Extension{ID: pkix.OIDAuthorityInfoAccess, Value: []byte{0x30, 0}})
		},
		"only x509 sees": func(c *pkix.Template) { set(c, pkix.Extension{ID: pkix.OIDCertificatePolicies, Value: []byte{5, 0}}) },
		"path length too": func(c *pkix.Template) {
			set(c, pkix.Extension{ID: pkix.OIDBasicConstraints, Critical: true, Value: []byte{0x30, 3, 2, 1, 0x80}})
		},
		"usage not a string": func(c *pkix.Template) {
			set(c, pkix.Extension{ID: pkix.OIDKeyUsage, Critical: true, Value: []byte{4, 0}})
		},
	} {
		template := good(t, "ec")
		change(template)
		if err := (Linter{}).Lint(must[[]byte](t)(template.MarshalTBS()), template, ""); !ca.IsKind(err, ca.Internal) {
			t.Errorf("%s: %v, want Internal", name, err)
		}
	}
	if err := (Linter{}).Lint([]byte("nonsense"), good(t, "ec"), ""); !ca.IsKind(err, ca.Internal) {
		t.Errorf("nonsense: %v", err)
	}
}
