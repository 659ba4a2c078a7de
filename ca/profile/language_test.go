package profile

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// What a profile itself puts into certificates, octet for octet.
func TestOwnExtensions(t *testing.T) {
	w := minimal()
	w.SubjectAltName.DNS.Min = 1
	w.Extensions = []WrittenExtension{
		{OID: "1.3.6.1.4.1.99999.1", Type: "utf8", Value: "unit <directory.department?> of <dns.1>"},
		{OID: "1.3.6.1.4.1.99999.2", Type: "utf8", Value: "<directory.room?>"},
		{OID: "1.3.6.1.4.1.99999.3", Type: "hex", Value: "30 03 0201 05", Critical: true},
		{OID: "1.3.6.1.4.1.99999.4", Type: "integer", Value: "-1"}, {OID: "1.3.6.1.4.1.99999.5", Type: "boolean", Value: "true"},
		{OID: "1.3.6.1.4.1.99999.6", Type: "oid", Value: "1.2.3"}, {OID: "1.3.6.1.4.1.99999.7", Type: "null"},
		{OID: "1.3.6.1.4.1.99999.8", Type: "bmp", Value: "x"}, {OID: "1.3.6.1.4.1.99999.9", Type: "base64", Value: "BQA="},
	}
	w.Policies, w.PolicyQualifiers = []string{"1.2.3"}, []WrittenQualifier{{Policy: "1.2.3", CPS: "https://a.example/cps", Notice: "read it"}}
	w.SMIMECapabilities, w.MSTemplate, w.MSSID = []string{"aes256-gcm", "1.2.3"}, &WrittenMSTemplate{OID: "1.2.3", Major: 100}, "require"
	p := compiled(t, w)
	r := request(t, "a.example")
	r.Claims = append(r.Claims, supposed(t, claim.Directory, "department=IT", claim.DirectoryEntry), supposed(t, claim.SID, "S-1-5-21-1-2", claim.DirectoryEntry))
	d := decided(t, p, r)
	want := map[string]string{
		"1.3.6.1.4.1.99999.3": "3003020105", "1.3.6.1.4.1.99999.4": "0201ff", "1.3.6.1.4.1.99999.5": "0101ff", "1.3.6.1.4.1.99999.6": "06022a03",
		"1.3.6.1.4.1.99999.7": "0500", "1.3.6.1.4.1.99999.8": "1e020078", "1.3.6.1.4.1.99999.9": "0500",
		"2.5.29.32":             "3042304006022a03303a302106082b06010505070201161568747470733a2f2f612e6578616d706c652f637073301506082b0601050507020230090c0772656164206974",
		"1.2.840.113549.1.9.15": "3013300b060960864801650304012e300406022a03",
		"1.3.6.1.4.1.311.21.7":  "300a06022a03020164020100",
	}
	want["1.3.6.1.4.1.99999.1"] = "0c14" + hex.EncodeToString([]byte("unit IT of a.example"))
	sid, err := pkix.MarshalSecurityID("S-1-5-21-1-2")
	if err != nil {
		t.Fatal(err)
	}
	want["1.3.6.1.4.1.311.25.2"] = hex.EncodeToString(sid.Value)
	for id, value := range want {
		oid, _ := pkix.ParseOID(id)
		e, ok := pkix.FindExtension(d.Extensions, oid)
		if got := hex.EncodeToString(e.Value); !ok || got != value {
			t.Errorf("extension %s is %s, want %s", id, got, value)
		}
		if e.Critical != (id == "1.3.6.1.4.1.99999.3") {
			t.Errorf("extension %s has critical %v", id, e.Critical)
		}
	}
	if e, ok := pkix.FindExtension(d.Extensions, pkix.OID{1, 3, 6, 1, 4, 1, 99999, 2}); ok {
		t.Errorf("an extension without a value is there: %v", e)
	}
	if f := fieldOf(d, "extension.1.3.6.1.4.1.99999.1"); !strings.Contains(f.Source, "directory supposed offline") {
		t.Errorf("recorded as %+v", f)
	}
	r.Claims = r.Claims[:2] // no SID
	if _, err := p.Decide(r, facts(t), now); !ca.IsKind(err, ca.Denied) || !strings.Contains(ca.AsError(err).Rule, "ms_sid") {
		t.Errorf("without a security identifier: %v", err)
	}
	r.Claims = append(r.Claims, supposed(t, claim.SID, "S-1-5-21-1-2", claim.Credential)) // no directory said so
	if _, err := p.Decide(r, facts(t), now); !ca.IsKind(err, ca.Denied) {
		t.Errorf("a security identifier that no directory stated: %v", err)
	}
}

// Validity without an end, and exact dates.
func TestExactValidity(t *testing.T) {
	f := facts(t)
	for name, c := range map[string]struct {
		v          WrittenValidity
		start, end string
		denied     bool
	}{
		"forever":       {WrittenValidity{Default: "forever", BeyondIssuer: "allow"}, "2026-03-01T11:59:00Z", "9999-12-31T23:59:59Z", false},
		"allow":         {WrittenValidity{Default: "P20Y", BeyondIssuer: "allow", Backdate: "PT0S"}, "2026-03-01T12:00:00Z", "2046-03-01T11:59:59Z", false},
		"exact":         {WrittenValidity{NotBefore: "2026-01-01T00:00:00Z", NotAfter: "2027-01-01T00:00:00+01:00"}, "2026-01-01T00:00:00Z", "2026-12-31T23:00:00Z", false},
		"exact end":     {WrittenValidity{NotAfter: "2027-01-01T00:00:00Z"}, "2026-03-01T11:59:00Z", "2027-01-01T00:00:00Z", false},
		"exact start":   {WrittenValidity{NotBefore: "2026-06-01T00:00:00Z", Default: "P1D"}, "2026-06-01T00:00:00Z", "2026-06-01T23:59:59Z", false},
		"cut":           {WrittenValidity{NotAfter: "2040-01-01T00:00:00Z"}, "2026-03-01T11:59:00Z", "2030-01-01T00:00:00Z", false},
		"past":          {WrittenValidity{NotAfter: "2026-01-01T00:00:00Z"}, "", "", true},
		"before issuer": {WrittenValidity{NotBefore: "2020-01-01T00:00:00Z", NotAfter: "2027-01-01T00:00:00Z"}, "2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z", false},
	} {
		w := minimal()
		w.Validity = c.v
		r := request(t, "a.example")
		r.Asserted.NotAfter = now.Add(time.Hour)
		d, err := compiled(t, w).Decide(r, f, now)
		if c.denied {
			if !ca.IsKind(err, ca.Denied) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || d.NotBefore.Format(time.RFC3339) != c.start || d.NotAfter.Format(time.RFC3339) != c.end {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// What the profile says of renewal, approval, uniqueness and made keys.
func TestLife(t *testing.T) {
	w := minimal()
	w.Approval, w.Renewal = "manual", WrittenRenewal{Window: "P30D", Grace: "P7D", Overlap: "P2D", RevokeSuperseded: true}
	w.Unique, w.ServerKeys = WrittenUnique{Subject: "ca", SAN: "tenant", Key: "profile"}, []string{"ecdsa-p256", "rsa-2048"}
	w.Acknowledge = []string{"no-ext-key-usage"}
	p := compiled(t, w)
	r := request(t, "a.example", "b.example")
	d := decided(t, p, r)
	if want := (ca.RenewalTerms{From: d.NotAfter.AddDate(0, 0, -30), Until: d.NotAfter.AddDate(0, 0, 7), Overlap: 48 * time.Hour, RevokeSuperseded: true}); d.Renewal != want || !d.Manual || !p.Manual() {
		t.Errorf("renewal %+v, want %+v; manual %v", d.Renewal, want, d.Manual)
	}
	if len(d.Unique) != 4 || d.Unique[0].What != ca.UniqueSubject || d.Unique[0].Scope != ca.WithinCA || d.Unique[1].Value == d.Unique[2].Value {
		t.Errorf("unique %+v", d.Unique)
	}
	other := facts(t)
	other.Tenant = "another"
	e, err := p.Decide(r, other, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.Unique {
		if d.Unique[i].Value == e.Unique[i].Value {
			t.Errorf("%s of two tenants is the same", d.Unique[i].What)
		}
	}
	for a, b := range map[string]string{"Example  Ltd": "example ltd", "x": "X"} {
		if comparableName(subject(t, "O", a)) != comparableName(subject(t, "O", b)) {
			t.Errorf("%q and %q are different subjects", a, b)
		}
	}
	if comparableName(subject(t, "O", "a", "OU", "b")) == comparableName(subject(t, "OU", "b", "O", "a")) {
		t.Error("the order of a name does not count")
	}
	share := w
	share.Renewal = WrittenRenewal{Window: "33%"}
	if got := decided(t, compiled(t, share), r).Renewal.From; got.Before(d.NotAfter.AddDate(0, 0, -30)) || got.After(d.NotAfter.AddDate(0, 0, -29)) {
		t.Errorf("a third of 90 days before the end is %s of %s", got, d.NotAfter)
	}
	r.Operation = ca.KeyGen
	decided(t, p, r)
	r.Possession = possession(t, "rsa-3072")
	if _, err := p.Decide(r, facts(t), now); !ca.IsKind(err, ca.Denied) || !strings.HasSuffix(ca.AsError(err).Rule, "server_keys") {
		t.Errorf("a key that is not made: %v", err)
	}
	if got := strings.Join(p.ServerKeys(), " ") + strings.Join(p.Acknowledged(), " "); got != "ecdsa-p256 rsa-2048no-ext-key-usage" {
		t.Errorf("accessors give %s", got)
	}
}

// Rules see claims, asserted values, caller, key, profile and times, and the
// refusal names the rule and its line.
func TestRules(t *testing.T) {
	for text, want := range map[string]bool{
		`all(names, .kind == "dns" and .value endsWith ".example")`:             true,
		`len(claims) == 2 and any(claims, .method == "http-01")`:                true,
		`any(asserted.subject, .kind == "O" and lower(.value) == "bank")`:       true,
		`caller.door == "acme" and "acme-account" in caller.methods`:            true,
		`key.algorithm startsWith "rsa-"`:                                       false,
		`not_after - not_before <= duration("2160h")`:                           true,
		`now > not_before and ca.not_after > not_after`:                         true,
		`profile.id == "p" and operation == "enroll"`:                           true,
		`"certificatePolicies" in asserted.extensions`:                          false,
		`all(names, any(claims, .value == #.value))`:                            true,
		`claims[7].kind == "dns"`:                                               false, // fails while it runs
		`one(subject, .kind == "CN") and first(names).value matches "^[ab]\\."`: true,
	} {
		w := minimal()
		w.Rules = []WrittenRule{{When: `operation == "renew"`, Deny: "Never."}, {Require: text, Deny: "Ask for what is issued here."}}
		p := compiled(t, w)
		r := request(t, "a.example", "b.example")
		r.Caller, r.Asserted.Subject = account(t), subject(t, "O", "Bank")
		d, err := p.Decide(r, facts(t), now)
		if want {
			if err != nil || fieldOf(d, "rules.0").Value != "does not apply" || fieldOf(d, "rules.1").Value != "holds" {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		e := ca.AsError(err)
		if !ca.IsKind(err, ca.Denied) || e.Public != "Ask for what is issued here." || e.Field != "rules.1" {
			t.Errorf("%s: %v", text, err)
			continue
		}
		lines := strings.Split(string(p.Text()), "\n")
		if line := p.extra[1].line; !strings.Contains(lines[line-1], "require:") || !strings.Contains(e.Rule, "rules.1 (line ") {
			t.Errorf("%s: rule %q is not on its line %q", text, e.Rule, lines[line-1])
		}
	}
}

// Expressions that could be slow, large or impure do not compile.
func TestRulesAreBounded(t *testing.T) {
	for text, says := range map[string]string{
		`now() > not_before`:                               "does not compile",
		`date("2020-01-01") < now`:                         "does not compile",
		`now.Local().Hour() > 8`:                           "calls a method",
		`len(1..1000000) > 0`:                              "range",
		`caller.id + caller.id == "x"`:                     "joins texts",
		`caller.id matches caller.door`:                    "not written out",
		`let x = caller.id; x == "a"`:                      "several statements",
		`any(names, any(names, any(names, .kind == "x")))`: "more than 2 deep",
		`names`:                     "does not compile",
		`caller.password == ""`:     "line 1, column 8",
		`repeat("x", 100000) == ""`: "does not compile",
		strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000): "at most",
		strings.Repeat("true and ", 150) + "true":                      "does not compile",
		"\xff": "UTF-8",
	} {
		w := minimal()
		w.Rules = []WrittenRule{{Require: text, Deny: "No."}}
		_, err := Compile(w)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v, want %q", text, err, says)
		}
	}
}
