package profile

import (
	"slices"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
)

// The built-in profiles come out clean: what a review finds in them is
// acknowledged in the data, and nothing else is.
func TestBuiltinReview(t *testing.T) {
	all, err := BuiltinProfiles()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 81 {
		t.Errorf("only %d built-in profiles were looked at", len(all))
	}
	for _, p := range all {
		for _, f := range p.Unacknowledged() {
			t.Errorf("%s: %s %s at %s", p.ID(), f.Severity, f.Name, f.Path)
		}
	}
}

// harmless is a profile in which a review finds nothing.
func harmless() Written {
	return Written{ID: "harmless", Keys: []string{"ecdsa-p256"}, KeyUsage: WrittenKeyUsage{Bits: []string{"digitalSignature"}},
		ExtKeyUsage: WrittenExtKeyUsage{Mode: "fixed", Values: []string{"clientAuth", "serverAuth"}}, Validity: WrittenValidity{Default: "P90D"},
		SubjectAltName: WrittenAltName{DNS: &WrittenNames{Methods: []string{"dns-01"}, Wildcard: true}, UPN: &WrittenNames{Methods: []string{"directory"}}}, MSSID: "require"}
}

// harmlessCA is one of a CA.
func harmlessCA() Written {
	return Written{ID: "harmless", Kind: KindCA, PathLen: number(0), Keys: []string{"ecdsa-p384"}, KeyUsage: WrittenKeyUsage{Bits: []string{"keyCertSign", "cRLSign"}},
		ExtKeyUsage: WrittenExtKeyUsage{Mode: "fixed", Values: []string{"clientAuth"}}, Validity: WrittenValidity{Default: "P20Y"},
		Subject: WrittenSubject{Template: []map[string]string{{"CN": "CA"}}}, Acknowledge: []string{"makes-ca"}}
}

// asserting takes names of one type by pattern.
func asserting(w *Written, patterns ...string) {
	w.SubjectAltName.DNS.Asserted, w.SubjectAltName.DNS.Wildcard = patterns, false
}

// Each rule fires on its shape, beside the ones named, and not on the shape's
// nearest harmless neighbour.
func TestReviewRules(t *testing.T) {
	off := false
	tests := map[string]struct {
		bad, good func(w *Written)
		beside    string // what else the bad one shows
		ca        bool
	}{
		"requester-names-subject": {
			bad:  func(w *Written) { asserting(w, "*.example") },
			good: func(w *Written) { asserting(w, "*.example"); w.AssertedBy = []string{"operator", "system"} }},
		"any-name-by-request": {
			bad: func(w *Written) { asserting(w, "*") },
			good: func(w *Written) {
				asserting(w, "*")
				w.SubjectAltName.DNS.Allow = []string{"*.example"}
				w.Acknowledge = []string{"requester-names-subject"}
			},
			beside: "requester-names-subject"},
		"wildcard-by-request": {
			bad:    func(w *Written) { asserting(w, "*.example"); w.SubjectAltName.DNS.Wildcard = true },
			good:   func(w *Written) { w.SubjectAltName.DNS.Wildcard = true },
			beside: "requester-names-subject"},
		"upn-by-request": {
			bad:    func(w *Written) { w.SubjectAltName.UPN.Asserted = []string{"*@corp.example"} },
			good:   func(w *Written) { w.SubjectAltName.UPN.Allow = []string{"*@corp.example"} },
			beside: "requester-names-subject"},
		"proven-door-asserts": {
			bad:    func(w *Written) { asserting(w, "*.example"); w.AssertedBy = []string{"wstep"} },
			good:   func(w *Written) { asserting(w, "*.example"); w.AssertedBy = []string{"operator"} },
			beside: "requester-names-subject"},
		"any-purpose": {
			bad:  func(w *Written) { w.ExtKeyUsage.Values = []string{"anyExtendedKeyUsage"} },
			good: func(w *Written) { w.ExtKeyUsage.Values = []string{"emailProtection"} }},
		"no-ext-key-usage": {
			bad: func(w *Written) {
				w.ExtKeyUsage = WrittenExtKeyUsage{Mode: "requested", Values: []string{"clientAuth"}}
			},
			good: func(w *Written) {
				w.ExtKeyUsage = WrittenExtKeyUsage{Mode: "requested", Values: []string{"clientAuth"}, Default: []string{"clientAuth"}}
			}},
		"enrollment-agent": {
			bad:  func(w *Written) { w.ExtKeyUsage.Values = []string{"1.3.6.1.4.1.311.20.2.1"} },
			good: func(w *Written) { w.ExtKeyUsage.Values = []string{"1.3.6.1.4.1.311.21.19"} }},
		"smart-card-logon": {
			bad:    func(w *Written) { asserting(w, "*.example"); w.ExtKeyUsage.Values = []string{"msSmartcardLogon"} },
			good:   func(w *Written) { w.ExtKeyUsage.Values = []string{"msSmartcardLogon"} },
			beside: "requester-names-subject"},
		"domain-controller": {
			bad:    func(w *Written) { asserting(w, "*.example"); w.ExtKeyUsage.Values = []string{"1.3.6.1.5.2.3.5"} },
			good:   func(w *Written) { w.ExtKeyUsage.Values = []string{"1.3.6.1.5.2.3.5"} },
			beside: "requester-names-subject"},
		"sid-omitted": {
			bad:  func(w *Written) { w.MSSID = "omit" },
			good: func(w *Written) { w.MSSID, w.ExtKeyUsage.Values = "omit", []string{"serverAuth"} }},
		"policy-grants-group": {
			bad:  func(w *Written) { w.Policies = []string{"1.2.3.4"} },
			good: func(w *Written) { w.Policies, w.ExtKeyUsage.Values = []string{"1.2.3.4"}, []string{"serverAuth"} }},
		"requester-chooses-policies": {
			bad: func(w *Written) { w.RequestExtensions = []string{"smimeCapabilities", "certificatePolicies"} },
			good: func(w *Written) {
				w.RequestExtensions, w.Policies, w.ExtKeyUsage.Values = []string{"certificatePolicies"}, []string{"1.2.3.4"}, []string{"serverAuth"}
			}},
		"requester-chooses-application-policies": {
			bad: func(w *Written) {
				w.RequestExtensions, w.ExtKeyUsage = []string{"applicationPolicies"}, WrittenExtKeyUsage{Mode: "none"}
			},
			good:   func(w *Written) { w.RequestExtensions = []string{"applicationPolicies"} },
			beside: "no-ext-key-usage"},
		"requester-fills-extension": {
			bad:  func(w *Written) { w.RequestExtensions = []string{"1.2.3.4"} },
			good: func(w *Written) { w.RequestExtensions = []string{"2.16.840.1.101.3.6.9.1"} }},
		"requester-chooses-code-signing": {
			bad: func(w *Written) {
				w.ExtKeyUsage = WrittenExtKeyUsage{Mode: "requested", Values: []string{"clientAuth", "codeSigning"}, Default: []string{"clientAuth"}}
			},
			good: func(w *Written) { w.ExtKeyUsage.Values = []string{"codeSigning"} }},
		"makes-ca": {ca: true,
			bad:  func(w *Written) { w.Acknowledge = nil },
			good: func(*Written) {}},
		"ca-without-path-length": {ca: true,
			bad:  func(w *Written) { w.PathLen = nil },
			good: func(w *Written) { w.PathLen = number(3) }},
		"short-ca-key": {ca: true,
			bad:  func(w *Written) { w.Keys = []string{"rsa>=2048"} },
			good: func(w *Written) { w.Keys = []string{"rsa-3072"} }},
		"long-validity": {
			bad:  func(w *Written) { w.Validity.Default = "P826D" },
			good: func(w *Written) { w.Validity.Maximum, w.Validity.Requested = "P10Y", "shorten" }},
		"outlives-issuer": {
			bad:  func(w *Written) { w.Validity.BeyondIssuer = "allow" },
			good: func(w *Written) { w.Validity.BeyondIssuer = "refuse" }},
		"unrevocable-over-a-week": {
			bad:  func(w *Written) { w.Revocation, w.Validity.Default = "none", "P8D" },
			good: func(w *Written) { w.Revocation, w.Validity.Default = "none", "P7D" }},
		"no-status": {
			bad:  func(w *Written) { w.URLs.CRL, w.URLs.OCSP = &off, &off },
			good: func(w *Written) { w.URLs.CRL = &off }},
		"server-key-signs": {
			bad: func(w *Written) {
				w.ServerKeys, w.KeyUsage.Bits = []string{"ecdsa-p256"}, []string{"digitalSignature", "nonRepudiation"}
			},
			good: func(w *Written) { w.ServerKeys = []string{"ecdsa-p256"} }},
		"server-without-names": {
			bad:  func(w *Written) { w.SubjectAltName.DNS = nil },
			good: func(w *Written) { w.SubjectAltName.DNS, w.ExtKeyUsage.Values = nil, []string{"clientAuth"} }},
		"lint-errors-pass": {
			bad:  func(w *Written) { w.Lint = &ruleset.Written{Error: "log"} },
			good: func(w *Written) { w.Lint = &ruleset.Written{Error: "refuse", Warn: "ignore", Notice: "ignore"} }},
	}
	for _, rule := range ReviewRules() {
		test, ok := tests[rule.Name]
		if !ok && rule.Name != staleAcknowledge {
			t.Errorf("%s: no shape shows it", rule.Name)
		}
		if !ok {
			continue
		}
		for name, change := range map[string]func(*Written){"bad": test.bad, "good": test.good} {
			w := harmless()
			if test.ca {
				w = harmlessCA()
			}
			change(&w)
			var got []string
			for _, f := range compiled(t, w).Unacknowledged() {
				got = append(got, f.Name)
			}
			want := slices.DeleteFunc([]string{test.beside, rule.Name}, func(s string) bool { return s == "" || name == "good" })
			if name == "good" {
				if slices.Contains(got, rule.Name) {
					t.Errorf("%s: the good shape shows %v", rule.Name, got)
				}
				continue
			}
			if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
				t.Errorf("%s: the bad shape shows %v, want %v", rule.Name, got, want)
			}
		}
	}
	for _, w := range []Written{harmless(), harmlessCA()} {
		if found := compiled(t, w).Unacknowledged(); len(found) > 0 {
			t.Errorf("%s %s: %v", w.ID, w.Kind, found)
		}
	}
}

// Every rule says what it is about, and a name is one rule.
func TestReviewTexts(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range ReviewRules() {
		if seen[r.Name] || r.Name == "" || r.Path == "" || r.Reference == "" || !strings.HasSuffix(r.Text, ".") || !strings.HasSuffix(r.Advice, ".") ||
			!slices.Contains([]Severity{SeverityError, SeverityWarn, SeverityNotice}, r.Severity) {
			t.Errorf("%+v", r)
		}
		seen[r.Name] = true
	}
}

// acknowledge takes the names of findings alone; one that is not there is told.
func TestAcknowledge(t *testing.T) {
	w := harmless()
	asserting(&w, "*.example")
	w.Acknowledge = []string{"requester-names-subject", "any-purpose"}
	found := compiled(t, w).Review()
	if len(found) != 2 || found[0].Name != "requester-names-subject" || !found[0].Acknowledged ||
		found[1].Name != staleAcknowledge || found[1].Severity != SeverityNotice || found[1].Path != "acknowledge.any-purpose" || found[1].Acknowledged {
		t.Errorf("%+v", found)
	}
	for _, names := range [][]string{{"requester-names-itself"}, {staleAcknowledge}, {"any-purpose", "any-purpose"}} {
		w.Acknowledge = names
		if _, err := Compile(w); err == nil || !strings.Contains(err.Error(), "acknowledge.") {
			t.Errorf("%v: %v", names, err)
		}
	}
}

// Where an operator approves each request, what a requester chooses is a notice.
func TestReviewOfApproval(t *testing.T) {
	w := harmless()
	asserting(&w, "*")
	w.Approval = "manual"
	for _, f := range compiled(t, w).Review() {
		if f.Severity != SeverityNotice {
			t.Errorf("%+v", f)
		}
	}
}
