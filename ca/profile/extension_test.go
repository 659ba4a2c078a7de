package profile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

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
		if got, err := pkix.ParseExtKeyUsage(e.Value); !ok || e.Critical || err != nil || PrintUsages(got) != c.want {
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
		if f := fieldOf(d, "extension."+ExtensionName(e.ID)); !strings.Contains(f.Note, "left out") {
			t.Errorf("nothing is recorded about %s: %+v", e.ID, f)
		}
	}
}

func TestProfilePoliciesWin(t *testing.T) {
	w := minimal()
	w.Policies, w.RequestExtensions = []string{"1.2.3.4"}, []string{"certificatePolicies", "pivInterimIndicator"}
	r := request(t, "a.example")
	other, err := pkix.MarshalCertificatePolicies([]pkix.OID{{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	r.Asserted.Extensions = []pkix.Extension{other, {ID: requestable["pivInterimIndicator"], Value: bytes.Repeat([]byte{0}, 2)}, {ID: requestable["pivInterimIndicator"], Value: []byte{4, 0}}}
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
	r.Asserted.Extensions = []pkix.Extension{{ID: requestable["pivInterimIndicator"], Value: append([]byte{4, 0x82, 0x13, 0x88}, make([]byte, 5000)...)}}
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
