package lint

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/zmap/zlint/v3" // registers the rules of every source
	zlint "github.com/zmap/zlint/v3/lint"

	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Each rule that zlint has is included, or left out for a reason: one that a
// newer version adds fails here.
func TestEachRuleIsClassified(t *testing.T) {
	included, disabled, others := ruleset.Rules(), ruleset.Disabled(), ruleset.OtherSources()
	seen := map[string]bool{}
	for _, l := range zlint.GlobalRegistry().CertificateLints().Lints() {
		seen[l.Name] = true
		_, in := included[l.Name]
		_, out := disabled[l.Name]
		_, other := others[string(l.Source)]
		if of := slices.Contains(ruleset.Sources(), string(l.Source)); of == other || of != (in != out) || other && (in || out) {
			t.Errorf("%s of %s: included %v, disabled %v, its source left out %v: want exactly one", l.Name, l.Source, in, out, other)
		}
		if in && (l.Citation == "" && l.Source != zlint.RFC5280 && l.Source != zlint.Community || l.Description == "") {
			t.Errorf("%s does not say what it is about: %q, %q", l.Name, l.Citation, l.Description)
		}
	}
	for name := range included {
		if !seen[name] {
			t.Errorf("%s is no rule of zlint", name)
		}
	}
	for name, why := range disabled {
		if !seen[name] || why == "" {
			t.Errorf("%s is disabled because %q and is zlint's: %v", name, why, seen[name])
		}
	}
	if _, err := loadRules(); err != nil {
		t.Error(err)
	}
	for _, name := range ruleset.Advice() {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.name == name }) {
			t.Errorf("%s is no check of ours", name)
		}
	}
}

// values draws what differs between certificates of one shape, good and hostile.
type values struct {
	*rand.Rand
	testing.TB
}

func pick[T any](v values, from ...T) T { return from[v.IntN(len(from))] }

func (v values) host() string {
	label := func() string {
		return pick(v, "host", "a-b", "a1", "www", "printer", "node", "xn--bcher-kva", "xn--0", "a--b", "-a", "a-", "*", "", "_srv", "A", "a b", " ", "\x00", "?",
			strings.Repeat("x", 64), strings.Repeat("y", 63), "1", "xn--e\x01", "xn--u-ccb")
	}
	labels := []string{pick(v, "example", "internal", "com", "co.uk", "example.com", "lan", "1", "", " ", "*")}
	for range v.IntN(4) {
		labels = append([]string{pick(v, "host", "www", "node-1", label())}, labels...)
	}
	if v.IntN(30) == 0 {
		labels = slices.Repeat([]string{strings.Repeat("z", 60), "example"}, 5)
	}
	return strings.Join(labels, ".")
}

func (v values) name(kind pkix.NameKind) pkix.GeneralName {
	switch kind {
	case pkix.DNSName:
		return pkix.DNS(v.host())
	case pkix.IPAddress:
		return pkix.GeneralName{Kind: kind, Raw: pick(v, []byte{192, 0, 2, byte(v.IntN(256))}, bytes.Repeat([]byte{byte(v.IntN(256))}, 16))}
	case pkix.RFC822Name:
		return pkix.GeneralName{Kind: kind, Raw: []byte(pick(v, "a", "some.one", "a+b", "a..b", "<a", "(x)a", "a b", "\"q\"", "", "ä", "-", "_") + pick(v, "@", "@", "@", "") + v.host() + pick(v, "", "", "", ">", "(c)"))}
	}
	return pkix.GeneralName{Kind: kind, Raw: []byte(pick(v, "https://host.example/", "urn:uuid:1", "relative", "//a", "https://", "spiffe://prod/x", "opc.tcp://host:4840", "http://[::1]/", "ä:b", "%zz:", "a\x7f:b", "tag:"))}
}

var attributeTypes = []pkix.OID{oidCommonName, oidSerialNumber, oidCountry, oidEmail, oidDomainComponent, oidPostalCode,
	{2, 5, 4, 4}, {2, 5, 4, 7}, {2, 5, 4, 8}, {2, 5, 4, 9}, {2, 5, 4, 10}, {2, 5, 4, 11}, {2, 5, 4, 12}, {2, 5, 4, 42}, {1, 2, 3, 4}}

func (v values) attribute(kind pkix.OID, tag uint8) pkix.Attribute {
	text := pick(v, "Example", "Example Ltd", "DE", "a@example.com", "12345", "x-y", " lead", "trail ", "", "ä", "a\tb", "\x01", "\x7f", "a*b", "u@\u0085", "\u00a0nbsp", "\u2003",
		strings.Repeat("x", 17), strings.Repeat("x", 41), strings.Repeat("x", 64), strings.Repeat("ä", 33), strings.Repeat("x", 65), strings.Repeat("x", 129), strings.Repeat("x", 256), strings.Repeat("x", 33000))
	return pkix.Attribute{Type: kind, Tag: tag, Value: []byte(text)}
}

// certificate draws one; ok is false where no encoder or reader takes it.
func (v values) certificate() (c *certificate, ok bool) {
	template := good(v.TB, pick(v, "ec", "ec", "ec", "ec", "ec", "ed", "ed", "rsa"))
	template.Serial[1+v.IntN(10)] = byte(v.IntN(256))
	template.NotBefore = template.NotBefore.AddDate(0, 0, v.IntN(100))
	template.NotAfter = pick(v, template.NotAfter, pkix.NoExpiry, template.NotAfter.AddDate(30, 0, 0))
	if v.IntN(2) == 0 { // another key
		template.Key = publicKey(v.TB, pick(v, "ec", "ec2"))
		set(template, must[pkix.Extension](v.TB)(pkix.MarshalSubjectKeyID(template.Key.KeyID())))
	}
	var rdns []pkix.RDN
	for range v.IntN(3) {
		kind := pick(v, attributeTypes...)
		rdns = append(rdns, pkix.RDN{v.attribute(kind, pick[uint8](v, 12, 12, 19, 22, 30, 20))})
	}
	var err error
	if template.Subject, err = pkix.MarshalName(rdns); err != nil {
		return nil, false
	}
	var names []pkix.GeneralName
	kinds := pick(v, []pkix.NameKind{pkix.DNSName}, []pkix.NameKind{pkix.DNSName, pkix.IPAddress}, []pkix.NameKind{pkix.RFC822Name}, []pkix.NameKind{pkix.URI})
	for range 1 + v.IntN(3) {
		names = append(names, v.name(pick(v, kinds...)))
	}
	san, err := pkix.MarshalSubjectAltName(names, len(rdns) == 0)
	if err != nil {
		return nil, false
	}
	set(template, san)
	if v.IntN(4) == 0 {
		set(template, must[pkix.Extension](v.TB)(pkix.MarshalKeyUsage(pick(v, pkix.DigitalSignature|pkix.NonRepudiation, pkix.KeyAgreement|pkix.DigitalSignature))))
	}
	tbs, err := template.MarshalTBS()
	if err != nil {
		return nil, false
	}
	if c, err = read(tbs, template); err != nil {
		return nil, false
	}
	return c, true
}

// draws is how many certificates are drawn.
const draws = 1500

// neverDrawn are the rules on values that nothing can break that we encode and
// that both readers take.
var neverDrawn = []string{"e_ext_san_dns_not_ia5_string", "e_ext_san_empty_name", "e_ext_san_uri_not_ia5", "e_generalized_time_does_not_include_seconds",
	"e_generalized_time_includes_fraction_seconds", "e_generalized_time_not_in_zulu", "e_rsa_exp_negative", "e_rsa_fermat_factorization", "e_rsa_no_public_key",
	"e_san_dns_name_includes_null_char", "e_serial_number_longer_than_20_octets", "e_serial_number_not_positive",
	"e_utc_time_does_not_include_seconds", "e_utc_time_not_in_zulu", "e_validity_time_not_positive", "e_wrong_time_format_pre2050"}

// TestWhereZlintIsNotAsked holds what the hot path leaves out against zlint:
// two certificates of one shape have the same findings of the rules that run
// once a shape, and whenever a rule on values fires, a check of our own does
// too, or the values are not plain and zlint is asked.
func TestWhereZlintIsNotAsked(t *testing.T) {
	zr := must[*zrules](t)(loadRules())
	v := values{rand.New(rand.NewPCG(1, 2)), t}
	byShape, fired := map[[32]byte][]Finding{}, map[string]bool{}
	again, plain := 0, 0
	for range draws {
		c, ok := v.certificate()
		if !ok {
			continue
		}
		trusted := c.plain() && !slices.ContainsFunc(c.check(), ours)
		z, err := c.examine(zr)
		if err != nil {
			if trusted {
				t.Fatalf("zlint cannot read %s %v, which is plain: %v", c.Subject, c.names, err)
			}
			continue // refused whatever its shape
		}
		found := must[[]Finding](t)(z.run(ruleset.Shape))
		if before, seen := byShape[c.shape()]; seen {
			again++
			if diff := cmp.Diff(before, found); diff != "" {
				t.Fatalf("one shape, two verdicts: %s %v\n%s", c.Subject, c.names, diff)
			}
		}
		byShape[c.shape()] = found
		for _, f := range must[[]Finding](t)(z.run(ruleset.Values)) {
			fired[f.Rule] = true
			if trusted {
				t.Fatalf("%s fires on %s %v, which is plain", f.Rule, c.Subject, c.names)
			}
		}
		if trusted {
			plain++
		}
	}
	if again < draws/20 || plain < draws/20 {
		t.Errorf("only %d certificates had a shape that was seen, and %d were plain", again, plain)
	}
	for name, reads := range ruleset.Rules() {
		if reads == ruleset.Values && fired[name] == slices.Contains(neverDrawn, name) {
			t.Errorf("%s was broken: %v", name, fired[name])
		}
	}
}
