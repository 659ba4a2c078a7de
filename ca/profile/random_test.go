package profile

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// randomProfile draws a profile that compiles.
func randomProfile() *rapid.Generator[Written] {
	return rapid.Custom(func(t *rapid.T) Written {
		w := minimal()
		w.SubjectAltName = WrittenAltName{}
		for i, block := range w.SubjectAltName.blocks() {
			kind := nameType(i)
			n := &WrittenNames{}
			if !slices.Contains(claimless, kind) {
				n.Methods = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"http-01", "dns-01", "service", "directory", "credential"}), 0, 3, rapid.ID).Draw(t, "methods")
			}
			n.Asserted = rapid.SliceOfN(rapid.SampledFrom(patternsOf[kind]), 0, 2).Draw(t, "asserted")
			n.Allow = rapid.SliceOfN(rapid.SampledFrom(patternsOf[kind]), 0, 2).Draw(t, "allow")
			n.Wildcard = kind == typeDNS && rapid.Bool().Draw(t, "wildcard") && (len(n.Asserted) > 0 || slices.Contains(n.Methods, "dns-01"))
			if len(n.Methods)+len(n.Asserted) > 0 && rapid.IntRange(0, 3).Draw(t, "written") > 0 {
				*block = n
			}
		}
		if rapid.Bool().Draw(t, "other") {
			w.SubjectAltName.Other = []WrittenOther{{OID: "1.2.3", Asserted: []string{rapid.SampledFrom([]string{"device-*", "*"}).Draw(t, "other asserted")}}}
		}
		w.Subject = WrittenSubject{}
		switch way := rapid.IntRange(0, 3).Draw(t, "subject"); {
		case way == 0 && w.SubjectAltName.DNS != nil:
			w.Subject.CNFromFirstDNS = true
		case way == 1:
			w.Subject.Template = []map[string]string{{"O": "Constant"}, {"OU": "<OU?>"}, {"SERIALNUMBER": "<serial?>"}}
			w.Subject.Asserted = []WrittenGrant{{"OU", []string{"d*"}}}
		default:
			w.Subject.Asserted = []WrittenGrant{{rapid.SampledFrom([]string{"any", "CN", "O"}).Draw(t, "attribute"), []string{rapid.SampledFrom([]string{"*", "a*", "*.example"}).Draw(t, "match")}}}
		}
		w.CopyCNToDNS = w.SubjectAltName.DNS != nil && rapid.Bool().Draw(t, "copy")
		w.RequestExtensions = rapid.SampledFrom([][]string{nil, {"certificatePolicies"}, {"applicationPolicies", "1.2.3.4"}}).Draw(t, "extensions")
		if rapid.Bool().Draw(t, "requested") {
			w.ExtKeyUsage = WrittenExtKeyUsage{Mode: "requested", Values: []string{"clientAuth", "serverAuth"}}
		}
		return w
	})
}

// patternsOf are patterns for each type.
var patternsOf = [...][]string{
	typeDNS: {"*", "*.example", "a.example", "*.corp.example"}, typeIP: {"*", "10.0.0.0/8"}, typeEmail: {"*", "*@corp.example"}, typeURI: {"*", "spiffe://corp.example/*"},
	typeRID: {"*", "1.3.6.1.4.1.*"}, typeDirectory: {"*", "C=US,*"}, typeUPN: {"*", "d@*"}, typeHardware: {"*", "1.3.6.1.4.1.47196.*"},
	typePermanent: {"*", "A*/1.2.3"},
}

// granted is a second opinion on patterns, written without the code under test.
func granted(pattern, text string, kind nameType) bool {
	switch kind {
	case typeDNS:
		if strings.HasPrefix(pattern, "*.") {
			return strings.HasSuffix(text, pattern[1:]) && text != pattern[2:]
		}
		return pattern == "*" || text == pattern
	case typeIP:
		address, err := netip.ParseAddr(text)
		return err == nil && (pattern == "*" || netip.MustParsePrefix(pattern).Contains(address))
	}
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(text)
}

// Under any profile, whatever is in a certificate was proven by a method that
// counts, or asked for and granted, or is a constant of the profile.
func TestRandomProfiles(t *testing.T) {
	owned, f := possession(t, "ecdsa-p256"), facts(t)
	issued := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := randomProfile().Draw(t, "profile")
		p, err := Compile(w)
		if err != nil {
			if _, ok := err.(Problems); !ok {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		for range 20 {
			r := randomRequest(p, owned).Draw(t, "request")
			d, err := p.Decide(r, f, now)
			if err == nil {
				holdGrants(t, w, p, r, d)
				for _, n := range d.AltNames {
					issued[NameField(n)]++
				}
			} else if !ca.IsKind(err, ca.Denied) && !ca.IsKind(err, ca.BadRequest) {
				t.Fatalf("refused with %v", err)
			}
		}
	})
	if len(issued) < int(nameTypes)/2 {
		t.Errorf("of all types of names only these were ever issued, so that the rest was not tested: %v", issued)
	}
}

// randomRequest draws a hostile request, or one that asks for names of the
// types that the profile issues: else nearly every one is refused.
func randomRequest(p *Profile, owned claim.Possession) *rapid.Generator[*ca.Request] {
	return rapid.Custom(func(t *rapid.T) *ca.Request {
		r := &ca.Request{Operation: ca.Enroll, Possession: owned}
		mild := rapid.IntRange(0, 3).Draw(t, "mild") > 0
		if mild {
			names := slices.DeleteFunc(wellFormed(t), func(n pkix.GeneralName) bool { return p.rule(n) == nil })
			if len(names) > 0 {
				r.Asserted.AltNames = rapid.SliceOfN(rapid.SampledFrom(names), 0, 2).Draw(t, "mild names")
			}
			r.Asserted.Subject = subject(t, "CN", rapid.SampledFrom([]string{"a.example", "x", "d"}).Draw(t, "CN"), "O", "acme", "OU", "dept")
		} else {
			r.Asserted = hostile([]string{"a.example", "b.corp.example"}).Draw(t, "asserted")
		}
		if rapid.IntRange(0, 5).Draw(t, "acme") == 0 {
			r.Caller = account(t)
		}
		for _, c := range []claim.Claim{supposed(t, claim.DNS, "a.example", claim.HTTP01), supposed(t, claim.Email, "d@corp.example", claim.DirectoryEntry),
			supposed(t, claim.UPN, "d@corp.example", claim.Credential), supposed(t, claim.IP, "10.0.0.1", claim.Service), supposed(t, claim.Serial, "C1", claim.Credential),
			supposed(t, claim.SID, "S-1-5-21-1", claim.DirectoryEntry)} {
			if rapid.Bool().Draw(t, "claimed") && !(mild && c.IsName() && p.rule(c.Name()) == nil) {
				r.Claims = append(r.Claims, c)
			}
		}
		return r
	})
}

// holdGrants checks what must be true of any decision under a profile.
func holdGrants(t fatal, w Written, p *Profile, r *ca.Request, d *ca.Decision) {
	t.Helper()
	for _, n := range d.AltNames {
		if !justified(w, r, d, n) {
			t.Fatalf("issued %s under\n%s\nfor %+v", n, p.Text(), r.Asserted)
		}
	}
	justifySubject(t, w, r, d)
	seen := map[string]bool{}
	for _, e := range d.Extensions {
		if seen[e.ID.String()] {
			t.Fatalf("extension %s twice", e.ID)
		}
		seen[e.ID.String()] = true
	}
	for _, never := range []pkix.OID{pkix.OIDMSSecurityID, pkix.OIDMSTemplate, pkix.OIDMSTemplateName, pkix.OIDNameConstraints} {
		if seen[never.String()] {
			t.Fatalf("extension %s was taken from the request", never)
		}
	}
}

// justified tells whether a name may be in the certificate.
func justified(w Written, r *ca.Request, d *ca.Decision, n pkix.GeneralName) bool {
	kind, _, ok := typeOf(n)
	if !ok {
		return false
	}
	var block WrittenNames
	if kind == typeOther {
		block.Asserted = w.SubjectAltName.Other[0].Asserted
	} else {
		block = **w.SubjectAltName.blocks()[kind]
	}
	for _, c := range r.Claims {
		if c.IsName() && sameName(c.Name(), n) && slices.Contains(block.Methods, string(c.Method())) {
			return true
		}
	}
	rdns, err := pkix.ParseName(d.Subject)
	if err == nil && w.CopyCNToDNS && kind == typeDNS && slices.ContainsFunc(pkix.CommonNames(rdns), func(cn string) bool { return strings.EqualFold(cn, string(n.Raw)) }) {
		return true // what stands in the subject is justified there
	}
	if r.Caller.Verified() { // an ACME account
		return false
	}
	text, ok := n.Text()
	asked := slices.ContainsFunc(r.Asserted.AltNames, func(a pkix.GeneralName) bool {
		return a.Kind == n.Kind && (bytes.Equal(a.Raw, n.Raw) || kind <= typeEmail && strings.EqualFold(string(a.Raw), string(n.Raw)))
	})
	return ok && asked && !(strings.HasPrefix(strings.ToLower(text), "tag:microsoft.com,") && strings.Contains(strings.ToLower(text), ":sid:")) && slices.ContainsFunc(block.Asserted, func(p string) bool { return granted(p, text, kind) })
}

func justifySubject(t fatal, w Written, r *ca.Request, d *ca.Decision) {
	t.Helper()
	rdns, err := pkix.ParseName(d.Subject)
	if err != nil {
		t.Fatalf("subject: %v", err)
	}
	var asked []string
	if !r.Asserted.Subject.Empty() && !r.Caller.Verified() {
		said, err := pkix.ParseName(r.Asserted.Subject)
		if err != nil {
			t.Fatalf("asserted subject: %v", err)
		}
		for _, rdn := range said {
			for _, a := range rdn {
				text, _ := a.Text()
				asked = append(asked, pkix.AttributeName(a.Type)+"="+text)
			}
		}
	}
	for _, rdn := range rdns {
		for _, a := range rdn {
			text, _ := a.Text()
			name := pkix.AttributeName(a.Type)
			ok := w.Subject.CNFromFirstDNS && name == "CN" && containsName(d.AltNames, pkix.DNS(text)) ||
				len(w.Subject.Template) > 0 && (name == "O" && text == "Constant" || name == "SERIALNUMBER" && text == "C1")
			for _, g := range w.Subject.Asserted {
				ok = ok || (g.Attribute == "any" || g.Attribute == name) && slices.Contains(asked, name+"="+text) && granted(g.Match[0], text, typeOther)
			}
			if !ok {
				t.Fatalf("issued %s=%q, which nobody granted", name, text)
			}
		}
	}
}

// FuzzProfile reads profiles as people write them: what compiles is stable and
// decides without panic.
func FuzzProfile(f *testing.F) {
	for _, w := range []string{"- id: a\n  extends: privatessl-tls-server\n", "- id: a\n  keys: [rsa-2048]\n  subject: {template: [{CN: <dns.1>}]}\n",
		"- id: a\n  extends: est-digital-signature\n  rules: [{require: 'len(names) < 3', deny: x}]\n  validity: {default: forever, maximum: forever, beyond_issuer: allow}\n"} {
		f.Add([]byte(w))
	}
	builtin, err := Builtin()
	if err != nil {
		f.Fatal(err)
	}
	base := map[string]Written{}
	for _, w := range builtin {
		base[w.ID] = w
	}
	r, issuer := request(f, "a.example"), facts(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		layers, err := Read(text)
		if err != nil {
			return
		}
		flat, problems := Flatten(layers, base)
		for i, w := range flat {
			if _, bad := problems[i]; bad {
				continue
			}
			p, err := Compile(w)
			if err != nil {
				if len(err.Error()) == 0 {
					t.Fatal("refused without a word")
				}
				continue
			}
			again, err := Compile(p.Written())
			if err != nil || again.Hash() != p.Hash() {
				t.Fatalf("the text compiles to another profile (%v):\n%s", err, p.Text())
			}
			if d, err := p.Decide(r, issuer, now); err == nil && d.Subject.Empty() && len(d.AltNames) == 0 {
				t.Fatal("a certificate for nobody")
			}
		}
	})
}

// FuzzTemplate runs subject templates on hostile values: the subject is a Name
// that lint accepts, or the request is refused.
func FuzzTemplate(f *testing.F) {
	f.Add("CN", "<dns.1>", "OU", "<OU?>", "Office")
	f.Add("O", "a<CN>b", "CN", "<E.2?>", "x\x00")
	f.Add("C", "<C>", "T", "<serial>", "DE")
	f.Add("1.2.3", "<<>>", "", "<directory.x?>", "\xff")
	f.Fuzz(func(t *testing.T, a, value, b, other, said string) {
		w := minimal()
		w.Subject = WrittenSubject{Template: []map[string]string{{a: value}, {b: other}}, Asserted: []WrittenGrant{{"any", []string{"*"}}}}
		p, err := Compile(w)
		if err != nil {
			return
		}
		r := request(t, "a.example")
		name, err := pkix.MarshalName([]pkix.RDN{{{Type: oidCommonName, Tag: 12, Value: []byte(said)}, {Type: pkix.OID{2, 5, 4, 11}, Tag: 12, Value: []byte(said)}}})
		if err != nil {
			t.Fatal(err)
		}
		r.Asserted.Subject = name
		d, err := p.Decide(r, facts(t), now)
		if err != nil {
			if !ca.IsKind(err, ca.Denied) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		rdns, err := pkix.ParseName(d.Subject)
		if err != nil {
			t.Fatal(err)
		}
		for _, rdn := range rdns {
			for _, attribute := range rdn {
				if err := attribute.Check(); err != nil {
					t.Fatalf("issued %x: %v", []byte(d.Subject), err)
				}
			}
		}
	})
}

// The cost of a decision under the profile of ACME servers, lint aside.
func TestDecisionAllocates(t *testing.T) {
	p, r, f := builtin(t, "privatessl-tls-server"), request(t, "www.example.com", "example.com"), facts(t)
	r.Asserted.AltNames = []pkix.GeneralName{pkix.DNS("www.example.com"), pkix.DNS("example.com")}
	got := testing.AllocsPerRun(100, func() {
		if _, err := p.Decide(r, f, now); err != nil {
			t.Fatal(err)
		}
	})
	if got > 150 {
		t.Errorf("a decision makes %.0f allocations, at most 150 are wanted", got)
	}
}
