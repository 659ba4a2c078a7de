package profile

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

var (
	label   = strings.Repeat("a", 60)
	longest = label + ".example.com" // 72 characters
	fits    = strings.Repeat("b", 52) + ".example.com"
)

func dns(names ...string) (all []pkix.GeneralName) {
	for _, n := range names {
		all = append(all, pkix.DNS(n))
	}
	return all
}

// What becomes of names and CN under cn_from_first_dns.
func TestNames(t *testing.T) {
	p := builtin(t, "privatessl-tls-server")
	for name, c := range map[string]struct {
		claims   []string
		asked    []string
		asserted []string
		wantCN   string
		wantSANs string
	}{
		"nothing asked":            {[]string{"b.example", "a.example"}, nil, nil, "CN=b.example", "dns:b.example dns:a.example"},
		"order of the request":     {[]string{"b.example", "a.example"}, []string{"a.example", "b.example"}, nil, "CN=a.example", "dns:a.example dns:b.example"},
		"duplicates":               {[]string{"a.example", "a.example"}, []string{"a.example", "A.EXAMPLE", "a.example"}, nil, "CN=a.example", "dns:a.example"},
		"upper case":               {[]string{"a.example"}, []string{"A.Example"}, []string{"CN", "A.eXample"}, "CN=a.example", "dns:a.example"},
		"subset asked":             {[]string{"a.example", "b.example"}, []string{"b.example"}, nil, "CN=b.example", "dns:b.example"},
		"CN chosen":                {[]string{"a.example", "b.example"}, []string{"a.example", "b.example"}, []string{"CN", "b.example"}, "CN=b.example", "dns:a.example dns:b.example"},
		"CN alone":                 {[]string{"a.example", "b.example"}, nil, []string{"CN", "b.example"}, "CN=b.example", "dns:a.example dns:b.example"},
		"CN not among SANs":        {[]string{"a.example", "b.example"}, []string{"a.example"}, []string{"CN", "b.example"}, "CN=b.example", "dns:a.example dns:b.example"},
		"two CNs":                  {[]string{"a.example", "b.example"}, nil, []string{"CN", "b.example", "CN", "a.example"}, "CN=b.example", "dns:a.example dns:b.example"},
		"other attributes dropped": {[]string{"a.example"}, nil, []string{"C", "DE", "O", "Bank", "CN", "a.example"}, "CN=a.example", "dns:a.example"},
		"only a wildcard":          {[]string{"*.example.com"}, []string{"*.example.com"}, nil, "CN=*.example.com", "dns:*.example.com"},
		"64 characters":            {[]string{fits}, nil, nil, "CN=" + fits, "dns:" + fits},
		"longer than a CN":         {[]string{longest}, nil, nil, "", "dns:" + longest},
		"long one first":           {[]string{longest, "a.example"}, nil, nil, "", "dns:" + longest + " dns:a.example"},
		"CN too long":              {[]string{longest, "a.example"}, nil, []string{"CN", longest}, "", "dns:" + longest + " dns:a.example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, c.claims...)
			r.Asserted.AltNames = dns(c.asked...)
			if c.asserted != nil {
				r.Asserted.Subject = subject(t, c.asserted...)
			}
			d := decided(t, p, r)
			if d.Subject.String() != c.wantCN || sans(d) != c.wantSANs {
				t.Errorf("subject %q, names %q; want %q, %q", d.Subject, sans(d), c.wantCN, c.wantSANs)
			}
			san, ok := pkix.FindExtension(d.Extensions, pkix.OIDSubjectAltName)
			if !ok || san.Critical != (c.wantCN == "") {
				t.Errorf("subjectAltName present %v, critical %v, with subject %q", ok, san.Critical, d.Subject)
			}
			if d.Subject.Empty() && !bytes.Equal(d.Subject, pkix.EmptyName) {
				t.Errorf("an empty subject is %x", []byte(d.Subject))
			}
		})
	}
}

// What is refused, with the field and the rule that refused it.
func TestDenied(t *testing.T) {
	acme := builtin(t, "privatessl-tls-server")
	narrow := minimal()
	narrow.Keys = []string{"rsa-3072"}
	narrow.SubjectAltName.DNS = &WrittenNames{Methods: []string{"dns-01"}, Min: 2, Max: number(3), Allow: []string{"*.example.com"}}
	limited := compiled(t, narrow)
	narrow.Keys = []string{"ecdsa-p256"}
	limitedEC := compiled(t, narrow)
	uri := pkix.GeneralName{Kind: pkix.URI, Raw: []byte("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1")}
	for name, c := range map[string]struct {
		p           *Profile
		claims      []string
		change      func(*ca.Request)
		field, rule string
	}{
		"name not proven":      {acme, []string{"a.example"}, func(r *ca.Request) { r.Asserted.AltNames = dns("a.example", "b.example") }, "dns:b.example", "subject_alt_name"},
		"parent of proven":     {acme, []string{"a.example"}, func(r *ca.Request) { r.Asserted.AltNames = dns("example") }, "dns:example", "subject_alt_name"},
		"trailing dot":         {acme, []string{"a.example"}, func(r *ca.Request) { r.Asserted.AltNames = dns("a.example.") }, "dns:a.example.", "subject_alt_name"},
		"wildcard not proven":  {acme, []string{"a.example"}, func(r *ca.Request) { r.Asserted.AltNames = dns("*.a.example") }, "dns:*.a.example", "subject_alt_name"},
		"SID as URI":           {acme, []string{"a.example"}, func(r *ca.Request) { r.Asserted.AltNames = append(dns("a.example"), uri) }, clip(uri.String()), "subject_alt_name"},
		"no claim":             {acme, nil, func(*ca.Request) {}, "san.dns", "subject_alt_name.dns.min"},
		"CN not proven":        {acme, []string{"a.example"}, func(r *ca.Request) { r.Asserted.Subject = subject(t, "CN", "b.example") }, "subject.CN", "subject.cn_from_first_dns"},
		"second CN not proven": {acme, []string{"a.example"}, func(r *ca.Request) { r.Asserted.Subject = subject(t, "CN", "a.example", "CN", "admin") }, "subject.CN", "subject.cn_from_first_dns"},
		"CN by Kelvin sign":    {acme, []string{"k.example"}, func(r *ca.Request) { r.Asserted.Subject = subject(t, "CN", "\u212a.example") }, "subject.CN", "subject.cn_from_first_dns"},
		"address not issued":   {acme, []string{"a.example"}, func(r *ca.Request) { r.Claims = append(r.Claims, serviceIP(t, "192.0.2.1")) }, "ip:192.0.2.1", "subject_alt_name"},
		"key not listed":       {limited, []string{"a.example.com"}, func(*ca.Request) {}, "key", "keys"},
		"RSA size not listed":  {limited, []string{"a.example.com"}, func(r *ca.Request) { r.Possession = possession(t, "rsa-2048") }, "key", "keys"},
		"Ed25519 not listed":   {acme, []string{"a.example"}, func(r *ca.Request) { r.Possession = possession(t, "ed25519") }, "key", "keys"},
		"curve not listed":     {acme, []string{"a.example"}, func(r *ca.Request) { r.Possession = possession(t, "ecdsa-P-224") }, "key", "keys"},
		"method":               {limitedEC, []string{"a.example.com", "b.example.com"}, func(*ca.Request) {}, "dns:a.example.com", "subject_alt_name.dns.methods"},
		"pattern":              {limitedEC, []string{"a.example.org"}, func(*ca.Request) {}, "dns:a.example.org", "subject_alt_name.dns.allow"},
		"wildcard":             {limitedEC, []string{"*.a.example.com"}, func(*ca.Request) {}, "dns:*.a.example.com", "subject_alt_name.dns.wildcard"},
		"too few":              {limitedEC, nil, func(r *ca.Request) { r.Claims = []claim.Claim{proof(t, "a.example.com", claim.DNS01)} }, "san.dns", "subject_alt_name.dns.min"},
		"issuer has expired":   {acme, []string{"a.example"}, nil, "validity.not_after", "validity.beyond_issuer"},
		"policies malformed": {acme, []string{"a.example"}, func(r *ca.Request) {
			r.Asserted.Extensions = []pkix.Extension{{ID: pkix.OIDCertificatePolicies, Value: []byte{0x30, 0}}}
		}, "extension.certificatePolicies", "request_extensions"},
		"policies not DER": {acme, []string{"a.example"}, func(r *ca.Request) {
			r.Asserted.Extensions = []pkix.Extension{{ID: pkix.OIDCertificatePolicies, Value: []byte("x")}}
		}, "extension.certificatePolicies", "request_extensions"},
		"policies twice": {acme, []string{"a.example"}, func(r *ca.Request) {
			r.Asserted.Extensions = []pkix.Extension{{ID: pkix.OIDMSApplicationPolicy, Value: []byte{0x30, 0x0c, 0x30, 4, 6, 2, 0x2a, 3, 0x30, 4, 6, 2, 0x2a, 3}}}
		}, "extension.applicationPolicies", "request_extensions"},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := request(t, c.claims...), facts(t)
			if c.change == nil {
				f.NotAfter = now.Add(-time.Hour)
			} else {
				c.change(r)
			}
			_, err := c.p.Decide(r, f, now)
			e := ca.AsError(err)
			if !ca.IsKind(err, ca.Denied) || e.Field != c.field || e.Rule != "profile "+c.p.ID()+" "+c.rule {
				t.Errorf("got %v (field %q, rule %q), want Denied about %q by %q", err, e.Field, e.Rule, c.field, c.rule)
			}
		})
	}
}

func TestNothingWithoutProof(t *testing.T) {
	p := builtin(t, "privatessl-tls-server")
	r := request(t, "a.example")
	r.Possession = claim.Possession{}
	if _, err := p.Decide(r, facts(t), now); !ca.IsKind(err, ca.BadProof) {
		t.Errorf("without possession: %v", err)
	}
	r = request(t, "a.example")
	r.Claims = append(r.Claims, claim.Claim{})
	if _, err := p.Decide(r, facts(t), now); !ca.IsKind(err, ca.Internal) {
		t.Errorf("with a claim from nowhere: %v", err)
	}
}

// A name proven by a method that does not count and by one that does.
func TestSecondProofCounts(t *testing.T) {
	w := minimal()
	w.SubjectAltName.DNS.Methods = []string{"dns-01"}
	r := request(t, "a.example")
	r.Claims = append(r.Claims, proof(t, "a.example", claim.DNS01))
	d := decided(t, compiled(t, w), r)
	if sans(d) != "dns:a.example" || !strings.Contains(fieldOf(d, "san.dns").Source, "dns-01") {
		t.Errorf("names %s from %+v", sans(d), fieldOf(d, "san.dns"))
	}
}

func fieldOf(d *ca.Decision, name string) ca.Field {
	for _, f := range d.Fields {
		if f.Name == name {
			return f
		}
	}
	return ca.Field{}
}

func TestService(t *testing.T) {
	p := builtin(t, "gateway-tls-server")
	r := &ca.Request{Possession: possession(t, "ecdsa-p256"), Claims: []claim.Claim{serviceIP(t, "127.0.0.1"), serviceIP(t, "::1")}}
	d := decided(t, p, r)
	if san, _ := pkix.FindExtension(d.Extensions, pkix.OIDSubjectAltName); sans(d) != "ip:127.0.0.1 ip:::1" || !d.Subject.Empty() || !san.Critical {
		t.Errorf("subject %q, names %s, critical %v", d.Subject, sans(d), san.Critical)
	}
}
