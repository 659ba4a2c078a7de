package lint

import (
	"bytes"
	"crypto/sha256"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

type observed struct{ depths, found []string }

func (o *observed) LintDepth(depth string)        { o.depths = append(o.depths, depth) }
func (o *observed) LintFound(rule, action string) { o.found = append(o.found, rule+" "+action) }

// How far lint looks, and that what it remembers about a shape still counts.
func TestDepth(t *testing.T) {
	o, log := &observed{}, &bytes.Buffer{}
	l := must[Linter](t)(New(Options{Log: slog.New(slog.NewTextHandler(log, nil)), Observer: o}))
	pass := func(c *pkix.Template) {
		t.Helper()
		if err := l.Lint(must[[]byte](t)(c.MarshalTBS()), c, "p"); err != nil {
			t.Fatal(err)
		}
	}
	pass(good(t, "ec"))
	other := good(t, "ec")
	other.Key = publicKey(t, "ec2")
	set(other, must[pkix.Extension](t)(pkix.MarshalSubjectKeyID(other.Key.KeyID())))
	other.Subject = subject(t, utf8(oidCommonName, "another.example"))
	set(other, altNames(t, "a.example", "b.example", "c.example", "another.example"))
	pass(other) // no IP address: another shape
	pass(other)
	international := good(t, "ec")
	set(international, altNames(t, "host.example", "xn--bcher-kva.example"))
	pass(international)
	old := good(t, "ec")
	old.NotBefore = time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
	pass(old) // before some rule was in force
	pass(old)
	if want := []string{"full", "full", "known", "values", "full", "full"}; !slices.Equal(o.depths, want) || len(o.found) > 0 || log.Len() > 0 {
		t.Errorf("depths %v, want %v; found %v; log %s", o.depths, want, o.found, log)
	}
	bad := good(t, "rsa") // remembered as bad, too
	set(bad, must[pkix.Extension](t)(pkix.MarshalKeyUsage(pkix.DigitalSignature|pkix.KeyAgreement)))
	for range 2 {
		if err := l.Lint(must[[]byte](t)(bad.MarshalTBS()), bad, ""); !ca.IsKind(err, ca.Denied) || ca.AsError(err).Rule != "RFC 3279: 2.3.1" || ca.AsError(err).Field != "lint.e_rsa_allowed_ku_ee" {
			t.Errorf("%v", err)
		}
	}
	warned := good(t, "ec")
	warned.Subject = subject(t, pkix.Attribute{Type: pkix.OID{2, 5, 4, 10}, Tag: 12, Value: []byte("Example ")})
	pass(warned)
	if !strings.Contains(log.String(), "certificate.lint") || !strings.Contains(log.String(), "w_subject_dn_trailing_whitespace") || !slices.Contains(o.found, "w_subject_dn_trailing_whitespace log") {
		t.Errorf("a warning: log %s, found %v", log, o.found)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a Linter whose warnings nobody reads")
	}
}

// A profile cannot relax the checks of our own.
func TestOursAlwaysRefuse(t *testing.T) {
	policy, problems := ruleset.Compile(&ruleset.Written{Error: "ignore", Warn: "ignore"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	l := must[Linter](t)(New(Options{Log: slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)), Policies: map[string]ruleset.Policy{"p": policy}}))
	for name, change := range breaks {
		c := good(t, "ec")
		change(t, c)
		if err := l.Lint(must[[]byte](t)(c.MarshalTBS()), c, "p"); !ca.IsKind(err, ca.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// CA certificates, self-signed and below another, have no finding.
func TestAuthoritiesPassZlint(t *testing.T) {
	ext := must[pkix.Extension](t)
	for key := range signers() {
		for _, root := range []bool{true, false} {
			c, o := good(t, key), &observed{}
			c.Extensions = []pkix.Extension{ext(pkix.MarshalBasicConstraints(true, 0)), ext(pkix.MarshalKeyUsage(pkix.KeyCertSign | pkix.CRLSign | pkix.DigitalSignature)),
				ext(pkix.MarshalSubjectKeyID(c.Key.KeyID()))}
			c.Subject = c.Issuer
			if !root {
				c.Subject = subject(t, utf8(oidCommonName, "Issuing CA"))
				c.Extensions = append(c.Extensions, ext(pkix.MarshalAuthorityKeyID(publicKey(t, "ec").KeyID())))
			}
			if err := (Linter{observer: o}).Lint(must[[]byte](t)(c.MarshalTBS()), c, ""); err != nil || len(o.found) > 0 {
				t.Errorf("%s, root %v: %v, %v", key, root, o.found, err)
			}
		}
	}
}

// Each part of a certificate that is not a value is in its shape.
func TestShapes(t *testing.T) {
	ext := must[pkix.Extension](t)
	shape := func(c *pkix.Template) [sha256.Size]byte {
		return must[*certificate](t)(read(must[[]byte](t)(c.MarshalTBS()), c)).shape()
	}
	first := shape(good(t, "ec"))
	for name, change := range map[string]func(c *pkix.Template){
		"issuer":      func(c *pkix.Template) { c.Issuer = subject(t, utf8(oidCommonName, "Other CA")) },
		"self-signed": func(c *pkix.Template) { c.Subject = c.Issuer },
		"date type":   func(c *pkix.Template) { c.NotAfter = pkix.NoExpiry },
		"attribute":   func(c *pkix.Template) { c.Subject = subject(t, utf8(pkix.OID{2, 5, 4, 10}, "host.example")) },
		"string type": func(c *pkix.Template) {
			c.Subject = subject(t, pkix.Attribute{Type: oidCommonName, Tag: 19, Value: []byte("host.example")})
		},
		"two RDNs": func(c *pkix.Template) { c.Subject = subject(t, utf8(oidCommonName, "a"), utf8(oidCommonName, "b")) },
		"one RDN": func(c *pkix.Template) {
			c.Subject = must[pkix.RawName](t)(pkix.MarshalName([]pkix.RDN{{utf8(oidCommonName, "a"), utf8(oidCommonName, "b")}}))
		},
		"no subject":   func(c *pkix.Template) { c.Subject = pkix.EmptyName },
		"kinds":        func(c *pkix.Template) { set(c, altNames(t, "host.example", "b.example")) },
		"one name":     func(c *pkix.Template) { set(c, altNames(t, "host.example")) },
		"no extension": func(c *pkix.Template) { remove(c, pkix.OIDCRLDistPoints) },
		"order":        func(c *pkix.Template) { c.Extensions[0], c.Extensions[1] = c.Extensions[1], c.Extensions[0] },
		"criticality":  func(c *pkix.Template) { c.Extensions[1].Critical = false },
		"usage":        func(c *pkix.Template) { set(c, ext(pkix.MarshalKeyUsage(pkix.DigitalSignature|pkix.KeyAgreement))) },
		"URL": func(c *pkix.Template) {
			set(c, ext(pkix.MarshalCRLDistributionPoints([]string{"http://pki.example/2.crl"})))
		},
	} {
		c := good(t, "ec")
		change(c)
		if shape(c) == first {
			t.Errorf("%s does not change the shape", name)
		}
	}
	for _, key := range []string{"ed", "rsa"} {
		if shape(good(t, key)) == first {
			t.Errorf("the key algorithm %s does not change the shape", key)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := &cache{}
	key := func(n int) [sha256.Size]byte { return sha256.Sum256([]byte{byte(n), byte(n >> 8)}) }
	c.put(key(0), []Finding{{Rule: "x"}})
	for n := 1; n < 5*maxShapes; n++ {
		c.put(key(n), nil)
		if n%1000 == 0 { // what is asked for stays
			if got, ok := c.get(key(0)); !ok || len(got) != 1 {
				t.Fatalf("forgotten after %d", n)
			}
		}
	}
	if n := len(c.recent) + len(c.older); n > 2*maxShapes {
		t.Errorf("%d shapes are remembered", n)
	}
	if _, ok := c.get(key(1)); ok {
		t.Error("the oldest is not forgotten")
	}
}

// A panic in code that is not ours is a refusal to sign.
func TestPanicRefuses(t *testing.T) {
	z := &zcertificate{must[*zrules](t)(loadRules()), nil}
	if _, err := z.run(ruleset.Shape); err == nil || !strings.Contains(err.Error(), "zlint panicked") {
		t.Errorf("%v", err)
	}
}
