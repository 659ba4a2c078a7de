package equality_test

import (
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/test/equality"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// sample is a certificate with every kind of field, for a key of its own.
func sample(t *testing.T, public any, serial byte, start time.Time) *pkix.Template {
	t.Helper()
	key := fixture.Must(pkix.NewPublicKey(public))(t)
	_, isRSA := public.(*rsa.PublicKey)
	usage := pkix.DigitalSignature
	if isRSA {
		usage |= pkix.KeyEncipherment
	}
	made := &pkix.Template{Serial: slices.Repeat([]byte{serial}, 16), Issuer: fixture.Name(t, fixture.UTF8(t, "O", "Test")), Subject: fixture.Name(t, fixture.UTF8(t, "CN", "host.example"), fixture.Printable(t, "O", "Acme")),
		NotBefore: start, NotAfter: start.Add(time.Hour), Key: key,
		Signature: fixture.Must(pkix.SignatureFor(fixture.Must(pkix.NewPublicKey(fixture.Key(t).Public()))(t)))(t)}
	shard := map[bool]string{true: "g2-s7", false: "g2-s31"}[isRSA]
	made.Extensions = []pkix.Extension{
		fixture.Must(pkix.MarshalBasicConstraints(false, -1))(t),
		fixture.Must(pkix.MarshalKeyUsage(usage))(t),
		fixture.Must(pkix.MarshalExtKeyUsage([]pkix.OID{{1, 3, 6, 1, 5, 5, 7, 3, 1}, {1, 3, 6, 1, 5, 5, 7, 3, 2}}, false))(t),
		fixture.Must(pkix.MarshalSubjectKeyID(key.KeyID()))(t),
		fixture.Must(pkix.MarshalAuthorityKeyID([]byte{1, 2, 3}))(t),
		fixture.Must(pkix.MarshalCRLDistributionPoints([]string{"http://pki.example/crl/default/issuing/" + shard + ".crl"}))(t),
		fixture.Must(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example"), pkix.NewEmail("a@host.example")}, false))(t),
	}
	return made
}

func parsed(t *testing.T, template *pkix.Template) *pkix.Certificate {
	t.Helper()
	return fixture.Must(pkix.ParseTBS(fixture.Must(template.MarshalTBS())(t)))(t)
}

// TestMask: certificates that differ in everything that is masked are the same;
// one that differs in anything else is another one.
func TestMask(t *testing.T) {
	curve, modulus := fixture.Key(t), fixture.Must(rsa.GenerateKey(rand.Reader, 2048))(t)
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	one := func() *pkix.Template { return sample(t, curve.Public(), 1, start) }
	two := func() *pkix.Template { return sample(t, modulus.Public(), 2, start.Add(time.Minute)) }
	if found := equality.Compare(parsed(t, one()), parsed(t, two())); found != nil {
		t.Fatalf("what is masked counts: %v", found)
	}
	cut := two() // at the issuer's end, as one's would be
	cut.NotAfter = one().NotAfter
	if found := equality.Compare(parsed(t, one()), parsed(t, cut)); found != nil {
		t.Fatalf("certificates that end with their issuer: %v", found)
	}

	replaced := func(c *pkix.Template, e pkix.Extension) {
		c.Extensions[slices.IndexFunc(c.Extensions, func(have pkix.Extension) bool { return have.ID.Equal(e.ID) })] = e
	}
	critical := func(c *pkix.Template, id pkix.OID) {
		at := slices.IndexFunc(c.Extensions, func(have pkix.Extension) bool { return have.ID.Equal(id) })
		c.Extensions[at].Critical = !c.Extensions[at].Critical
	}
	mutants := map[string]struct {
		field  string // that the difference is found in
		change func(c *pkix.Template)
	}{
		"a longer serial number": {"length of the serial", func(c *pkix.Template) { c.Serial = append(c.Serial, 1) }},
		"another signature":      {"signature algorithm", func(c *pkix.Template) { c.Signature = fixture.Must(pkix.SignatureFor(c.Key))(t) }},
		"another issuer":         {"issuer", func(c *pkix.Template) { c.Issuer = fixture.Name(t, fixture.UTF8(t, "O", "Other")) }},
		"a longer life":          {"validity", func(c *pkix.Template) { c.NotAfter = c.NotAfter.Add(time.Second) }},
		"another value": {"subject", func(c *pkix.Template) {
			c.Subject = fixture.Name(t, fixture.UTF8(t, "CN", "Host.example"), fixture.Printable(t, "O", "Acme"))
		}},
		"another string type": {"subject", func(c *pkix.Template) {
			c.Subject = fixture.Name(t, fixture.UTF8(t, "CN", "host.example"), fixture.UTF8(t, "O", "Acme"))
		}},
		"another order": {"subject", func(c *pkix.Template) {
			c.Subject = fixture.Name(t, fixture.Printable(t, "O", "Acme"), fixture.UTF8(t, "CN", "host.example"))
		}},
		"one RDN of two": {"subject", func(c *pkix.Template) {
			c.Subject = fixture.Must(pkix.MarshalName([]pkix.RDN{{fixture.UTF8(t, "CN", "host.example"), fixture.Printable(t, "O", "Acme")}}))(t)
		}},
		"an attribute more": {"subject", func(c *pkix.Template) {
			c.Subject = fixture.Name(t, fixture.UTF8(t, "CN", "host.example"), fixture.Printable(t, "O", "Acme"), fixture.Printable(t, "C", "DE"))
		}},
		"an extension more": {"number of extensions", func(c *pkix.Template) {
			c.Extensions = append(c.Extensions, pkix.Extension{ID: pkix.OIDOCSPNoCheck, Value: []byte{5, 0}})
		}},
		"an extension less":  {"number of extensions", func(c *pkix.Template) { c.Extensions = c.Extensions[:6] }},
		"extensions in turn": {"extension at place", func(c *pkix.Template) { c.Extensions[2], c.Extensions[3] = c.Extensions[3], c.Extensions[2] }},
		"a CA":               {"2.5.29.19", func(c *pkix.Template) { replaced(c, fixture.Must(pkix.MarshalBasicConstraints(true, -1))(t)) }},
		"another key usage": {"2.5.29.15", func(c *pkix.Template) {
			replaced(c, fixture.Must(pkix.MarshalKeyUsage(pkix.DigitalSignature|pkix.NonRepudiation))(t))
		}},
		"a key usage less": {"2.5.29.15", func(c *pkix.Template) { replaced(c, fixture.Must(pkix.MarshalKeyUsage(pkix.KeyEncipherment))(t)) }},
		"usages in turn": {"2.5.29.37", func(c *pkix.Template) {
			replaced(c, fixture.Must(pkix.MarshalExtKeyUsage([]pkix.OID{{1, 3, 6, 1, 5, 5, 7, 3, 2}, {1, 3, 6, 1, 5, 5, 7, 3, 1}}, false))(t))
		}},
		"another key's identifier": {"2.5.29.14", func(c *pkix.Template) { replaced(c, fixture.Must(pkix.MarshalSubjectKeyID(one().Key.KeyID()))(t)) }},
		"another issuer's key":     {"2.5.29.35", func(c *pkix.Template) { replaced(c, fixture.Must(pkix.MarshalAuthorityKeyID([]byte{1, 2, 4}))(t)) }},
		"another generation": {"2.5.29.31", func(c *pkix.Template) {
			replaced(c, fixture.Must(pkix.MarshalCRLDistributionPoints([]string{"http://pki.example/crl/default/issuing/g3-s7.crl"}))(t))
		}},
		"no shard": {"2.5.29.31", func(c *pkix.Template) {
			replaced(c, fixture.Must(pkix.MarshalCRLDistributionPoints([]string{"http://pki.example/crl/default/issuing/g2.crl"}))(t))
		}},
		"another CA's list": {"2.5.29.31", func(c *pkix.Template) {
			replaced(c, fixture.Must(pkix.MarshalCRLDistributionPoints([]string{"http://pki.example/crl/default/spare/g2-s7.crl"}))(t))
		}},
		"names in turn": {"2.5.29.17", func(c *pkix.Template) {
			replaced(c, fixture.Must(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.NewEmail("a@host.example"), pkix.DNS("host.example")}, false))(t))
		}},
		"a name less": {"2.5.29.17", func(c *pkix.Template) {
			replaced(c, fixture.Must(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.example")}, false))(t))
		}},
	}
	for _, e := range one().Extensions {
		mutants["criticality of "+e.ID.String()] = struct {
			field  string
			change func(c *pkix.Template)
		}{e.ID.String() + " critical", func(c *pkix.Template) { critical(c, e.ID) }}
	}
	for name, mutant := range mutants {
		c := two()
		mutant.change(c)
		found := equality.Compare(parsed(t, one()), parsed(t, c))
		elsewhere := slices.ContainsFunc(found, func(d equality.Difference) bool { return !strings.Contains(d.String(), mutant.field) })
		if len(found) == 0 || elsewhere {
			t.Errorf("%s: %v, want a difference in %s alone", name, found, mutant.field)
		}
	}

	// Keys of one type have the same usages.
	c := two()
	c.Key, c.Extensions[3] = one().Key, one().Extensions[3]
	if found := equality.Compare(parsed(t, one()), parsed(t, c)); len(found) != 1 || !strings.Contains(found[0].Field, "2.5.29.15") {
		t.Errorf("other usages for a key of the same type: %v", found)
	}
	// What was not read from fields is compared as octets.
	odd := parsed(t, two())
	odd.RawTBS = append(slices.Clone(odd.RawTBS), 0)
	if found := equality.Compare(parsed(t, one()), odd); len(found) != 1 || !strings.Contains(found[0].Field, "to-be-signed") {
		t.Errorf("octets beside the fields: %v", found)
	}
}
