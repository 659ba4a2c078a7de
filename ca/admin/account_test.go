package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// issuerFacts are those of an issuer that publishes everything.
func issuerFacts(t *testing.T) *ca.Facts {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pkix.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	algorithm, err := pkix.SignatureFor(key)
	if err != nil {
		t.Fatal(err)
	}
	name, err := hierarchy.Name("Example Ltd", "Issuing CA")
	if err != nil {
		t.Fatal(err)
	}
	return &ca.Facts{Tenant: "default", CA: "issuing", Subject: name, KeyID: key.KeyID(), Key: key, Signature: algorithm,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0), AIA: []string{"http://pki.example/a.cer"},
		CDP: []string{"http://pki.example/a.crl"}, OCSP: []string{"http://pki.example/ocsp"}}
}

// requestFor asks for what a profile of any kind can use: an RSA key, a subject
// of many attributes, extensions, and a proven name and address.
func requestFor(t *testing.T) *ca.Request {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: stdpkix.Name{CommonName: "host.example",
		Organization: []string{"Asserted"}, OrganizationalUnit: []string{"One", "Two"}, Country: []string{"DE"}, SerialNumber: "123"}}, private)
	if err != nil {
		t.Fatal(err)
	}
	csr, possession, err := claim.VerifyCSR(der, false)
	if err != nil {
		t.Fatal(err)
	}
	dns, err := claim.FromAuthorization(claim.NewVerifier(caller.ACME), claim.ValidatedAuthorization{ID: "az", Owner: "o", Identifier: "host.example",
		Challenge: claim.HTTP01, Status: "valid", Validated: now, Expires: now.Add(time.Hour), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ip, err := claim.FromServiceName(claim.NewVerifier(caller.System), claim.ServiceName{Owner: "o", IP: netip.MustParseAddr("192.0.2.1"), At: now})
	if err != nil {
		t.Fatal(err)
	}
	policies, err := pkix.MarshalCertificatePolicies([]pkix.OID{{1, 2, 3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	return &ca.Request{Endpoint: "e", Operation: ca.Enroll, Possession: possession, Claims: []claim.Claim{dns, ip},
		Asserted: ca.Asserted{Subject: csr.Subject, Extensions: []pkix.Extension{policies, {ID: pkix.OID{1, 2, 3, 5}, Value: []byte{0x04, 0x01, 0x07}}}}}
}

// certificateOf encodes a decision; nothing here looks at the signature.
func certificateOf(t *testing.T, d *ca.Decision, r *ca.Request, f *ca.Facts) *pkix.Certificate {
	t.Helper()
	serial := ca.NewSerial(d.NotAfter)
	tbs, err := (&pkix.Template{Serial: serial[:], Signature: f.Signature, Issuer: f.Subject, NotBefore: d.NotBefore, NotAfter: d.NotAfter,
		Subject: d.Subject, Key: r.Possession.Key(), Extensions: d.Extensions}).MarshalTBS()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pkix.ParseTBS(tbs)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// profiles are the built-in ones and one for each way to write a subject.
func profiles(t *testing.T) (all []*profile.Profile) {
	t.Helper()
	written, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	base := func(id string, s profile.WrittenSubject) profile.Written {
		return profile.Written{ID: id, Keys: []string{"rsa-2048"}, KeyUsage: profile.WrittenKeyUsage{Bits: []string{"digitalSignature"}},
			ExtKeyUsage: profile.WrittenExtKeyUsage{Mode: "none"}, Validity: profile.WrittenValidity{Default: "P1Y"}, Subject: s,
			SubjectAltName: profile.WrittenAltName{DNS: &profile.WrittenNames{Methods: []string{"http-01"}}, IP: &profile.WrittenNames{Methods: []string{"service"}}}}
	}
	cnAndOU := []profile.WrittenGrant{{Attribute: "CN", Match: []string{"*"}}, {Attribute: "OU", Match: []string{"*"}}}
	fixed := base("fixed", profile.WrittenSubject{Template: []map[string]string{{"O": "Constant"}, {"CN": "everybody"}}})
	fixed.Policies, fixed.RequestExtensions = []string{"1.2.3.9", "1.2.3.10"}, []string{"1.2.3.5"}
	open := base("granted", profile.WrittenSubject{Asserted: cnAndOU})
	open.RequestExtensions = []string{"certificatePolicies", "1.2.3.5"}
	authority := profile.Written{ID: "sub-ca", Kind: profile.KindCA, PathLen: new(int), Keys: []string{"rsa-2048"}, Validity: profile.WrittenValidity{Default: "P1Y"},
		KeyUsage: profile.WrittenKeyUsage{Bits: []string{"keyCertSign", "cRLSign"}}, ExtKeyUsage: profile.WrittenExtKeyUsage{Mode: "none"},
		Subject: profile.WrittenSubject{Template: []map[string]string{{"CN": "Sub CA"}}}}
	responder := base("responder", profile.WrittenSubject{CNFromFirstDNS: true})
	responder.Kind, responder.ExtKeyUsage = profile.KindResponder, profile.WrittenExtKeyUsage{Mode: "fixed", Values: []string{"OCSPSigning"}}
	rich := base("rich", profile.WrittenSubject{Parent: []map[string]string{{"C": "DE"}}, Template: []map[string]string{{"CN": "<dns.1>"}, {"T": "<directory.title?>"}}})
	rich.Policies, rich.PolicyQualifiers = []string{"1.2.3.9"}, []profile.WrittenQualifier{{Policy: "1.2.3.9", CPS: "https://a.example/cps", Notice: strings.Repeat("long ", 30)}}
	rich.Extensions = []profile.WrittenExtension{{OID: "1.2.3.7", Type: "utf8", Value: "of <dns.1>"}, {OID: "1.2.3.8", Type: "null"}, {OID: "1.2.3.6", Type: "utf8", Value: "<serial?>"}}
	rich.SMIMECapabilities, rich.MSTemplate = []string{"aes256-gcm"}, &profile.WrittenMSTemplate{Name: "Machine"}
	rich.Approval, rich.Renewal, rich.Unique = "manual", profile.WrittenRenewal{Window: "33%"}, profile.WrittenUnique{Key: "ca", SAN: "tenant"}
	rich.Rules = []profile.WrittenRule{{Require: "len(names) > 0", Deny: "Name something."}}
	first := base("first", profile.WrittenSubject{CNFrom: []string{"ip", "dns"}, Parent: []map[string]string{{"O": "Above"}}})
	written = append(written, rich, first, fixed, open, authority, responder, base("nobody", profile.WrittenSubject{}),
		base("variable", profile.WrittenSubject{Template: []map[string]string{{"O": "Of <dns.1>", "OU": "<OU.2>"}, {"CN": "<ip.1>"}}, Asserted: cnAndOU[1:]}))
	for _, w := range written {
		p, err := profile.Compile(w)
		if err != nil {
			t.Fatalf("%s: %v", w.ID, err)
		}
		all = append(all, p)
	}
	return all
}

// aside tells whether a line is about the request and not about what the certificate says.
func aside(name string) bool {
	return name == "approval" || name == "renewal" || strings.HasPrefix(name, "unique.") || strings.HasPrefix(name, "rules.")
}

// TestAccountComplete: whatever the profile, every part of the certificate has a
// line; and without any one of those lines it has not.
func TestAccountComplete(t *testing.T) {
	facts := issuerFacts(t)
	for _, p := range profiles(t) {
		r := requestFor(t)
		var d *ca.Decision
		var err error
		both := r.Claims
		for i, claims := range [][]claim.Claim{both, both[:1], both[1:], nil, both[1:]} { // as much as the profile takes
			if r.Claims = claims; i == 4 {
				r.Asserted.Subject = nil
			}
			if d, err = p.Decide(r, facts, now); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", p.ID(), err)
		}
		cert := certificateOf(t, d, r, facts)
		lines, unexplained := Account(cert, d.Fields)
		if len(unexplained) > 0 || len(lines) != len(d.Fields)+4 {
			t.Errorf("%s: %d lines, unexplained %q", p.ID(), len(lines), unexplained)
		}
		for i, f := range d.Fields {
			if f.Source == "asserted" || f.Value == "" || f.Name == "san" || aside(f.Name) {
				continue // says what is not in the certificate
			}
			rest := slices.Concat(d.Fields[:i], d.Fields[i+1:])
			if _, unexplained := Account(cert, rest); len(unexplained) == 0 && !slices.ContainsFunc(rest, func(o ca.Field) bool { return o.Name == f.Name && o.Value == f.Value }) {
				t.Errorf("%s: nobody misses the line %s", p.ID(), f.Name)
			}
			changed := slices.Clone(d.Fields)
			changed[i].Value = "x" + f.Value
			if _, unexplained := Account(cert, changed); len(unexplained) == 0 {
				t.Errorf("%s: nobody sees that %s was changed", p.ID(), f.Name)
			}
			asked := slices.Clone(d.Fields)
			asked[i].Source = "asserted"
			if _, unexplained := Account(cert, asked); len(unexplained) == 0 {
				t.Errorf("%s: what was asked for and left out explains %s", p.ID(), f.Name)
			}
		}
	}
}

// TestAccountStranger: parts that no profile makes are named.
func TestAccountStranger(t *testing.T) {
	facts := issuerFacts(t)
	r := requestFor(t)
	all := profiles(t)
	p := all[slices.IndexFunc(all, func(p *profile.Profile) bool { return p.ID() == "granted" })]
	d, err := p.Decide(r, facts, now)
	if err != nil {
		t.Fatal(err)
	}
	san, err := pkix.MarshalSubjectAltName([]pkix.GeneralName{{Kind: pkix.URI, Raw: []byte("urn:x")}}, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]pkix.Extension{
		"extension the Microsoft security identifier 0500": {ID: pkix.OIDMSSecurityID, Value: []byte{5, 0}},
		"extension 1.2.3.6 0500":                           {ID: pkix.OID{1, 2, 3, 6}, Value: []byte{5, 0}},
		"extension 1.2.3.5 0500":                           {ID: pkix.OID{1, 2, 3, 5}, Value: []byte{5, 0}}, // not the recorded value
		"san.uri uri:urn:x":                                san,
	} {
		cert := certificateOf(t, d, r, facts)
		cert.Extensions = append(cert.Extensions, e)
		if _, got := Account(cert, d.Fields); len(got) != 1 || got[0] != name {
			t.Errorf("%q, want %q", got, name)
		}
	}
	cert := certificateOf(t, d, r, facts)
	cert.Subject = facts.Subject
	if _, got := Account(cert, d.Fields); strings.Join(got, "|") != "subject.O Example Ltd|subject.CN Issuing CA" {
		t.Errorf("another subject: %q", got)
	}
}
