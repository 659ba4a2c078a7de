package everydoor_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// block is a part of a profile as people write it.
type block = map[string]any

// dice draws everything of a run from its seed.
type dice struct{ *rand.Rand }

func newDice(seed, stream uint64) dice { return dice{rand.New(rand.NewPCG(seed, stream))} }

// one tells whether one of n sides came up.
func (d dice) one(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d dice, all ...T) T { return all[d.IntN(len(all))] }

// some picks from least to most of all, in a random order.
func some[T any](d dice, least, most int, all ...T) []T {
	all = slices.Clone(all)
	d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), least+d.IntN(most-least+1))]
}

// patterns of each type of names: of all names that identities have, and of some.
var patterns = map[string][]string{
	"dns": {"*", "*.corp.example", "*.example"}, "ip": {"*", "10.0.0.0/8", "2001:db8::/32"}, "email": {"*", "*@corp.example"}, "uri": {"*", "spiffe://corp.example/*"},
	"rid": {"*", "1.3.6.1.4.1.*"}, "dirname": {"*", "C=DE,*"}, "upn": {"*", "d*"}, "hardware": {"*", "1.3.6.1.4.1.47196.*"}, "permanent": {"*", "A*"},
}

// kindsOfNames are the types in a fixed order.
var kindsOfNames = []string{"dns", "ip", "email", "uri", "rid", "dirname", "upn", "hardware", "permanent"}

var provers = map[string][]string{"dns": {"http-01", "dns-01", "tls-alpn-01"}, "ip": {"http-01", "tls-alpn-01"}, "email": {"certificate"}, "uri": {"certificate"},
	"upn": {"directory"}, "hardware": {"device-attest-01", "certificate"}, "permanent": {"device-attest-01"}}

// writtenProfile draws a profile of its own, or one that extends a built-in one.
func (d dice) writtenProfile(id string, builtin []profile.Written) block {
	w := block{"id": id}
	if d.one(4) {
		w["extends"] = pick(d, builtin...).ID
		if d.one(2) {
			w["subject_alt_name"] = d.names()
		}
		if d.one(3) {
			w["validity"] = d.validity()
		}
		if d.one(3) {
			d.extras(w)
		}
		return w
	}
	w["keys"] = append([]string{"ecdsa-p256"}, some(d, 0, 2, "ecdsa-p384", "ed25519", "rsa>=2048")...)
	w["key_usage"] = block{"bits": append([]string{"digitalSignature"}, some(d, 0, 3, "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement")...),
		"unfit": pick(d, "drop", "drop", "drop", "refuse")}
	usages := []string{"serverAuth", "clientAuth", "emailProtection", "ipsecIKE", "1.3.6.1.5.5.7.3.21"}
	switch d.IntN(4) {
	case 0:
		w["ext_key_usage"] = block{"mode": "none"}
	case 1:
		w["ext_key_usage"] = block{"mode": "fixed", "values": some(d, 1, 3, usages...), "critical": d.one(4)}
	default:
		values := some(d, 2, 5, usages...)
		w["ext_key_usage"] = block{"mode": "requested", "values": values, "default": values[:1], "critical": d.one(4)}
	}
	w["validity"], w["subject_alt_name"], w["subject"] = d.validity(), d.names(), d.subjectRule()
	if !d.one(3) {
		w["asserted_by"] = append([]string{pick(d, "est", "est", "est", "est", "wstep")}, some(d, 1, 3, "acme", "scep", "cmp")...)
	}
	w["copy_cn_to_dns"] = d.one(5)
	d.extras(w)
	return w
}

func (d dice) names() block {
	all := block{}
	for _, kind := range kindsOfNames {
		if kind != "dns" && d.one(3) {
			continue
		}
		names := block{}
		if methods := provers[kind]; methods != nil && !d.one(5) {
			names["methods"] = some(d, 1, 3, methods...)
		}
		if _, proven := names["methods"]; !proven || !d.one(4) {
			names["asserted"] = some(d, 1, 2, pick(d, patterns[kind]...), "*", "*", "*")
		}
		if d.one(10) {
			names["allow"] = []string{pick(d, patterns[kind]...)}
		}
		if d.one(6) {
			names["max"] = 1 + d.IntN(3)
		}
		if d.one(60) {
			names["min"] = 1
		}
		if kind == "dns" && d.one(2) {
			names["wildcard"] = true
			if methods, _ := names["methods"].([]string); methods != nil && !slices.Contains(methods, "dns-01") {
				names["methods"] = append(methods, "dns-01")
			}
		}
		all[kind] = names
	}
	if d.one(2) {
		all["other"] = []block{{"oid": "1.3.6.1.4.1.99999.1", "asserted": []string{"*"}}}
	}
	return all
}

func (d dice) subjectRule() block {
	s := block{}
	switch d.IntN(6) {
	case 0:
		return s
	case 1:
		s["cn_from_first_dns"] = true
	case 2:
		s["cn_from"] = some(d, 1, 4, "dns", "email", "ip", "upn", "hardware", "uri")
	case 3:
		rdns, grants := []block{{"O": "Example Ltd"}}, []block{}
		for _, item := range some(d, 1, 4, block{"CN": "<CN?>"}, block{"OU": "<OU?>", "L": "Berlin"}, block{"CN": "<dns.1?>"}, block{"SERIALNUMBER": "<serial?>"},
			block{"UID": "<principal?>"}, block{"Email": "<email.1?>"}, block{"OU": "unit <OU.2?>"}, block{"1.2.3.4": "<T?>"}) {
			rdns = append(rdns, item)
		}
		for _, attribute := range []string{"CN", "OU", "T"} { // those that a variable uses
			if strings.Contains(fmt.Sprint(rdns), "<"+attribute) {
				grants = append(grants, block{"attribute": attribute, "match": []string{"*"}})
			}
		}
		s["template"] = rdns
		if len(grants) > 0 {
			s["asserted"] = grants
		}
	case 4:
		s["asserted"] = []block{{"attribute": "any", "match": []string{"*"}}}
	case 5:
		for _, attribute := range some(d, 1, 4, "CN", "O", "OU", "SERIALNUMBER", "1.2.3.4", "T") {
			grants, _ := s["asserted"].([]block)
			s["asserted"] = append(grants, block{"attribute": attribute, "match": []string{pick(d, "*", "*", "*", "d*")}})
		}
	}
	if d.one(4) {
		s["parent"] = []block{{"C": "DE"}, {"O": "Parent Ltd", "OU": "Folder"}}
	}
	if d.one(4) {
		s["string_types"] = map[string]string{"O": pick(d, "printable", "utf8", "bmp"), "CN": pick(d, "utf8", "bmp")}
	}
	return s
}

func (d dice) validity() block {
	v := block{"default": pick(d, "P7D", "P90D", "P1Y", "P3M", "issuing-ca-expiry", "PT6H"), "maximum": "issuing-ca-expiry",
		"backdate": pick(d, "PT0S", "PT1M", "PT5M"), "requested": pick(d, "ignore", "shorten", "within"), "beyond_issuer": pick(d, "cut", "cut", "refuse", "allow")}
	switch d.IntN(12) {
	case 0:
		v = block{"default": "", "maximum": "", "requested": "ignore", "not_before": "2020-01-01T00:00:00Z", "not_after": "2051-01-01T00:00:00Z", "beyond_issuer": pick(d, "cut", "allow")}
	case 1:
		v = block{"default": "forever", "maximum": "forever", "requested": "ignore", "beyond_issuer": "allow"}
	}
	return v
}

// extras are the blocks that most profiles have none of.
func (d dice) extras(w block) {
	for _, each := range some(d, 0, 4, "request_extensions", "policies", "extensions", "smime_capabilities", "ms_template", "urls", "rules", "revocation", "lint") {
		switch each {
		case "request_extensions":
			w[each] = some(d, 1, 3, "certificatePolicies", "smimeCapabilities", "applicationPolicies", "1.3.6.1.4.1.99999.2", "pivInterimIndicator")
		case "policies":
			w[each] = some(d, 1, 2, "1.3.6.1.4.1.99999.10", "2.23.140.1.2.1")
		case "extensions":
			w[each] = some(d, 1, 2, block{"oid": "1.3.6.1.4.1.99999.3", "type": "utf8", "value": "of <dns.1?>"}, block{"oid": "1.3.6.1.4.1.99999.4", "type": "integer", "value": "7", "critical": true},
				block{"oid": "1.3.6.1.4.1.99999.5", "type": "bmp", "value": "for <serial?>"})
		case "smime_capabilities":
			w[each] = some(d, 1, 3, "aes128-cbc", "aes256-cbc", "aes256-gcm")
		case "ms_template":
			w[each] = pick(d, block{"name": "User"}, block{"oid": "1.3.6.1.4.1.311.21.8.1.2", "major": 100, "minor": 2})
		case "urls":
			w[each] = block{"aia": d.one(2), "crl": d.one(2), "ocsp": d.one(2)}
		case "rules":
			w[each] = some(d, 1, 2,
				block{"require": "len(names) < 4", "deny": "At most three names."},
				block{"when": `any(asserted.subject, .kind == "OU")`, "require": "not_after - now < duration(\"20000h\")", "deny": "Units ask for less."},
				block{"require": "len(asserted.extensions) < 3", "deny": "Too many extensions."},
				block{"when": `key.algorithm startsWith "rsa-"`, "deny": "No RSA here."})
		case "revocation":
			w[each], w["validity"] = "none", block{"default": "P7D", "maximum": "P7D"}
		case "lint":
			w[each] = block{"error": pick(d, "log", "ignore"), "warn": "ignore"}
		}
	}
}

// newProfile draws until it has one that compiles.
func (d dice) newProfile(t *testing.T, id string, builtin []profile.Written, base map[string]profile.Written) *profile.Profile {
	t.Helper()
	for drawn := 1; ; drawn++ {
		text := fixture.Must(yaml.Marshal([]block{d.writtenProfile(id, builtin)}))(t)
		layers, err := profile.Read(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		flat, problems := profile.Flatten(layers, base)
		if len(problems) > 0 {
			t.Fatalf("%v\n%s", problems, text)
		}
		p, err := profile.Compile(flat[0])
		if err == nil {
			return p
		}
		if drawn > 200 {
			t.Fatalf("no profile in 200, the last one: %v\n%s", err, text)
		}
	}
}
