package profile

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/store/memory"
)

// expected is one line of testdata/catalogue.txt.
type expected struct {
	ID, Kind, PathLen, KeyUsage, Mode, Usages, Critical, Default, Maximum, Names, Requested, Made, CopyCN string
}

func readCatalogue(t testing.TB) (all []expected) {
	t.Helper()
	text, err := os.ReadFile("testdata/catalogue.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) != 13 {
			t.Fatalf("line %q has %d fields", line, len(f))
		}
		all = append(all, expected{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11], f[12]})
	}
	if len(all) != 79 {
		t.Fatalf("the catalogue has %d profiles, want 79", len(all))
	}
	return all
}

func list(values []string) string {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return "-"
	}
	return strings.Join(sorted, ",")
}

// The built-in profiles are the 79 of the field and the gateway's own, and
// say what the catalogue says.
func TestBuiltinMatchesTheCatalogue(t *testing.T) {
	got := map[string]expected{}
	all, err := BuiltinProfiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if strings.HasPrefix(p.ID(), "gateway-") {
			continue
		}
		w := p.Written()
		e := expected{p.ID(), w.Kind, "-", list(w.KeyUsage.Bits), w.ExtKeyUsage.Mode, list(w.ExtKeyUsage.Values), "-", w.Validity.Default, w.Validity.Maximum, "any", list(w.RequestExtensions), "-", "-"}
		if w.PathLen != nil {
			e.PathLen = strconv.Itoa(*w.PathLen)
		}
		if w.ExtKeyUsage.Critical {
			e.Critical = "critical"
		}
		if len(w.ServerKeys) > 0 {
			e.Made = "p12"
		}
		if w.CopyCNToDNS {
			e.CopyCN = "cn"
		}
		switch n := w.SubjectAltName; {
		case n.DNS == nil:
			e.Names = "none"
		case n.DNS.Asserted == nil:
			e.Names = "dns"
		case n.IP == nil || n.Email == nil || n.URI == nil || n.DirName == nil:
			e.Names = "some"
		}
		if common := []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096"}; !slices.Equal(w.Keys, common) {
			t.Errorf("%s: keys %v", p.ID(), w.Keys)
		}
		if slices.Contains(w.AssertedBy, "acme") || slices.Contains(w.AssertedBy, "wstep") || p.heard() != (len(w.AssertedBy) > 0) {
			t.Errorf("%s: the doors %v may assert", p.ID(), w.AssertedBy)
		}
		if upn := w.SubjectAltName.UPN; upn != nil && len(upn.Asserted) > 0 {
			t.Errorf("%s: a user principal name on the requester's word", p.ID())
		}
		got[p.ID()] = e
	}
	want := map[string]expected{}
	for _, e := range readCatalogue(t) {
		want[e.ID] = e
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("catalogue differs (-field +built-in):\n%s", diff)
	}
}

// exampleCA issues for 30 years with a P-384 key in memory.
type exampleCA struct{ facts *ca.Facts }

func (c exampleCA) Issuer(string, string) (ca.Issuer, error)    { return c, nil }
func (c exampleCA) IssuerOf(*ca.Certificate) (ca.Issuer, error) { return c, nil }
func (c exampleCA) Facts() *ca.Facts                            { return c.facts }
func (c exampleCA) Sign(_ context.Context, _ ca.Lane, tbs []byte) ([]byte, error) {
	digest := sha512.Sum384(tbs)
	return ecdsa.SignASN1(rand.Reader, keys()["ecdsa-p384"].(*ecdsa.PrivateKey), digest[:])
}

// Every profile of the catalogue issues, through the whole core, what the
// catalogue says of it.
func TestCatalogueIssues(t *testing.T) {
	all, err := BuiltinProfiles()
	if err != nil {
		t.Fatal(err)
	}
	byID, byEndpoint := map[string]*Profile{}, map[string]*Profile{}
	ledger := memory.New(memory.Options{})
	defer ledger.Close()
	var endpoints []ca.Endpoint
	for _, p := range all {
		door, method := caller.System, caller.ServiceItself
		if strings.HasPrefix(p.ID(), "privatessl-") {
			door, method = caller.ACME, caller.ACMEAccount
		}
		byID[p.ID()], byEndpoint[p.ID()] = p, p
		endpoints = append(endpoints, ca.Endpoint{ID: p.ID(), Door: door, Tenant: "default", CA: "issuing", Profile: p.ID(), Policies: [][]caller.Method{{method}}})
		if err := ledger.KeepProfile(t.Context(), p.Hash(), p.Text()); err != nil {
			t.Fatal(err)
		}
	}
	engine, err := NewEngine(byEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	f := facts(t)
	f.NotAfter, f.CDP, f.OCSP = now.AddDate(30, 0, 0), []string{"http://pki.example/crl"}, []string{"http://pki.example/ocsp"}
	authority, err := ca.NewAuthority(ca.Parts{Endpoints: endpoints, Policy: engine, Linter: lint.Linter{}, Issuers: exampleCA{f}, Ledger: ledger,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range readCatalogue(t) {
		for _, key := range []string{"ecdsa-p256", "rsa-2048"} {
			r := catalogueRequest(t, byID[want.ID], want, key)
			result := authority.Enroll(t.Context(), r)[0]
			if key == "ecdsa-p256" && want.KeyUsage == "keyEncipherment" { // RFC 8813 section 3
				if !ca.IsKind(result.Err, ca.Denied) {
					t.Errorf("%s: a key that cannot be used: %v", want.ID, result.Err)
				}
				continue
			}
			if result.Err != nil {
				t.Errorf("%s %s: %v", want.ID, key, result.Err)
				continue
			}
			cert, err := pkix.ParseCertificate(result.Certificate.DER)
			if err != nil {
				t.Fatal(err)
			}
			holdCatalogue(t, want, key, r, cert)
		}
	}
}

// catalogueRequest asks for whatever can be asked for.
func catalogueRequest(t *testing.T, p *Profile, want expected, key string) *ca.Request {
	t.Helper()
	r := &ca.Request{Trace: ca.NewTrace(), Endpoint: want.ID, Operation: ca.Enroll, Possession: possession(t, key)}
	var err error
	policies, _ := pkix.MarshalCertificatePolicies([]pkix.OID{{1, 2, 3}})
	template, _ := pkix.MarshalMSTemplateName("DomainController")
	v2, _ := pkix.MarshalMSTemplate(pkix.OID{1, 2, 3}, 1, 0)
	sid, _ := pkix.MarshalSecurityID("S-1-5-21-1-500")
	usages, _ := pkix.MarshalExtKeyUsage([]pkix.OID{pkix.ExtKeyUsages["clientAuth"], pkix.ExtKeyUsages["msSmartcardLogon"], pkix.ExtKeyUsages["anyExtendedKeyUsage"]}, true)
	client := pkix.ExtKeyUsages["clientAuth"]
	if want.Mode == "fixed" {
		client = pkix.ExtKeyUsages[strings.Split(want.Usages, ",")[0]]
	}
	application, _ := pkix.MarshalCertificatePolicies([]pkix.OID{client})
	application.ID = pkix.OIDMSApplicationPolicy
	smime, err := pkix.MarshalSMIMECapabilities([]pkix.OID{{2, 16, 840, 1, 101, 3, 4, 1, 42}})
	if err != nil {
		t.Fatal(err)
	}
	constraints, _ := pkix.MarshalBasicConstraints(true, 0)
	r.Asserted.Extensions = []pkix.Extension{constraints, policies, template, v2, sid, usages, application, smime, {ID: requestable["pivInterimIndicator"], Value: []byte{1, 1, 0}}}
	if want.Names == "dns" {
		r.Caller = accountAt(t, want.ID)
		r.Claims = []claim.Claim{proof(t, "www.example.com", claim.DNS01)}
		return r
	}
	if r.Caller, err = caller.FromService(caller.NewVerifier(caller.System), caller.ServiceIdentity{Tenant: "default", Name: "test", At: now}); err != nil {
		t.Fatal(err)
	}
	r.Asserted.Subject = subject(t, "O", "Example", "T", "Engineer", "CN", "Device 1")
	if want.Names == "any" {
		r.Asserted.AltNames = []pkix.GeneralName{pkix.DNS("device1.example"), {Kind: pkix.IPAddress, Raw: []byte{192, 0, 2, 1}}, pkix.NewEmail("d@example.com"),
			pkix.NewURI("urn:device:1"), pkix.NewDirectoryName(subject(t, "O", "Example"))}
		if want.Kind == KindEndEntity {
			r.Asserted.AltNames = append(r.Asserted.AltNames, registered(t, 1, 3, 6, 1), hardware(t, "A1"))
		}
	}
	return r
}

func accountAt(t fatal, endpoint string) caller.Caller {
	t.Helper()
	c, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: "default", Endpoint: endpoint, Account: "a",
		Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: now})
	if err != nil {
		t.Fatalf("caller: %v", err)
	}
	return c
}

// holdCatalogue compares a certificate with its line of the catalogue.
func holdCatalogue(t *testing.T, want expected, key string, r *ca.Request, cert *pkix.Certificate) {
	t.Helper()
	find := func(id pkix.OID) pkix.Extension {
		e, _ := pkix.FindExtension(cert.Extensions, id)
		return e
	}
	usage := find(pkix.OIDKeyUsage)
	bits, err := pkix.ParseKeyUsageValue(usage.Value)
	if err != nil {
		t.Fatalf("%s: %v", want.ID, err)
	}
	expect := strings.Split(want.KeyUsage, ",")
	unfit := []string{"keyAgreement"} // RFC 3279 section 2.3.1
	if key == "ecdsa-p256" {          // RFC 8813 section 3
		unfit = []string{"keyEncipherment", "dataEncipherment"}
	}
	expect = slices.DeleteFunc(expect, func(b string) bool { return slices.Contains(unfit, b) })
	if list(bits.Names()) != list(expect) || !usage.Critical {
		t.Errorf("%s %s: key usage %v, critical %v", want.ID, key, bits.Names(), usage.Critical)
	}
	var usages []pkix.OID
	extended := find(pkix.OIDExtKeyUsage)
	if extended.Value != nil {
		if usages, err = pkix.ParseExtKeyUsage(extended.Value); err != nil {
			t.Fatal(err)
		}
	}
	wantUsages := map[string]string{"fixed": want.Usages, "requested": "clientAuth", "none": "-"}[want.Mode]
	if got := list(strings.Fields(PrintUsages(usages))); got != wantUsages || extended.Critical != (want.Critical == "critical") {
		t.Errorf("%s: usages %s, critical %v; want %s", want.ID, got, extended.Critical, wantUsages)
	}
	isCA, bound, err := pkix.ParseBasicConstraints(find(pkix.OIDBasicConstraints).Value)
	text := strconv.Itoa(bound)
	if bound < 0 {
		text = "-"
	}
	if err != nil || isCA != (want.Kind == KindCA) || text != want.PathLen || !find(pkix.OIDBasicConstraints).Critical {
		t.Errorf("%s: cA %v, path length %s (%v)", want.ID, isCA, text, err)
	}
	period, err := ParsePeriod(want.Default)
	if err != nil || !cert.NotAfter.Equal(period.From(cert.NotBefore).Add(-time.Second)) {
		t.Errorf("%s: from %s to %s", want.ID, cert.NotBefore, cert.NotAfter)
	}
	var names []pkix.GeneralName
	if san := find(pkix.OIDSubjectAltName); san.Value != nil {
		if names, err = pkix.ParseGeneralNames(san.Value); err != nil || san.Critical {
			t.Errorf("%s: subjectAltName critical %v, %v", want.ID, san.Critical, err)
		}
	}
	switch {
	case want.Names == "dns":
		if len(names) != 1 || cert.Subject.String() != "CN=www.example.com" {
			t.Errorf("%s: names %v, subject %s", want.ID, names, cert.Subject)
		}
	case !bytes.Equal(cert.Subject, r.Asserted.Subject) || len(names) != len(r.Asserted.AltNames):
		t.Errorf("%s: names %v, subject %s", want.ID, names, cert.Subject)
	}
	for name, id := range requestable {
		asked, _ := pkix.FindExtension(r.Asserted.Extensions, id)
		got := find(id)
		if listed := slices.Contains(strings.Split(want.Requested, ","), name); listed != bytes.Equal(got.Value, asked.Value) || got.Critical {
			t.Errorf("%s: %s is %x", want.ID, name, got.Value)
		}
	}
	for _, never := range []pkix.OID{pkix.OIDMSSecurityID, pkix.OIDMSTemplate, pkix.OIDMSTemplateName} {
		if find(never).Value != nil {
			t.Errorf("%s: %s came from the request", want.ID, never)
		}
	}
	status := want.ID != "basic-ca-root"
	if (find(pkix.OIDCRLDistPoints).Value != nil) != status || (find(pkix.OIDAuthorityInfoAccess).Value != nil) != status || (find(pkix.OIDOCSPNoCheck).Value != nil) != (want.Kind == KindResponder) {
		t.Errorf("%s: status extensions %v", want.ID, cert.Extensions)
	}
	if ski := find(pkix.OIDSubjectKeyID).Value; !bytes.Equal(ski[2:], cert.Key.KeyID()) {
		t.Errorf("%s: subject key identifier %x", want.ID, ski)
	}
}

// A root signs itself: no authority key identifier, nothing to check its status by.
func TestRootSignsItself(t *testing.T) {
	r, f := request(t), facts(t)
	r.Possession, r.Asserted.Subject = possession(t, "ecdsa-p384"), f.Subject
	f.NotAfter = now.AddDate(30, 0, 0)
	d, err := builtin(t, "basic-ca-root").Decide(r, f, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []pkix.OID{pkix.OIDAuthorityKeyID, pkix.OIDCRLDistPoints, pkix.OIDAuthorityInfoAccess} {
		if _, ok := pkix.FindExtension(d.Extensions, id); ok {
			t.Errorf("extension %s in a root", id)
		}
	}
}

// Application policies are usages to Windows: they come through only where the
// certificate has those usages (CVE-2024-49019).
func TestApplicationPoliciesAreUsages(t *testing.T) {
	for name, c := range map[string]struct {
		profile string
		asked   pkix.OID
		taken   bool
	}{
		"the same":        {"privatessl-tls-server", pkix.ExtKeyUsages["serverAuth"], true},
		"another":         {"privatessl-tls-server", pkix.ExtKeyUsages["clientAuth"], false},
		"agent":           {"privatessl-tls-server", pkix.OID{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}, false},
		"any purpose":     {"est-digital-signature", pkix.ExtKeyUsages["clientAuth"], true},
		"agent by any":    {"est-digital-signature", pkix.OID{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}, false},
		"any application": {"est-digital-signature", pkix.OID{1, 3, 6, 1, 4, 1, 311, 10, 12, 1}, false},
	} {
		e, err := pkix.MarshalCertificatePolicies([]pkix.OID{c.asked})
		if err != nil {
			t.Fatal(err)
		}
		e.ID = pkix.OIDMSApplicationPolicy
		r := request(t, "a.example")
		r.Asserted.Extensions = []pkix.Extension{e}
		d := decided(t, builtin(t, c.profile), r)
		if _, taken := pkix.FindExtension(d.Extensions, e.ID); taken != c.taken {
			t.Errorf("%s: taken %v, recorded as %+v", name, taken, fieldOf(d, "extension.applicationPolicies"))
		}
	}
}

// authorityOf is a core with one ACME endpoint, e, of a profile.
func authorityOf(t *testing.T, p *Profile) *ca.Authority {
	t.Helper()
	engine, err := NewEngine(map[string]*Profile{"e": p})
	if err != nil {
		t.Fatal(err)
	}
	ledger := memory.New(memory.Options{})
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := ledger.KeepProfile(t.Context(), p.Hash(), p.Text()); err != nil {
		t.Fatal(err)
	}
	authority, err := ca.NewAuthority(ca.Parts{Endpoints: []ca.Endpoint{{ID: "e", Door: caller.ACME, Tenant: "default", CA: "issuing", Profile: p.ID(), Policies: [][]caller.Method{{caller.ACMEAccount}}}},
		Policy: engine, Linter: lint.Linter{}, Issuers: exampleCA{facts(t)}, Ledger: ledger, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// A claim that only an offline tool supposes decides, and never issues.
func TestOfflineClaimsDoNotIssue(t *testing.T) {
	p := builtin(t, "privatessl-tls-server")
	r := &ca.Request{Trace: ca.NewTrace(), Endpoint: "e", Operation: ca.Enroll, Caller: account(t), Possession: possession(t, "ecdsa-p256"),
		Claims: []claim.Claim{supposed(t, claim.DNS, "a.example", claim.HTTP01)}}
	if d := decided(t, p, r); sans(d) != "dns:a.example" {
		t.Errorf("decided %s", sans(d))
	}
	if result := authorityOf(t, p).Enroll(t.Context(), r)[0]; !ca.IsKind(result.Err, ca.Internal) || result.Certificate != nil {
		t.Errorf("an offline claim issued: %v", result.Err)
	}
}

// What the core cannot act on yet is not passed over: nothing is issued.
func TestNothingIsPassedOver(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Written)
		issued bool
	}{
		"as it is": {func(*Written) {}, true},
		"manual":   {func(w *Written) { w.Approval = "manual" }, false},
		"unique":   {func(w *Written) { w.Unique.Key = "tenant" }, false},
	} {
		w := minimal()
		c.change(&w)
		r := request(t, "a.example")
		r.Trace, r.Caller = ca.NewTrace(), account(t)
		result := authorityOf(t, compiled(t, w)).Enroll(t.Context(), r)[0]
		if c.issued != (result.Err == nil) || !c.issued && !ca.IsKind(result.Err, ca.Denied) {
			t.Errorf("%s: %v", name, result.Err)
		}
	}
}
