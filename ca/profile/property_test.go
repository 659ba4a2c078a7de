package profile

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// holdInvariants checks what must be true of any decision under a profile
// without grants: names are a subset of claims, nothing forbidden came from
// the request, and the whole passes lint.
func holdInvariants(t fatal, r *ca.Request, d *ca.Decision) {
	t.Helper()
	proven := map[string]bool{}
	for _, c := range r.Claims {
		proven[c.Name().Key()] = true
	}
	seen := map[string]bool{}
	for _, n := range d.AltNames {
		if !proven[n.Key()] {
			t.Fatalf("issued %s, which nobody proved", n)
		}
		if seen[n.Key()] {
			t.Fatalf("issued %s twice", n)
		}
		seen[n.Key()] = true
	}
	rdns, err := pkix.ParseName(d.Subject)
	if err != nil {
		t.Fatalf("subject: %v", err)
	}
	for _, rdn := range rdns {
		for _, a := range rdn {
			text, _ := a.Text()
			if !a.Type.Equal(oidCommonName) || !proven[pkix.DNS(text).Key()] {
				t.Fatalf("issued the subject %s, which nobody proved", d.Subject)
			}
		}
	}
	ids := map[string]bool{}
	for _, e := range d.Extensions {
		if ids[e.ID.String()] {
			t.Fatalf("extension %s twice", e.ID)
		}
		ids[e.ID.String()] = true
		asked, ok := pkix.FindExtension(r.Asserted.Extensions, e.ID)
		if ok && !slices.ContainsFunc([]pkix.OID{pkix.OIDCertificatePolicies, pkix.OIDMSApplicationPolicy}, e.ID.Equal) && bytes.Equal(asked.Value, e.Value) &&
			!slices.ContainsFunc([]pkix.OID{pkix.OIDBasicConstraints, pkix.OIDKeyUsage, pkix.OIDExtKeyUsage, pkix.OIDSubjectKeyID, pkix.OIDAuthorityKeyID, pkix.OIDSubjectAltName}, e.ID.Equal) {
			t.Fatalf("extension %s was taken from the request", e.ID)
		}
	}
	if san, ok := pkix.FindExtension(d.Extensions, pkix.OIDSubjectAltName); !ok || san.Critical != d.Subject.Empty() {
		t.Fatalf("subjectAltName present %v and critical %v beside subject %q", ok, san.Critical, d.Subject)
	} else if names, err := pkix.ParseGeneralNames(san.Value); err != nil || len(names) != len(d.AltNames) {
		t.Fatalf("subjectAltName holds %v (%v), the record %v", names, err, d.AltNames)
	}
	if isCA, _, err := pkix.ParseBasicConstraints(d.Extensions[0].Value); err != nil || isCA {
		t.Fatalf("basicConstraints: cA %v, %v", isCA, err)
	}
	if usage, err := pkix.ParseKeyUsageValue(d.Extensions[1].Value); err != nil || usage&^(pkix.DigitalSignature|pkix.DataEncipherment) != 0 {
		t.Fatalf("keyUsage: %v, %v", usage.Names(), err)
	}
	issuer, serial := facts(t), ca.NewSerial(d.NotAfter)
	template := &pkix.Template{Serial: serial[:], Signature: issuer.Signature, Issuer: issuer.Subject, NotBefore: d.NotBefore, NotAfter: d.NotAfter,
		Subject: d.Subject, Key: r.Possession.Key(), Extensions: d.Extensions}
	tbs, err := template.MarshalTBS()
	if err != nil {
		t.Fatalf("the decision cannot be encoded: %v", err)
	}
	if err := (lint.Linter{}).Lint(tbs, template, ""); err != nil {
		t.Fatalf("the decision does not pass lint: %v", err)
	}
}

// tricks are texts that look like other ones.
var tricks = []string{"evil.example", "*.example", "host.example.", "admin", "A.EXAMPLE", "a.example\x00.evil", "a.example\u3002evil", "\u212a.example",
	"b\u00fccher.example", "xn--bcher-kva.example", "a.ex\u0430mple", "a.example ", "*", "a..example", "d@corp.example", "d@CORP.example", "d@corp.example\x00@evil", "10.0.0.1"}

// wellFormed are names of every type that can be issued, and some that cannot.
func wellFormed(t fatal) []pkix.GeneralName {
	return []pkix.GeneralName{pkix.DNS("A.corp.example"), pkix.DNS("a.example"), {Kind: pkix.IPAddress, Raw: []byte{10, 0, 0, 1}}, {Kind: pkix.IPAddress, Raw: make([]byte, 16)},
		pkix.NewEmail("d@corp.example"), pkix.NewEmail("d@CORP.example"), pkix.NewEmail("d@other.example"), pkix.NewURI("spiffe://corp.example/d"), pkix.NewURI("https://other.example/"),
		pkix.NewURI("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-500"), upn(t, "d@corp.example"), upn(t, "administrator@corp.example"), hardware(t, "A1"),
		registered(t, 1, 3, 6, 1, 4, 1, 5), registered(t, 1, 2), pkix.NewDirectoryName(subject(t, "C", "US", "O", "x")), pkix.NewDirectoryName(subject(t, "O", "y")),
		customName(t, "\x0c\x08device-1", 1, 2, 3), customName(t, "\x0c\x05admin", 1, 2, 3), customName(t, "\x04\x01S", 1, 3, 6, 1, 4, 1, 311, 25, 2, 1)}
}

// hostile draws what a requester may say.
func hostile(names []string) *rapid.Generator[ca.Asserted] {
	return rapid.Custom(func(t *rapid.T) (a ca.Asserted) {
		text := rapid.OneOf(rapid.SampledFrom(names), rapid.SampledFrom(tricks), rapid.String())
		for range rapid.IntRange(0, 5).Draw(t, "names") {
			kind := pkix.NameKind(rapid.SampledFrom([]int{2, 2, 2, 2, 0, 1, 3, 4, 5, 6, 7, 8}).Draw(t, "kind"))
			a.AltNames = append(a.AltNames, pkix.GeneralName{Kind: kind, Raw: []byte(text.Draw(t, "name"))})
		}
		a.AltNames = append(a.AltNames, rapid.SliceOfN(rapid.SampledFrom(wellFormed(t)), 0, 3).Draw(t, "well-formed names")...)
		var rdns []pkix.RDN
		for range rapid.IntRange(0, 3).Draw(t, "rdns") {
			var rdn pkix.RDN
			for range rapid.IntRange(1, 2).Draw(t, "attributes") {
				oid := rapid.SampledFrom([]pkix.OID{oidCommonName, oidCommonName, {2, 5, 4, 10}, {1, 2, 840, 113549, 1, 9, 1}}).Draw(t, "type")
				tag := rapid.SampledFrom([]uint8{12, 19, 22, 20, 30, 28}).Draw(t, "tag")
				rdn = append(rdn, pkix.Attribute{Type: oid, Tag: tag, Value: []byte(text.Draw(t, "value"))})
			}
			rdns = append(rdns, rdn)
		}
		raw, err := pkix.MarshalName(rdns)
		if err != nil {
			t.Fatalf("subject: %v", err)
		}
		a.Subject = raw
		var ids []pkix.OID
		for text := range forbidden {
			oid, _ := pkix.ParseOID(text)
			ids = append(ids, oid)
		}
		slices.SortFunc(ids, func(a, b pkix.OID) int { return strings.Compare(a.String(), b.String()) })
		ids = append(ids, pkix.OIDCertificatePolicies, pkix.OIDMSTemplate)
		for range rapid.IntRange(0, 4).Draw(t, "extensions") {
			value := rapid.OneOf(rapid.SampledFrom([][]byte{{0x30, 0}, {0x30, 6, 0x30, 4, 6, 2, 0x2a, 3}, {0x30, 3, 1, 1, 0xff}}), rapid.SliceOf(rapid.Byte())).Draw(t, "value")
			a.Extensions = append(a.Extensions, pkix.Extension{ID: rapid.SampledFrom(ids).Draw(t, "id"), Critical: rapid.Bool().Draw(t, "critical"), Value: value})
		}
		return a
	})
}

func TestNamesAreASubsetOfClaims(t *testing.T) {
	names := []string{"a.example", "b.example", "*.c.example", longest, "d.example"}
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	var profiles []*Profile
	for _, w := range all[:6] {
		profiles = append(profiles, compiled(t, w))
	}
	w := minimal()
	w.SubjectAltName.DNS.Allow, w.SubjectAltName.DNS.Max, w.CopyCNToDNS = []string{"a.example", "*.example.com", "d.example"}, number(2), true
	profiles = append(profiles, compiled(t, w))
	owned, f := possession(t, "ecdsa-p256"), facts(t)
	issued := 0
	rapid.Check(t, func(t *rapid.T) {
		r := &ca.Request{Possession: owned, Asserted: hostile(names).Draw(t, "asserted")}
		for _, n := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "claims") {
			r.Claims = append(r.Claims, proof(t, n, rapid.SampledFrom(methodsFor(n)).Draw(t, "method")))
		}
		d, err := rapid.SampledFrom(profiles).Draw(t, "profile").Decide(r, f, now)
		if err != nil {
			if !ca.IsKind(err, ca.Denied) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		issued++
		holdInvariants(t, r, d)
	})
	if issued == 0 {
		t.Error("no request was ever granted, so nothing was tested")
	}
}

func methodsFor(name string) []claim.Method {
	if strings.HasPrefix(name, "*.") {
		return []claim.Method{claim.DNS01}
	}
	return []claim.Method{claim.HTTP01, claim.DNS01}
}

// FuzzDecide takes the raw DER of a CSR. Its names count as proven where they
// are those of the fixed claims; the rest is only asserted.
func FuzzDecide(f *testing.F) {
	for _, der := range csrSeeds(f) {
		f.Add(der)
	}
	p, owned, issuer := builtin(f, "privatessl-tls-client-server-supply-san"), possession(f, "ecdsa-p256"), facts(f)
	wide := every()
	grants := compiled(f, wide)
	claims := []claim.Claim{proof(f, "a.example", claim.HTTP01), proof(f, "*.b.example", claim.DNS01)}
	f.Fuzz(func(t *testing.T, der []byte) {
		csr, err := pkix.ParseCSR(der)
		if err != nil {
			return
		}
		r := &ca.Request{Possession: owned, Claims: claims, Asserted: ca.Asserted{Subject: csr.Subject, AltNames: csr.AltNames, Extensions: csr.Extensions}}
		if d, err := grants.Decide(&ca.Request{Possession: owned, Claims: claims[:1], Asserted: r.Asserted}, issuer, now); err == nil {
			holdGrants(t, wide, grants, &ca.Request{Claims: claims[:1], Asserted: r.Asserted}, d)
		}
		d, err := p.Decide(r, issuer, now)
		if err != nil {
			if !ca.IsKind(err, ca.Denied) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		holdInvariants(t, r, d)
	})
}

// csrSeeds are requests as clients send them, and some as attackers would.
func csrSeeds(t fatal) (all [][]byte) {
	sid := stdpkix.Extension{Id: asn1.ObjectIdentifier(pkix.OIDMSSecurityID), Value: []byte{0x30, 0}}
	policies := stdpkix.Extension{Id: asn1.ObjectIdentifier(pkix.OIDCertificatePolicies), Value: []byte{0x30, 6, 0x30, 4, 6, 2, 0x2a, 3}}
	constraints := stdpkix.Extension{Id: asn1.ObjectIdentifier(pkix.OIDBasicConstraints), Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}
	for _, c := range []x509.CertificateRequest{
		{},
		{DNSNames: []string{"a.example"}},
		{Subject: stdpkix.Name{CommonName: "A.example"}, DNSNames: []string{"a.example", "*.b.example", "a.example"}},
		{Subject: stdpkix.Name{CommonName: "evil.example", Organization: []string{"Bank"}}, DNSNames: []string{"a.example"}},
		{DNSNames: []string{"a.example"}, ExtraExtensions: []stdpkix.Extension{sid, policies, constraints}},
		{DNSNames: []string{"a.example"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, EmailAddresses: []string{"a@a.example"}, URIs: []*url.URL{{Scheme: "tag", Opaque: "x:sid:S-1-5"}}},
	} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &c, keys()["ecdsa-p256"])
		if err != nil {
			t.Fatalf("seed: %v", err)
		}
		all = append(all, der)
	}
	for _, n := range wellFormed(t) {
		san, err := pkix.MarshalSubjectAltName([]pkix.GeneralName{n, n}, false)
		if err != nil {
			t.Fatalf("seed: %v", err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: stdpkix.Name{CommonName: "x"},
			ExtraExtensions: []stdpkix.Extension{{Id: asn1.ObjectIdentifier(pkix.OIDSubjectAltName), Value: san.Value}}}, keys()["ecdsa-p256"])
		if err != nil {
			t.Fatalf("seed: %v", err)
		}
		all = append(all, der)
	}
	return all
}
