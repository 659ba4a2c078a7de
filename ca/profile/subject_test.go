package profile

import (
	"bytes"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// withSubject is a profile that issues DNS names and addresses under a subject block.
func withSubject(s WrittenSubject) Written {
	w := minimal()
	w.Subject = s
	w.SubjectAltName.IP = &WrittenNames{Methods: []string{"service"}}
	return w
}

func TestTemplate(t *testing.T) {
	grantOU := []WrittenGrant{{"OU", []string{"Plant *", "Office"}}}
	for name, c := range map[string]struct {
		template []map[string]string
		grants   []WrittenGrant
		asserted []string
		want     string
		rule     string
	}{
		"constant":             {[]map[string]string{{"C": "DE"}, {"O": "Example, Inc."}}, nil, nil, `C=DE,O=Example\, Inc.`, ""},
		"variables":            {[]map[string]string{{"O": "Example"}, {"CN": "<dns.2>"}, {"SERIALNUMBER": "ip-<ip>"}}, nil, nil, "O=Example,CN=b.example,SERIALNUMBER=ip-192.0.2.1", ""},
		"multi-valued":         {[]map[string]string{{"CN": "<dns>", "UID": "x"}}, nil, nil, "UID=x+CN=a.example", ""},
		"granted":              {[]map[string]string{{"OU": "<ou.2>"}, {"CN": "<dns>"}}, grantOU, []string{"OU", "Plant 1", "OU", "Office", "CN", "ignored"}, "OU=Office,CN=a.example", ""},
		"outside the grant":    {[]map[string]string{{"OU": "<OU>"}}, grantOU, []string{"OU", "Bank"}, "", "subject.asserted"},
		"missing":              {[]map[string]string{{"OU": "<OU>"}}, grantOU, nil, "", "subject.template"},
		"fewer names":          {[]map[string]string{{"CN": "<dns.3>"}}, nil, nil, "", "subject.template"},
		"too long together":    {[]map[string]string{{"CN": "0123456789012345678901234567890123456789012345678901234567890<dns.1>"}}, nil, nil, "", "subject.template"},
		"asserted CN not used": {[]map[string]string{{"CN": "fixed"}}, nil, []string{"CN", "admin"}, "CN=fixed", ""},
		"attribute by number":  {[]map[string]string{{"1.2.3.4": "x"}}, nil, nil, "1.2.3.4=x", ""},
		"asserted by number":   {[]map[string]string{{"2.5.4.11": "<2.5.4.11>"}}, grantOU, []string{"OU", "Office"}, "OU=Office", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := compiled(t, withSubject(WrittenSubject{Template: c.template, Asserted: c.grants}))
			r := request(t, "a.example", "b.example")
			r.Claims = append(r.Claims, serviceIP(t, "192.0.2.1"))
			if c.asserted != nil {
				r.Asserted.Subject = subject(t, c.asserted...)
			}
			d, err := p.Decide(r, facts(t), now)
			if c.rule != "" {
				if e := ca.AsError(err); !ca.IsKind(err, ca.Denied) || e.Rule != "profile p "+c.rule {
					t.Errorf("got %v, want Denied by %s", err, c.rule)
				}
				return
			}
			if err != nil || d.Subject.String() != c.want {
				t.Errorf("subject %v (%v), want %s", d, err, c.want)
			}
		})
	}
}

// Granted attributes are copied as they are: order, string types and
// multi-valued RDNs.
func TestCopyGranted(t *testing.T) {
	grants := []WrittenGrant{{"CN", []string{"device-*"}}, {"OU", []string{"*"}}}
	p := compiled(t, withSubject(WrittenSubject{Asserted: grants}))
	cn, ou, o := pkix.OID{2, 5, 4, 3}, pkix.OID{2, 5, 4, 11}, pkix.OID{2, 5, 4, 10}
	asked, err := pkix.MarshalName([]pkix.RDN{
		{{Type: ou, Tag: 19, Value: []byte("Plant")}, {Type: o, Tag: 12, Value: []byte("Bank")}},
		{{Type: cn, Tag: 30, Value: []byte("\x00d\x00e\x00v\x00i\x00c\x00e\x00-\x001")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := pkix.MarshalName([]pkix.RDN{
		{{Type: ou, Tag: 19, Value: []byte("Plant")}},
		{{Type: cn, Tag: 30, Value: []byte("\x00d\x00e\x00v\x00i\x00c\x00e\x00-\x001")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, "a.example")
	r.Asserted.Subject = asked
	d := decided(t, p, r)
	if !bytes.Equal(d.Subject, want) {
		t.Errorf("subject %x, want %x", d.Subject, want)
	}
	if f := fieldOf(d, "subject.CN"); f.Source != "asserted, granted by profile p subject.asserted.CN" {
		t.Errorf("recorded as %+v", f)
	}
	if f := fieldOf(d, "subject.O"); f.Note == "" || f.Value != "Bank" {
		t.Errorf("what was left out is recorded as %+v", f)
	}
	for what, a := range map[string]pkix.Attribute{
		"pattern":         {Type: cn, Tag: 12, Value: []byte("admin")},
		"control":         {Type: cn, Tag: 12, Value: []byte("device-\x00")},
		"PrintableString": {Type: cn, Tag: 19, Value: []byte("device-@")},
		"not text":        {Type: cn, Tag: 4, Value: []byte("device-1")},
		"too long":        {Type: cn, Tag: 12, Value: append([]byte("device-"), bytes.Repeat([]byte("x"), 64)...)},
	} {
		if r.Asserted.Subject, err = pkix.MarshalName([]pkix.RDN{{a}}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Decide(r, facts(t), now); !ca.IsKind(err, ca.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.Asserted.Subject = pkix.RawName("nonsense")
	if _, err := p.Decide(r, facts(t), now); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("a malformed subject: %v", err)
	}
}

func TestCopyCN(t *testing.T) {
	w := withSubject(WrittenSubject{Asserted: []WrittenGrant{{"CN", []string{"*"}}}})
	w.CopyCNToDNS = true
	w.SubjectAltName.DNS.Allow = []string{"*.example"}
	p := compiled(t, w)
	for cn, want := range map[string]string{"Host.example": "dns:a.example dns:host.example", "A.example": "dns:a.example", "John Doe": "dns:a.example", "host.other": "denied"} {
		r := request(t, "a.example")
		r.Asserted.Subject = subject(t, "CN", cn)
		d, err := p.Decide(r, facts(t), now)
		got := "denied"
		if err == nil {
			got = sans(d)
		} else if !ca.IsKind(err, ca.Denied) {
			t.Errorf("%s: %v", cn, err)
		}
		if got != want {
			t.Errorf("%s: names %s, want %s", cn, got, want)
		}
	}
}

func TestNamesNobody(t *testing.T) {
	p := compiled(t, withSubject(WrittenSubject{}))
	if _, err := p.Decide(&ca.Request{Possession: possession(t, "ecdsa-p256")}, facts(t), now); !ca.IsKind(err, ca.Denied) {
		t.Errorf("a certificate for nobody: %v", err)
	}
	r := &ca.Request{Possession: possession(t, "ecdsa-p256"), Claims: []claim.Claim{proof(t, "a.example", claim.HTTP01)}}
	if san, _ := pkix.FindExtension(decided(t, p, r).Extensions, pkix.OIDSubjectAltName); !san.Critical {
		t.Error("subjectAltName is not critical beside an empty subject (RFC 5280 section 4.2.1.6)")
	}
}
