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

// Each date of the request under each of the three rules.
func TestValidity(t *testing.T) {
	day := 24 * time.Hour
	start := time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC) // a minute before now, whole seconds
	full := start.Add(90*day - time.Second)
	issuerEnd := facts(t).NotAfter
	for name, c := range map[string]struct {
		w                  WrittenValidity
		askStart, askEnd   time.Time
		wantStart, wantEnd time.Time
		denied             string
	}{
		"default":               {w: WrittenValidity{Default: "P90D"}, wantStart: start, wantEnd: full},
		"ignored":               {w: WrittenValidity{Default: "P90D"}, askStart: now.Add(-9 * day), askEnd: now.Add(day), wantStart: start, wantEnd: full},
		"no backdate":           {w: WrittenValidity{Default: "P90D", Backdate: "PT0S"}, wantStart: now.Truncate(time.Second), wantEnd: now.Truncate(time.Second).Add(90*day - time.Second)},
		"shortened":             {w: WrittenValidity{Default: "P90D", Requested: "shorten"}, askEnd: start.Add(day), wantStart: start, wantEnd: start.Add(day)},
		"shortened at both":     {w: WrittenValidity{Default: "P90D", Requested: "shorten"}, askStart: start.Add(day), askEnd: start.Add(2 * day), wantStart: start.Add(day), wantEnd: start.Add(2 * day)},
		"clipped":               {w: WrittenValidity{Default: "P90D", Requested: "shorten"}, askStart: start.Add(-day), askEnd: full.Add(day), wantStart: start, wantEnd: full},
		"shortened to the past": {w: WrittenValidity{Default: "P90D", Requested: "shorten"}, askEnd: now.Add(-time.Second), denied: "validity.requested"},
		"within":                {w: WrittenValidity{Default: "P90D", Maximum: "P1Y", Requested: "within"}, askEnd: start.AddDate(1, 0, 0).Add(-time.Second), wantStart: start, wantEnd: start.AddDate(1, 0, 0).Add(-time.Second)},
		"within, start alone":   {w: WrittenValidity{Default: "P90D", Requested: "within"}, askStart: start.Add(day), wantStart: start.Add(day), wantEnd: full.Add(day)},
		"beyond the maximum":    {w: WrittenValidity{Default: "P90D", Maximum: "P1Y", Requested: "within"}, askEnd: start.AddDate(1, 0, 0), denied: "validity.maximum"},
		"backdated by request":  {w: WrittenValidity{Default: "P90D", Requested: "within"}, askStart: start.Add(-time.Second), denied: "validity.requested"},
		"far in the future":     {w: WrittenValidity{Default: "P90D", Requested: "within"}, askStart: full.Add(day), denied: "validity.requested"},
		"issuer's expiry":       {w: WrittenValidity{Default: issuerExpiry}, wantStart: start, wantEnd: issuerEnd},
		"cut":                   {w: WrittenValidity{Default: "P10Y"}, wantStart: start, wantEnd: issuerEnd},
		"refused":               {w: WrittenValidity{Default: "P10Y", BeyondIssuer: "refuse"}, denied: "validity.beyond_issuer"},
		"longer than time":      {w: WrittenValidity{Default: "P99999Y"}, wantStart: start, wantEnd: issuerEnd},
	} {
		t.Run(name, func(t *testing.T) {
			w := minimal()
			w.Validity = c.w
			r := request(t, "a.example")
			r.Asserted.NotBefore, r.Asserted.NotAfter = c.askStart, c.askEnd
			d, err := compiled(t, w).Decide(r, facts(t), now)
			if c.denied != "" {
				if e := ca.AsError(err); !ca.IsKind(err, ca.Denied) || e.Rule != "profile p "+c.denied {
					t.Errorf("got %v, want Denied by %s", err, c.denied)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !d.NotBefore.Equal(c.wantStart) || !d.NotAfter.Equal(c.wantEnd) {
				t.Errorf("%s to %s, want %s to %s", d.NotBefore, d.NotAfter, c.wantStart, c.wantEnd)
			}
		})
	}
}

func TestValidityStartsWithTheIssuer(t *testing.T) {
	f := facts(t)
	f.NotBefore = now.Add(-time.Second).Truncate(time.Second)
	d, err := builtin(t, "privatessl-tls-server").Decide(request(t, "a.example"), f, now)
	if err != nil || !d.NotBefore.Equal(f.NotBefore) {
		t.Errorf("notBefore %v, error %v", d, err)
	}
}

func TestExtKeyUsageRequested(t *testing.T) {
	w := minimal()
	w.ExtKeyUsage = WrittenExtKeyUsage{Mode: "requested", Values: []string{"clientAuth", "emailProtection"}, Default: []string{"clientAuth"}}
	p := compiled(t, w)
	usage := func(names ...string) []pkix.Extension {
		var oids []pkix.OID
		for _, n := range names {
			oids = append(oids, pkix.ExtKeyUsages[n])
		}
		e, err := pkix.MarshalExtKeyUsage(oids, true)
		if err != nil {
			t.Fatal(err)
		}
		return []pkix.Extension{e}
	}
	for name, c := range map[string]struct {
		asked []pkix.Extension
		want  string
		kind  ca.Kind
	}{
		"not asked":   {nil, "clientAuth", 0},
		"asked":       {usage("emailProtection"), "emailProtection", 0},
		"some denied": {usage("anyExtendedKeyUsage", "emailProtection", "serverAuth"), "emailProtection", 0},
		"all denied":  {usage("anyExtendedKeyUsage"), "", ca.Denied},
		"malformed":   {[]pkix.Extension{{ID: pkix.OIDExtKeyUsage, Value: []byte{0x30, 0}}}, "", ca.BadRequest},
	} {
		r := request(t, "a.example")
		r.Asserted.Extensions = c.asked
		d, err := p.Decide(r, facts(t), now)
		if c.kind != 0 {
			if !ca.IsKind(err, c.kind) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || fieldOf(d, "ext_key_usage").Value != c.want {
			t.Errorf("%s: %+v, %v", name, d, err)
			continue
		}
		e, ok := pkix.FindExtension(d.Extensions, pkix.OIDExtKeyUsage)
		if got, err := pkix.ParseExtKeyUsage(e.Value); !ok || e.Critical || err != nil || printUsages(got) != c.want {
			t.Errorf("%s: extension %v %v %v", name, e, got, err)
		}
	}
}

// What the request says about extensions: taken, dropped, never.
func TestRequestExtensions(t *testing.T) {
	policies, err := pkix.MarshalCertificatePolicies([]pkix.OID{{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	policies.Critical = true
	asked := []pkix.Extension{
		policies,
		{ID: pkix.OIDMSSecurityID, Value: []byte{0x30, 0}},
		{ID: pkix.OIDBasicConstraints, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}},
		{ID: pkix.OIDKeyUsage, Critical: true, Value: []byte{3, 2, 1, 6}},
		{ID: pkix.OIDSubjectKeyID, Value: []byte{4, 1, 1}},
		{ID: pkix.OIDMSTemplateName, Value: []byte{0x0c, 1, 'x'}},
		{ID: pkix.OID{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}},
	}
	r := request(t, "a.example")
	r.Asserted.Extensions = asked
	d := decided(t, builtin(t, "privatessl-tls-server"), r)
	last := d.Extensions[len(d.Extensions)-1]
	if !last.ID.Equal(pkix.OIDCertificatePolicies) || last.Critical || !bytes.Equal(last.Value, policies.Value) {
		t.Errorf("certificatePolicies came out as %+v", last)
	}
	for _, e := range asked[1:] {
		if got, ok := pkix.FindExtension(d.Extensions, e.ID); ok && bytes.Equal(got.Value, e.Value) {
			t.Errorf("%s was copied from the request", e.ID)
		}
		if f := fieldOf(d, "extension."+extensionName(e.ID)); !strings.Contains(f.Note, "left out") {
			t.Errorf("nothing is recorded about %s: %+v", e.ID, f)
		}
	}
}

func TestProfilePoliciesWin(t *testing.T) {
	w := minimal()
	w.Policies, w.RequestExtensions = []string{"1.2.3.4"}, []string{"certificatePolicies", "msTemplateName"}
	r := request(t, "a.example")
	other, err := pkix.MarshalCertificatePolicies([]pkix.OID{{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	r.Asserted.Extensions = []pkix.Extension{other, {ID: pkix.OIDMSTemplateName, Value: bytes.Repeat([]byte{0}, 2)}, {ID: pkix.OIDMSTemplateName, Value: []byte{4, 0}}}
	d := decided(t, compiled(t, w), r)
	count := map[string]int{}
	for _, e := range d.Extensions {
		count[e.ID.String()]++
	}
	for id, n := range count {
		if n > 1 {
			t.Errorf("extension %s appears %d times", id, n)
		}
	}
	if got, _ := pkix.FindExtension(d.Extensions, pkix.OIDCertificatePolicies); bytes.Equal(got.Value, other.Value) {
		t.Error("the request's policies beat the profile's")
	}
	r.Asserted.Extensions = []pkix.Extension{{ID: pkix.OIDMSTemplateName, Value: append([]byte{4, 0x82, 0x13, 0x88}, make([]byte, 5000)...)}}
	if _, err := compiled(t, w).Decide(r, facts(t), now); !ca.IsKind(err, ca.Denied) {
		t.Errorf("an extension of 5000 octets: %v", err)
	}
}

// URLs come out only where a publisher is bound and the profile wants them.
func TestURLs(t *testing.T) {
	f := facts(t)
	f.CDP, f.OCSP = []string{"http://pki.example/crl"}, []string{"http://pki.example/ocsp"}
	no := false
	for _, c := range []struct {
		urls     WrittenURLs
		aia, cdp bool
	}{{WrittenURLs{}, true, true}, {WrittenURLs{CRL: &no}, true, false}, {WrittenURLs{AIA: &no, OCSP: &no}, false, true}} {
		w := minimal()
		w.URLs = c.urls
		d, err := compiled(t, w).Decide(request(t, "a.example"), f, now)
		if err != nil {
			t.Fatal(err)
		}
		_, aia := pkix.FindExtension(d.Extensions, pkix.OIDAuthorityInfoAccess)
		_, cdp := pkix.FindExtension(d.Extensions, pkix.OIDCRLDistPoints)
		if aia != c.aia || cdp != c.cdp {
			t.Errorf("%+v: authorityInfoAccess %v, cRLDistributionPoints %v", c.urls, aia, cdp)
		}
	}
	d := decided(t, builtin(t, "privatessl-tls-server"), request(t, "a.example"))
	if _, ok := pkix.FindExtension(d.Extensions, pkix.OIDCRLDistPoints); ok {
		t.Error("a CRL URL is issued that no listener serves")
	}
}

// The short encodings here are those of the general encoder.
func TestKeyIdentifiers(t *testing.T) {
	id := bytes.Repeat([]byte{7}, 20)
	ski, err := pkix.MarshalSubjectKeyID(id)
	if err != nil || !bytes.Equal(ski.Value, subjectKeyID(id).Value) {
		t.Errorf("subjectKeyIdentifier %x, want %x (%v)", subjectKeyID(id).Value, ski.Value, err)
	}
	aki, err := pkix.MarshalAuthorityKeyID(id)
	if err != nil || !bytes.Equal(aki.Value, authorityKeyID(id).Value) {
		t.Errorf("authorityKeyIdentifier %x, want %x (%v)", authorityKeyID(id).Value, aki.Value, err)
	}
	f := facts(t)
	f.KeyID = nil
	if _, err := builtin(t, "privatessl-tls-server").Decide(request(t, "a.example"), f, now); !ca.IsKind(err, ca.Internal) {
		t.Errorf("an issuer without key identifier: %v", err)
	}
}

func TestUnfitRefuse(t *testing.T) {
	w := minimal()
	w.KeyUsage = WrittenKeyUsage{Bits: []string{"digitalSignature", "keyEncipherment"}, Unfit: "refuse"}
	if _, err := compiled(t, w).Decide(request(t, "a.example"), facts(t), now); !ca.IsKind(err, ca.Denied) {
		t.Errorf("an EC key: %v", err)
	}
	w.KeyUsage.Unfit = ""
	if d := decided(t, compiled(t, w), request(t, "a.example")); fieldOf(d, "key_usage").Value != "digitalSignature" || fieldOf(d, "key_usage").Note == "" {
		t.Errorf("dropped as %+v", fieldOf(d, "key_usage"))
	}
}

func TestPermit(t *testing.T) {
	w := minimal()
	w.SubjectAltName.DNS.Allow, w.SubjectAltName.DNS.Max = []string{"*.example.com"}, number(2)
	w.SubjectAltName.IP = &WrittenNames{Methods: []string{"service"}, Allow: []string{"192.0.2.0/24"}}
	p := compiled(t, w)
	good := append(dns("A.example.com", "b.example.com", "a.example.com"), pkix.GeneralName{Kind: pkix.IPAddress, Raw: []byte{192, 0, 2, 1}})
	if err := p.Permit(good); err != nil {
		t.Error(err)
	}
	for field, names := range map[string][]pkix.GeneralName{
		"dns:a.example.org":   dns("a.example.com", "a.example.org"),
		"dns:*.a.example.com": dns("*.a.example.com"),
		"dns:a..example.com":  dns("a..example.com"),
		"san.dns":             dns("a.example.com", "b.example.com", "c.example.com"),
		"email:a@example.com": {{Kind: pkix.RFC822Name, Raw: []byte("a@example.com")}},
		"ip:198.51.100.1":     {{Kind: pkix.IPAddress, Raw: []byte{198, 51, 100, 1}}},
		"iPAddress:#01":       {{Kind: pkix.IPAddress, Raw: []byte{1}}},
	} {
		if err := p.Permit(names); !ca.IsKind(err, ca.Denied) || ca.AsError(err).Field != field {
			t.Errorf("%v: %v, want Denied about %s", names, err, field)
		}
	}
}

func TestEngine(t *testing.T) {
	p := builtin(t, "privatessl-tls-server")
	e, err := NewEngine(map[string]*Profile{"one": p, "two": p})
	if err != nil {
		t.Fatal(err)
	}
	var policy ca.Policy = e
	at := &ca.Endpoint{ID: "one", Profile: p.ID()}
	if _, err := policy.Decide(at, request(t, "a.example"), facts(t), now); err != nil {
		t.Error(err)
	}
	if err := policy.Permit(at, dns("a.example")); err != nil {
		t.Error(err)
	}
	if got := e.Profiles(); len(got) != 1 || got[0] != p {
		t.Errorf("profiles %v", got)
	}
	for _, bad := range []*ca.Endpoint{{ID: "three", Profile: p.ID()}, {ID: "one", Profile: "another"}} {
		if _, err := policy.Decide(bad, request(t, "a.example"), facts(t), now); !ca.IsKind(err, ca.Denied) {
			t.Errorf("%+v: %v", bad, err)
		}
		if err := policy.Permit(bad, nil); !ca.IsKind(err, ca.Denied) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := NewEngine(map[string]*Profile{"one": nil}); err == nil {
		t.Error("an endpoint without profile was bound")
	}
	w := minimal()
	w.ID = p.ID()
	if _, err := NewEngine(map[string]*Profile{"one": p, "two": compiled(t, w)}); err == nil {
		t.Error("two profiles of one id were bound")
	}
}
