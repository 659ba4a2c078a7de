package profile

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// supposed makes an offline claim.
func supposed(t fatal, kind claim.Kind, value string, method claim.Method) claim.Claim {
	t.Helper()
	c, err := claim.FromOffline(claim.NewOfflineVerifier(), claim.Offline{Kind: kind, Value: value, Method: method, At: now})
	if err != nil {
		t.Fatalf("supposing %s %s: %v", kind, value, err)
	}
	return c
}

func account(t fatal) caller.Caller { return accountAt(t, "e") }

func otherName(t fatal, g pkix.GeneralName, err error) pkix.GeneralName {
	t.Helper()
	if err != nil {
		t.Fatalf("name: %v", err)
	}
	return g
}

func upn(t fatal, text string) pkix.GeneralName {
	g, err := pkix.NewUPN(text)
	return otherName(t, g, err)
}

func hardware(t fatal, serial string) pkix.GeneralName {
	g, err := pkix.NewHardwareModule(pkix.OID{1, 3, 6, 1, 4, 1, 47196, 6, 3, 2, 2}, []byte(serial))
	return otherName(t, g, err)
}

func registered(t fatal, id ...int) pkix.GeneralName {
	g, err := pkix.NewRegisteredID(pkix.OID(id))
	return otherName(t, g, err)
}

func customName(t fatal, value string, id ...int) pkix.GeneralName {
	g, err := pkix.NewOtherName(pkix.OID(id), []byte(value))
	return otherName(t, g, err)
}

// every is a profile that issues every type of name, proven or asserted.
func every() Written {
	w := minimal()
	w.Subject = WrittenSubject{Asserted: []WrittenGrant{{"CN", []string{"*"}}}}
	word := func(patterns ...string) *WrittenNames { return &WrittenNames{Asserted: patterns} }
	w.SubjectAltName = WrittenAltName{
		DNS:   &WrittenNames{Methods: []string{"http-01"}, Asserted: []string{"*.corp.example"}, Allow: []string{"*.example"}},
		IP:    word("10.0.0.0/8"),
		Email: &WrittenNames{Methods: []string{"directory"}, Asserted: []string{"*@corp.example"}},
		URI:   word("spiffe://corp.example/*", "tag:*"), RID: word("1.3.6.1.4.1.*"), DirName: word("C=US,*"),
		UPN: &WrittenNames{Methods: []string{"directory"}}, Hardware: word("1.3.6.1.4.1.47196.6.3.2.2/*"),
		Other: []WrittenOther{{OID: "1.2.3", Asserted: []string{"device-*"}, Max: number(1)}},
	}
	return w
}

// Which names get in, by type: the record says whose word it was.
func TestEveryNameType(t *testing.T) {
	p := compiled(t, every())
	email := func(s string) pkix.GeneralName { return pkix.NewEmail(s) }
	directory := func(pairs ...string) pkix.GeneralName { return pkix.NewDirectoryName(subject(t, pairs...)) }
	for _, c := range []struct {
		name   pkix.GeneralName
		field  string // empty: denied
		source string
	}{
		{pkix.DNS("A.corp.example"), "san.dns", "asserted, granted by profile p subject_alt_name.dns.asserted"},
		{pkix.DNS("a.other.example"), "", "subject_alt_name.dns.asserted"},
		{pkix.DNS("*.corp.example"), "", "subject_alt_name.dns.wildcard"},
		{pkix.DNS("proven.example"), "san.dns", "http-01 authorization"},
		{pkix.GeneralName{Kind: pkix.IPAddress, Raw: []byte{10, 1, 2, 3}}, "san.ip", "ip.asserted"},
		{pkix.GeneralName{Kind: pkix.IPAddress, Raw: []byte{11, 1, 2, 3}}, "", "ip.asserted"},
		{pkix.GeneralName{Kind: pkix.IPAddress, Raw: []byte{11, 1}}, "", "ip.asserted"},
		{email("a@CORP.example"), "san.email", "email.asserted"},
		{email("proven@other.example"), "san.email", "supposed offline"},
		{email("a@other.example"), "", "email.asserted"},
		{email("<a>@corp.example"), "", "email.asserted"},
		{pkix.NewURI("spiffe://corp.example/x"), "san.uri", "uri.asserted"},
		{pkix.NewURI("spiffe://corp.example/\x01"), "", "uri.asserted"},
		{pkix.NewURI("spiffe://corp.example.evil/x"), "", "uri.asserted"},
		{registered(t, 1, 3, 6, 1, 4, 1, 5), "san.rid", "rid.asserted"},
		{registered(t, 1, 2, 3), "", "rid.asserted"},
		{directory("C", "US", "O", "x"), "san.dirname", "dirname.asserted"},
		{directory("C", "DE", "O", "x"), "", "dirname.asserted"},
		{directory("C", "US", "O", "x\x00y"), "", "dirname.asserted"},
		{upn(t, "proven@corp.example"), "san.upn", "supposed offline"},
		{upn(t, "admin@corp.example"), "", "subject_alt_name"},
		{hardware(t, "A1"), "san.hardware", "hardware.asserted"},
		{customName(t, "\x0c\x08device-1", 1, 2, 3), "san.other", "other.0.asserted"},
		{customName(t, "\x0c\x05admin", 1, 2, 3), "", "other.0.asserted"},
		{customName(t, "\x0c\x08device-1", 1, 2, 4), "", "subject_alt_name"},
		{pkix.GeneralName{Kind: pkix.X400Address, Raw: []byte{0x30, 0}}, "", "subject_alt_name"},
		{pkix.GeneralName{Kind: pkix.OtherName, Raw: []byte{1}}, "", "subject_alt_name"},
	} {
		r := request(t, "proven.example")
		r.Claims = append(r.Claims, supposed(t, claim.Email, "proven@other.example", claim.DirectoryEntry), supposed(t, claim.UPN, "proven@corp.example", claim.DirectoryEntry))
		r.Asserted.AltNames = []pkix.GeneralName{c.name, c.name}
		d, err := p.Decide(r, facts(t), now)
		switch e := ca.AsError(err); {
		case c.field == "" && (!ca.IsKind(err, ca.Denied) || !strings.HasSuffix(e.Rule, c.source)):
			t.Errorf("%s: %v by %q, want Denied by %s", c.name, err, e.Rule, c.source)
		case c.field == "":
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case len(d.AltNames) != 1 || !sameName(d.AltNames[0], normalized(c.name)) || !strings.Contains(fieldOf(d, c.field).Source, c.source):
			t.Errorf("%s came out as %s, recorded as %+v", c.name, sans(d), fieldOf(d, c.field))
		}
	}
}

// A grant by assertion is not for ACME, unless the profile says so; the
// Microsoft security identifier as a URI is for nobody.
func TestAssertedBy(t *testing.T) {
	w := every()
	r := request(t)
	r.Caller = account(t)
	r.Asserted.AltNames, r.Asserted.Subject = dns("a.corp.example"), subject(t, "CN", "any")
	if _, err := compiled(t, w).Decide(r, facts(t), now); !ca.IsKind(err, ca.Denied) {
		t.Errorf("an ACME account named itself: %v", err)
	}
	r.Asserted.AltNames, r.Claims = nil, []claim.Claim{proof(t, "a.example", claim.HTTP01)}
	if d := decided(t, compiled(t, w), r); !d.Subject.Empty() || fieldOf(d, "subject.CN").Note == "" {
		t.Errorf("an ACME account named itself %s", d.Subject)
	}
	w.AssertedBy = []string{"acme"}
	r.Asserted.AltNames = append(dns("a.corp.example"), pkix.NewURI("TAG:microsoft.com,2022-09-14%3asid:S-1-5-21-1"))
	if d := decided(t, compiled(t, w), r); sans(d) != "dns:a.corp.example" || d.Subject.String() != "CN=any" || !strings.Contains(fieldOf(d, "san.uri").Note, "never comes") {
		t.Errorf("names %s, subject %s, record %+v", sans(d), d.Subject, fieldOf(d, "san.uri"))
	}
	w.AssertedBy = []string{"scep"}
	if _, err := compiled(t, w).Decide(r, facts(t), now); !ca.IsKind(err, ca.Denied) {
		t.Errorf("an ACME account used the grant of another door: %v", err)
	}
}

// Claims that are facts are no names, and a proven device name that the
// profile does not issue stays out.
func TestFactsAreNoNames(t *testing.T) {
	w := withSubject(WrittenSubject{Parent: []map[string]string{{"C": "US"}, {"O": "Corp"}}, Template: []map[string]string{
		{"SERIALNUMBER": "<serial>"}, {"OU": "<directory.Department?>", "UID": "<principal>"}, {"CN": "<email?>"}, {"CN": "<dns>", "T": "<directory.title?>"}}})
	w.SubjectAltName.Email = &WrittenNames{Methods: []string{"directory"}}
	r := request(t, "a.example")
	r.Claims = append(r.Claims, supposed(t, claim.Serial, "C1", claim.Certificate), supposed(t, claim.Principal, "u@REALM", claim.Credential),
		supposed(t, claim.Directory, "mail=x", claim.DirectoryEntry), supposed(t, claim.Directory, "department=IT", claim.DirectoryEntry),
		supposed(t, claim.SID, "S-1-5-21-1", claim.DirectoryEntry), supposed(t, claim.Hardware, "1.2.3/A1", claim.Certificate))
	d := decided(t, compiled(t, w), r)
	if d.Subject.String() != "C=US,O=Corp,SERIALNUMBER=C1,UID=u@REALM+OU=IT,CN=a.example" && d.Subject.String() != "C=US,O=Corp,SERIALNUMBER=C1,OU=IT+UID=u@REALM,CN=a.example" || sans(d) != "dns:a.example" {
		t.Errorf("subject %s, names %s", d.Subject, sans(d))
	}
	if f := fieldOf(d, "subject.C"); f.Value != "US" || f.Source != "profile p subject.parent" {
		t.Errorf("the parent is recorded as %+v", f)
	}
	r.Claims = r.Claims[:1]
	if _, err := compiled(t, w).Decide(r, facts(t), now); !ca.IsKind(err, ca.Denied) || !strings.Contains(err.Error(), "<serial>") {
		t.Errorf("without the fact that is needed: %v", err)
	}
}

func TestCNFrom(t *testing.T) {
	w := every()
	w.Subject = WrittenSubject{CNFrom: []string{"upn", "email", "dns"}, Parent: []map[string]string{{"O": "Corp"}}, StringTypes: map[string]string{"CN": "bmp", "o": "printable"}}
	p := compiled(t, w)
	r := request(t, "a.example")
	r.Asserted.Subject = subject(t, "CN", "asserted")
	d := decided(t, p, r)
	if d.Subject.String() != "O=Corp,CN=a.example" || !bytes.Contains(d.Subject, []byte("\x13\x04Corp")) || !bytes.Contains(d.Subject, []byte("\x1e\x12\x00a\x00.")) {
		t.Errorf("subject %s %x", d.Subject, []byte(d.Subject))
	}
	r.Claims = append(r.Claims, supposed(t, claim.Email, "b@b.example", claim.DirectoryEntry))
	if d := decided(t, p, r); d.Subject.String() != "O=Corp,CN=b@b.example" {
		t.Errorf("subject %s", d.Subject)
	}
	r.Claims = []claim.Claim{proof(t, longest, claim.HTTP01)}
	w.SubjectAltName.DNS.Allow = nil
	if d := decided(t, compiled(t, w), r); !d.Subject.Empty() {
		t.Errorf("a long name gave the subject %s", d.Subject)
	}
}

// HPE iLO LDevID (IEEE 802.1AR): what the device says of itself goes through
// octet for octet, order and string types too.
func TestDeviceIdentityGoesThroughRaw(t *testing.T) {
	w := minimal()
	w.ExtKeyUsage.Values = []string{"clientAuth"}
	w.Subject = WrittenSubject{Asserted: []WrittenGrant{{"any", []string{"*"}}}}
	w.SubjectAltName = WrittenAltName{DirName: &WrittenNames{Asserted: []string{"*"}, Min: 1}, Hardware: &WrittenNames{Asserted: []string{"1.3.6.1.4.1.47196.6.3.2.2/*"}, Min: 1}}
	asked := subject(t, "givenName", "P12345-001", "SN", "PYNXHC2ZGIE11U", "CN", "P98765-B21", "O", "Hewlett Packard Enterprise Development", "ST", "Texas", "OU", "Servers", "L", "Houston")
	tail, err := pkix.MarshalName([]pkix.RDN{{{Type: pkix.OID{2, 5, 4, 5}, Tag: 19, Value: []byte("CZJ3199GDZ")}}, {{Type: pkix.OID{2, 5, 4, 6}, Tag: 19, Value: []byte("US")}}})
	if err != nil {
		t.Fatal(err)
	}
	if asked, err = asked.Join(tail); err != nil {
		t.Fatal(err)
	}
	platform, err := pkix.MarshalName([]pkix.RDN{{{Type: pkix.OID{2, 23, 133, 5, 1, 1}, Tag: 12, Value: []byte("HPE")}},
		{{Type: pkix.OID{2, 23, 133, 5, 1, 4}, Tag: 12, Value: []byte("P98765-B21")}}, {{Type: pkix.OID{2, 23, 133, 5, 1, 6}, Tag: 12, Value: []byte("CZJ3199GDZ")}}})
	if err != nil {
		t.Fatal(err)
	}
	names := []pkix.GeneralName{pkix.NewDirectoryName(platform), hardware(t, "PYNXHC2ZGIE11U")}
	san, err := pkix.MarshalSubjectAltName(names, false)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: asked,
		ExtraExtensions: []stdpkix.Extension{{Id: asn1.ObjectIdentifier(pkix.OIDSubjectAltName), Value: san.Value}}}, keys()["ecdsa-p384"])
	if err != nil {
		t.Fatal(err)
	}
	csr, held, err := claim.VerifyCSR(der, false)
	if err != nil {
		t.Fatal(err)
	}
	w.Keys = []string{"ecdsa-p384"}
	d := decided(t, compiled(t, w), &ca.Request{Possession: held, Asserted: ca.Asserted{Subject: csr.Subject, AltNames: csr.AltNames, Extensions: csr.Extensions}})
	got, _ := pkix.FindExtension(d.Extensions, pkix.OIDSubjectAltName)
	if !bytes.Equal(d.Subject, asked) || !bytes.Equal(got.Value, san.Value) {
		t.Errorf("subject %x, want %x\nsubjectAltName %x, want %x", []byte(d.Subject), []byte(asked), got.Value, san.Value)
	}
	if f := fieldOf(d, "san.hardware"); f.Value != "hardware:1.3.6.1.4.1.47196.6.3.2.2/PYNXHC2ZGIE11U" {
		t.Errorf("recorded as %+v", f)
	}
}

// SAN-only and subject rules that are wrong are found at their place.
func TestCompileRefusesNames(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(*Written)
		path, says string
	}{
		"method of rid":  {func(w *Written) { w.SubjectAltName.RID = &WrittenNames{Methods: []string{"service"}} }, "subject_alt_name.rid.methods", "only asserted"},
		"rid of nobody":  {func(w *Written) { w.SubjectAltName.RID = &WrittenNames{} }, "subject_alt_name.rid.asserted", "nothing else"},
		"no way":         {func(w *Written) { w.SubjectAltName.Email = &WrittenNames{} }, "subject_alt_name.email.methods", "missing"},
		"empty pattern":  {func(w *Written) { w.SubjectAltName.URI = &WrittenNames{Asserted: []string{""}} }, "subject_alt_name.uri.asserted.0", "matches nothing"},
		"wildcard email": {func(w *Written) { w.SubjectAltName.Email = &WrittenNames{Asserted: []string{"*"}, Wildcard: true} }, "subject_alt_name.email.wildcard", "only DNS"},
		"other not OID":  {func(w *Written) { w.SubjectAltName.Other = []WrittenOther{{OID: "x", Asserted: []string{"*"}}} }, "subject_alt_name.other.0.oid", "dotted"},
		"other UPN": {func(w *Written) {
			w.SubjectAltName.Other = []WrittenOther{{OID: pkix.OIDUPN.String(), Asserted: []string{"*"}}}
		}, "subject_alt_name.other.0.oid", "block of its own"},
		"other SID": {func(w *Written) {
			w.SubjectAltName.Other = []WrittenOther{{OID: "1.3.6.1.4.1.311.25.2.1", Asserted: []string{"*"}}}
		}, "subject_alt_name.other.0.oid", "ms_sid"},
		"other twice": {func(w *Written) {
			w.SubjectAltName.Other = []WrittenOther{{OID: "1.2.3", Asserted: []string{"*"}}, {OID: "1.2.3", Asserted: []string{"*"}}}
		}, "subject_alt_name.other.1.oid", "twice"},
		"asserted_by":       {func(w *Written) { w.AssertedBy = []string{"ftp"} }, "asserted_by.0", "not a door"},
		"asserted_by alone": {func(w *Written) { w.AssertedBy = []string{"est"} }, "asserted_by", "nothing is granted"},
		"any twice": {func(w *Written) {
			w.Subject = WrittenSubject{Asserted: []WrittenGrant{{"any", []string{"*"}}, {"any", []string{"*"}}}}
		}, "subject.asserted.1.attribute", "twice"},
		"parent variable":   {func(w *Written) { w.Subject.Parent = []map[string]string{{"O": "<dns>"}} }, "subject.parent", "constants"},
		"string type":       {func(w *Written) { w.Subject.StringTypes = map[string]string{"O": "latin1"} }, "subject.string_types.O", "not a string type"},
		"fixed string type": {func(w *Written) { w.Subject.StringTypes = map[string]string{"C": "utf8"} }, "subject.string_types.C", "fixed"},
		"string type of":    {func(w *Written) { w.Subject.StringTypes = map[string]string{"XX": "utf8"} }, "subject.string_types.XX", "not a subject attribute"},
		"cn_from":           {func(w *Written) { w.Subject = WrittenSubject{CNFrom: []string{"cn"}} }, "subject.cn_from.0", "not a type"},
		"cn_from twice":     {func(w *Written) { w.Subject = WrittenSubject{CNFrom: []string{"dns", "dns"}} }, "subject.cn_from.1", "twice"},
		"cn_from nothing":   {func(w *Written) { w.Subject = WrittenSubject{CNFrom: []string{"upn"}} }, "subject.cn_from.0", "no such names"},
		"directory no key":  {func(w *Written) { w.Subject = WrittenSubject{Template: []map[string]string{{"OU": "<directory>"}}} }, "subject.template.0.OU", "<directory.KEY>"},
		"attribute twice":   {func(w *Written) { w.Subject = WrittenSubject{Template: []map[string]string{{"S": "x", "ST": "y"}}} }, "subject.template.0.ST", "twice"},
	} {
		w := minimal()
		c.change(&w)
		_, err := Compile(w)
		problems, _ := err.(Problems)
		found := false
		for _, p := range problems {
			found = found || strings.Join(p.Path, ".") == c.path && strings.Contains(p.Message, c.says)
		}
		if !found {
			t.Errorf("%s: no problem at %s that says %q in: %v", name, c.path, c.says, err)
		}
	}
}
