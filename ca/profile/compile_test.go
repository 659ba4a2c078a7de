package profile

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// minimal is the smallest profile that compiles.
func minimal() Written {
	return Written{ID: "p", Keys: []string{"ecdsa-p256", "rsa>=2048"}, KeyUsage: WrittenKeyUsage{Bits: []string{"digitalSignature"}},
		ExtKeyUsage: WrittenExtKeyUsage{Mode: "fixed", Values: []string{"serverAuth"}}, Validity: WrittenValidity{Default: "P90D"},
		Subject: WrittenSubject{CNFromFirstDNS: true}, SubjectAltName: WrittenAltName{DNS: &WrittenNames{Methods: []string{"http-01", "dns-01"}}}}
}

func number(n int) *int { return &n }

// Every mistake is found, at its path.
func TestCompileRefuses(t *testing.T) {
	template := func(items ...map[string]string) func(*Written) {
		return func(w *Written) { w.Subject = WrittenSubject{Template: items} }
	}
	for name, c := range map[string]struct {
		change func(*Written)
		path   string
		says   string
	}{
		"no id":               {func(w *Written) { w.ID = "" }, "id", "1 to 64"},
		"id with slash":       {func(w *Written) { w.ID = "a/b" }, "id", "URLs"},
		"kind":                {func(w *Written) { w.Kind = "root" }, "kind", "not a choice"},
		"no keys":             {func(w *Written) { w.Keys = nil }, "keys", "no key algorithm"},
		"unknown key":         {func(w *Written) { w.Keys[0] = "dsa-1024" }, "keys.0", "not a key algorithm"},
		"short RSA":           {func(w *Written) { w.Keys[0] = "rsa-1024" }, "keys.0", "global floor"},
		"short RSA least":     {func(w *Written) { w.Keys[0] = "rsa>=512" }, "keys.0", "global floor"},
		"odd RSA form":        {func(w *Written) { w.Keys[0] = "rsa-02048" }, "keys.0", "not a key algorithm"},
		"bare RSA":            {func(w *Written) { w.Keys[0] = "rsa" }, "keys.0", "not a key algorithm"},
		"key twice":           {func(w *Written) { w.Keys[1] = w.Keys[0] }, "keys.1", "twice"},
		"no usage":            {func(w *Written) { w.KeyUsage.Bits = nil }, "key_usage.bits", "cannot be empty"},
		"unknown usage":       {func(w *Written) { w.KeyUsage.Bits = []string{"signing"} }, "key_usage.bits.0", "not a key usage"},
		"keyCertSign":         {func(w *Written) { w.KeyUsage.Bits = []string{"keyCertSign"} }, "key_usage.bits", "kind ca"},
		"cRLSign":             {func(w *Written) { w.KeyUsage.Bits = []string{"cRLSign"} }, "key_usage.bits", "kind ca"},
		"encipherOnly alone":  {func(w *Written) { w.KeyUsage.Bits = []string{"encipherOnly"} }, "key_usage.bits", "keyAgreement"},
		"unfit":               {func(w *Written) { w.KeyUsage.Unfit = "keep" }, "key_usage.unfit", "not a choice"},
		"nothing left":        {func(w *Written) { w.Keys, w.KeyUsage.Bits = []string{"ecdsa-p256"}, []string{"keyEncipherment"} }, "key_usage.bits", "no key algorithm"},
		"no EKU mode":         {func(w *Written) { w.ExtKeyUsage.Mode = "" }, "ext_key_usage.mode", "any purpose"},
		"EKU mode":            {func(w *Written) { w.ExtKeyUsage.Mode = "open" }, "ext_key_usage.mode", "not a choice"},
		"EKU none with value": {func(w *Written) { w.ExtKeyUsage.Mode = "none" }, "ext_key_usage", "takes no values"},
		"EKU fixed empty":     {func(w *Written) { w.ExtKeyUsage.Values = nil }, "ext_key_usage.values", "needs values"},
		"EKU requested empty": {func(w *Written) { w.ExtKeyUsage = WrittenExtKeyUsage{Mode: "requested"} }, "ext_key_usage.values", "choose from"},
		"EKU default fixed":   {func(w *Written) { w.ExtKeyUsage.Default = []string{"clientAuth"} }, "ext_key_usage.default", "mode requested"},
		"EKU unknown":         {func(w *Written) { w.ExtKeyUsage.Values = []string{"tls"} }, "ext_key_usage.values.0", "not an extended"},
		"EKU twice":           {func(w *Written) { w.ExtKeyUsage.Values = []string{"serverAuth", "1.3.6.1.5.5.7.3.1"} }, "ext_key_usage.values.1", "twice"},
		"any from request": {func(w *Written) {
			w.ExtKeyUsage.Mode, w.ExtKeyUsage.Values = "requested", []string{"anyExtendedKeyUsage"}
		}, "ext_key_usage.values.0", "never come from a request"},
		"logon from request": {func(w *Written) { w.ExtKeyUsage.Mode, w.ExtKeyUsage.Values = "requested", []string{"msSmartcardLogon"} }, "ext_key_usage.values.0", "never come from a request"},
		"agent by OID": {func(w *Written) {
			w.ExtKeyUsage.Mode, w.ExtKeyUsage.Values = "requested", []string{"1.3.6.1.4.1.311.20.2.1"}
		}, "ext_key_usage.values.0", "never come from a request"},
		"OCSPSigning":        {func(w *Written) { w.ExtKeyUsage.Values = []string{"OCSPSigning"} }, "ext_key_usage.values.0", "kind responder"},
		"responder":          {func(w *Written) { w.Kind = KindResponder }, "ext_key_usage", "OCSPSigning alone"},
		"no validity":        {func(w *Written) { w.Validity = WrittenValidity{} }, "validity.default", "missing"},
		"bad duration":       {func(w *Written) { w.Validity.Default = "90 days" }, "validity.default", "ISO 8601"},
		"no time":            {func(w *Written) { w.Validity.Default = "P0D" }, "validity.default", "no time"},
		"maximum shorter":    {func(w *Written) { w.Validity.Maximum = "P30D" }, "validity.maximum", "shorter"},
		"bad backdate":       {func(w *Written) { w.Validity.Backdate = "1h" }, "validity.backdate", "ISO 8601"},
		"long backdate":      {func(w *Written) { w.Validity.Backdate = "P3D" }, "validity.backdate", "two days"},
		"requested":          {func(w *Written) { w.Validity.Requested = "yes" }, "validity.requested", "not a choice"},
		"beyond issuer":      {func(w *Written) { w.Validity.BeyondIssuer = "yes" }, "validity.beyond_issuer", "not a choice"},
		"template and CN":    {func(w *Written) { w.Subject.Template = []map[string]string{{"O": "x"}} }, "subject.cn_from_first_dns", "excludes"},
		"unknown attribute":  {template(map[string]string{"XX": "x"}), "subject.template.0.XX", "not a subject attribute"},
		"empty value":        {template(map[string]string{"O": ""}), "subject.template.0.O", "empty"},
		"empty item":         {template(map[string]string{}), "subject.template.0", "empty"},
		"open variable":      {template(map[string]string{"CN": "<dns.1"}), "subject.template.0.CN", "without its >"},
		"closed variable":    {template(map[string]string{"CN": "dns>"}), "subject.template.0.CN", "without its <"},
		"unknown variable":   {template(map[string]string{"CN": "<host>"}), "subject.template.0.CN", "not a variable"},
		"variable zero":      {template(map[string]string{"CN": "<dns.0>"}), "subject.template.0.CN", "counts from 1"},
		"variable ungranted": {template(map[string]string{"CN": "<cn>"}), "subject.template.0.CN", "needs a grant"},
		"country of three":   {template(map[string]string{"C": "DEU"}), "subject.template", "longer than 2"},
		"variable never":     {template(map[string]string{"CN": "<ip.1>"}), "subject.template", "never has a value"},
		"grant unused": {func(w *Written) {
			w.Subject = WrittenSubject{Template: []map[string]string{{"O": "x"}}, Asserted: []WrittenGrant{{"CN", []string{"*"}}}}
		}, "subject.asserted.0", "no variable"},
		"grant unknown": {func(w *Written) { w.Subject = WrittenSubject{Asserted: []WrittenGrant{{"XX", []string{"*"}}}} }, "subject.asserted.0.attribute", "not a subject attribute"},
		"grant twice": {func(w *Written) {
			w.Subject = WrittenSubject{Asserted: []WrittenGrant{{"CN", []string{"*"}}, {"2.5.4.3", []string{"*"}}}}
		}, "subject.asserted.1.attribute", "twice"},
		"grant without match": {func(w *Written) { w.Subject = WrittenSubject{Asserted: []WrittenGrant{{"CN", nil}}} }, "subject.asserted.0.match", "missing"},
		"grant empty match":   {func(w *Written) { w.Subject = WrittenSubject{Asserted: []WrittenGrant{{"CN", []string{""}}}} }, "subject.asserted.0.match.0", "empty"},
		"no DNS for CN":       {func(w *Written) { w.SubjectAltName.DNS = nil }, "subject.cn_from_first_dns", "not written"},
		"no DNS for copy": {func(w *Written) {
			w.SubjectAltName.DNS, w.CopyCNToDNS, w.Subject = nil, true, WrittenSubject{Template: []map[string]string{{"CN": "x"}}}
		}, "copy_cn_to_dns", "not issued"},
		"names nobody":   {func(w *Written) { w.SubjectAltName.DNS, w.Subject = nil, WrittenSubject{} }, "subject", "nobody"},
		"no methods":     {func(w *Written) { w.SubjectAltName.DNS.Methods = nil }, "subject_alt_name.dns.methods", "missing"},
		"unknown method": {func(w *Written) { w.SubjectAltName.DNS.Methods[0] = "email" }, "subject_alt_name.dns.methods.0", "not a way"},
		"max zero":       {func(w *Written) { w.SubjectAltName.DNS.Max = number(-1) }, "subject_alt_name.dns.max", "1 to 256"},
		"max large":      {func(w *Written) { w.SubjectAltName.DNS.Max = number(257) }, "subject_alt_name.dns.max", "1 to 256"},
		"min over max":   {func(w *Written) { w.SubjectAltName.DNS.Min, w.SubjectAltName.DNS.Max = 3, number(2) }, "subject_alt_name.dns.min", "0 to max"},
		"bad pattern":    {func(w *Written) { w.SubjectAltName.DNS.Allow = []string{"*.ex*mple.com"} }, "subject_alt_name.dns.allow.0", "pattern"},
		"wildcard by http-01": {func(w *Written) {
			w.SubjectAltName.DNS.Methods, w.SubjectAltName.DNS.Wildcard = []string{"http-01"}, true
		}, "subject_alt_name.dns.wildcard", "dns-01"},
		"wildcard address": {func(w *Written) { w.SubjectAltName.IP = &WrittenNames{Methods: []string{"service"}, Wildcard: true} }, "subject_alt_name.ip.wildcard", "only DNS"},
		"bad prefix": {func(w *Written) {
			w.SubjectAltName.IP = &WrittenNames{Methods: []string{"service"}, Allow: []string{"10.0.0.1/8"}}
		}, "subject_alt_name.ip.allow.0", "host bits"},
		"unknown extension": {func(w *Written) { w.RequestExtensions = []string{"something"} }, "request_extensions.0", "not an extension"},
		"extension twice":   {func(w *Written) { w.RequestExtensions = []string{"certificatePolicies", "2.5.29.32"} }, "request_extensions.1", "twice"},
		"SID by name":       {func(w *Written) { w.RequestExtensions = []string{"ntdsSecurityIdentifier"} }, "request_extensions.0", "never come from a request"},
		"bad policy":        {func(w *Written) { w.Policies = []string{"policy"} }, "policies.0", "dotted OID"},
		"policy twice":      {func(w *Written) { w.Policies = []string{"1.2.3", "1.2.3"} }, "policies.1", "twice"},
		"path length":       {func(w *Written) { w.PathLen = number(0) }, "path_len", "kind ca"},
		"CA without sign":   {func(w *Written) { w.Kind = KindCA }, "key_usage.bits", "needs keyCertSign"},
		"CA named by host":  {func(w *Written) { w.Kind, w.KeyUsage.Bits = KindCA, []string{"keyCertSign"} }, "subject.cn_from_first_dns", "not named after a host"},
		"CA without subject": {func(w *Written) {
			w.Kind, w.KeyUsage.Bits, w.Subject = KindCA, []string{"keyCertSign"}, WrittenSubject{}
		}, "subject", "needs a subject"},
	} {
		t.Run(name, func(t *testing.T) {
			w := minimal()
			c.change(&w)
			_, err := Compile(w)
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("Compile gave %v, want Problems", err)
			}
			for _, p := range problems {
				if strings.Join(p.Path, ".") == c.path && strings.Contains(p.Message, c.says) {
					return
				}
			}
			t.Errorf("no problem at %s that says %q in:\n%v", c.path, c.says, err)
		})
	}
}

// No profile can let a request bring an extension of the forbidden list, by
// number or by name.
func TestCompileRefusesForbiddenExtensions(t *testing.T) {
	for oid, name := range forbidden {
		for _, text := range []string{oid, name} {
			w := minimal()
			w.RequestExtensions = []string{text}
			if _, err := Compile(w); err == nil || !strings.Contains(err.Error(), "never come from a request") {
				t.Errorf("%s compiled: %v", text, err)
			}
		}
	}
	for _, must := range []string{"2.5.29.35", "2.5.29.19", "2.5.29.31", "2.5.29.20", "2.5.29.28", "2.5.29.24", "2.5.29.21", "2.5.29.14", "2.5.29.17", "2.5.29.15", "2.5.29.37",
		"2.5.29.30", "1.3.6.1.5.5.7.1.1", "1.3.6.1.4.1.311.25.2", "1.2.840.113533.7.65.0", "2.16.840.1.113730.1.3"} {
		if _, ok := forbidden[must]; !ok {
			t.Errorf("%s is not on the forbidden list", must)
		}
	}
}

func TestCompileReportsEverythingAtOnce(t *testing.T) {
	_, err := Compile(Written{})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range problems {
		paths = append(paths, strings.Join(p.Path, "."))
	}
	for _, want := range []string{"id", "keys", "key_usage.bits", "ext_key_usage.mode", "validity.default", "subject"} {
		if !slices.Contains(paths, want) {
			t.Errorf("nothing is said about %s in %v", want, paths)
		}
	}
}

// The canonical text has every default, is stable, and compiles to itself.
func TestText(t *testing.T) {
	w := minimal()
	p := compiled(t, w)
	if w.Kind != "" || w.SubjectAltName.DNS.Max != nil {
		t.Error("Compile changed the written profile")
	}
	for _, want := range []string{"kind: end-entity", "backdate: PT1M", "requested: ignore", "beyond_issuer: cut", "maximum: P90D", "max: 100", "aia: true", "unfit: drop"} {
		if !bytes.Contains(p.Text(), []byte(want)) {
			t.Errorf("the text lacks %q:\n%s", want, p.Text())
		}
	}
	var again Written
	if err := yaml.Unmarshal(p.Text(), &again); err != nil {
		t.Fatal(err)
	}
	if q := compiled(t, again); q.Hash() != p.Hash() {
		t.Errorf("the text compiles to another profile:\n%s\n%s", p.Text(), q.Text())
	}
	w.Validity.Default = "P91D"
	if compiled(t, w).Hash() == p.Hash() {
		t.Error("another validity has the same hash")
	}
}

func TestKindCA(t *testing.T) {
	w := minimal()
	w.Kind, w.PathLen, w.KeyUsage.Bits = KindCA, number(0), []string{"keyCertSign", "cRLSign"}
	w.ExtKeyUsage = WrittenExtKeyUsage{Mode: "none"}
	w.Subject, w.SubjectAltName = WrittenSubject{Template: []map[string]string{{"O": "Example"}, {"CN": "Sub CA"}}}, WrittenAltName{}
	d := decided(t, compiled(t, w), request(t))
	isCA, pathLen, err := pkix.ParseBasicConstraints(d.Extensions[0].Value)
	if err != nil || !isCA || pathLen != 0 || !d.Extensions[0].Critical {
		t.Errorf("basic constraints: cA %v, path length %d, error %v", isCA, pathLen, err)
	}
	if d.Subject.String() != "O=Example,CN=Sub CA" {
		t.Errorf("subject %s", d.Subject)
	}
}

func TestKindResponder(t *testing.T) {
	w := minimal()
	w.Kind, w.ExtKeyUsage.Values = KindResponder, []string{"OCSPSigning"}
	w.Subject, w.SubjectAltName = WrittenSubject{Template: []map[string]string{{"CN": "Responder"}}}, WrittenAltName{}
	d := decided(t, compiled(t, w), request(t))
	if e, ok := pkix.FindExtension(d.Extensions, pkix.OIDOCSPNoCheck); !ok || !bytes.Equal(e.Value, []byte{5, 0}) {
		t.Errorf("no id-pkix-ocsp-nocheck: %v", d.Extensions)
	}
}
