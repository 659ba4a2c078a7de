package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca/keys"
)

// withSCEP is the minimal configuration with two SCEP endpoints.
var withSCEP = strings.NewReplacer("listen:\n", "listen:\n  http: \":8080\"\n", "base_url:\n", "base_url:\n  http: http://pki.example\n",
	"key: file:/c.key\n", "key: file:/c.key\n    ra: {enabled: true}\n").Replace(minimal) + `  - id: devices
    protocol: scep
    tenant: t
    ca: c
    profile: scep-digital-signature-key-encipherment
    authentication: [[scep-secret], [certificate]]
  - id: old
    protocol: scep
    tenant: t
    ca: c
    profile: scep-digital-signature
    authentication: [[static-scep-secret], [unauthenticated]]
    static_secret: env:SECRET
    addresses: [10.1.0.0/16, 2001:db8::/32]
    ca_certificates: chain
    legacy: [sha1, des3]
    quirks: cisco-ios
scep: {ndes: {endpoint: devices}}
`

func TestSCEP(t *testing.T) {
	c, err := Parse("f", []byte(withSCEP), Options{})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := keys.ParseSecret("env:SECRET")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]SCEPEndpoint{"devices": {CACertificates: "full"}, "old": {StaticSecret: secret, CACertificates: "chain", Quirks: "cisco-ios",
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")}, Legacy: []string{"des3", "sha1"}}}
	same := []cmp.Option{cmp.Comparer(keys.Secret.SameReference), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if diff := cmp.Diff(want, c.SCEPOf, same...); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(SCEP{NDES: &NDES{Endpoint: "devices", Lifetime: time.Hour}}, c.SCEP); diff != "" {
		t.Error(diff)
	}
	if url := c.URL(&c.Endpoints[1]); url != "http://pki.example/scep/t/c/scep-digital-signature-key-encipherment/" {
		t.Error(url)
	}
	for i, want := range []string{"legacy[0]: messages may use sha1", "legacy[1]: messages may use des3", "shared by everybody", "ANYBODY AT THESE ADDRESSES GETS A CERTIFICATE"} {
		if len(c.Warnings) != 4 || !strings.Contains(c.Warnings[i], want) || !strings.Contains(c.Warnings[i], "endpoints[old]") {
			t.Errorf("warnings %q, want %q", c.Warnings, want)
		}
	}
	for _, change := range [][2]string{{"endpoint: devices", "endpoint: devices, password_lifetime: P1D"}, {", 2001:db8::/32", ""}, {"ca_certificates: chain", "ca_certificates: issuer"}, {"[sha1, des3]", "[sha1]"},
		{"cisco-ios", "ilo"}, {"scep: {ndes", "#"}, {", [certificate]]", "]"}} {
		other, err := Parse("f", []byte(strings.Replace(withSCEP, change[0], change[1], 1)), Options{})
		if err != nil || other.Digest() == c.Digest() || c.NeedsRestart(other) != nil {
			t.Errorf("%s: %v, the digest has to change with it and nothing else", change[1], err)
		}
	}
	for _, change := range [][2]string{{"env:SECRET", "env:OTHER"}, {"[sha1, des3]", "[des3, sha1]"}} {
		other, err := Parse("f", []byte(strings.Replace(withSCEP, change[0], change[1], 1)), Options{})
		if err != nil || other.Digest() != c.Digest() {
			t.Errorf("%s: %v, the digest must not change", change[1], err)
		}
	}
	off, err := Parse("f", []byte(strings.Replace(withSCEP, "  - id: devices\n", "  - id: devices\n    enabled: false\n", 1)), Options{})
	if err != nil || off.SCEP.NDES != nil || len(off.SCEPOf) != 1 {
		t.Errorf("an endpoint that is switched off: %+v, %v", off, err)
	}
	everywhere := strings.NewReplacer(", [unauthenticated]", "", "    addresses: [10.1.0.0/16, 2001:db8::/32]\n", "").Replace(withSCEP)
	if c, err = Parse("f", []byte(everywhere), Options{}); err != nil || c.SCEPOf["old"].Addresses != nil {
		t.Errorf("a static secret without addresses: %v", err)
	}
	everywhere = strings.NewReplacer(", [unauthenticated]", "", "10.1.0.0/16", "0.0.0.0/0").Replace(withSCEP)
	if c, err = Parse("f", []byte(everywhere), Options{}); err != nil || !strings.Contains(strings.Join(c.Warnings, "\n"), "addresses[0]: this range keeps nobody out") {
		t.Errorf("a static secret from everywhere: %v", err)
	}
}

// TestSCEPListeners: http is told, https serves, too, and one of them is enough.
func TestSCEPListeners(t *testing.T) {
	plain := strings.NewReplacer("  https: 127.0.0.1:8443\n", "", "  https: https://pki.example\n", "", "protocol: acme", "protocol: scep",
		"[[acme-account]]", "[[scep-secret]]", "scep: {ndes: {endpoint: devices}}\n", "").Replace(withSCEP)
	secure := strings.NewReplacer("  http: \":8080\"\n", "", "  http: http://pki.example\n", "").Replace(withSCEP)
	for text, want := range map[string]string{plain: "http://pki.example/", withSCEP: "http://pki.example/", secure: "https://pki.example/"} {
		c, err := Parse("f", []byte(text), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if url := c.URL(&c.Endpoints[1]); url != want+"scep/t/c/scep-digital-signature-key-encipherment/" {
			t.Error(url)
		}
	}
	none := strings.NewReplacer("listen:\n  http: \":8080\"\n  https: 127.0.0.1:8443\n", "listen: {est: \":1\"}\n", "base_url:\n  http: http://pki.example\n  https: https://pki.example\n",
		"base_url: {est: \"https://pki.example\"}\n").Replace(withSCEP)
	_, err := Parse("f", []byte(none), Options{})
	want := []string{`listen.https: the key is missing: endpoint "e" is served there`, `listen.http: the key is missing: endpoint "devices" is served there, or on listen.https`,
		`scep.ndes: the page that gives passwords is on https alone, and listen.https is missing`}
	got := strings.Join(lines(t, err), "\n")
	for _, line := range want {
		if strings.Count(got, "\n") != len(want)-1 || !strings.Contains(got+"\n", line+"\n") {
			t.Errorf("no listener: %s\nwant %s", got, line)
		}
	}
}

func TestSCEPMistakes(t *testing.T) {
	for name, test := range map[string]struct{ from, to, want string }{
		"no RA":                            {"    ra: {enabled: true}\n", "", `endpoints[devices].ca: clients of SCEP encrypt to the registration authority of their CA, and "c" has none`},
		"an RA that is off":                {"ra: {enabled: true}", "ra: {enabled: false}", "endpoints[old].ca: clients of SCEP encrypt"},
		"no static secret":                 {"    static_secret: env:SECRET\n", "", "static_secret: the key is missing"},
		"a static secret for nothing":      {"[static-scep-secret], ", "", "nothing uses this secret"},
		"the secret itself":                {"env:SECRET", "opensesame", "not a reference to a secret"},
		"no addresses":                     {"    addresses: [10.1.0.0/16, 2001:db8::/32]\n", "", "addresses: it is missing or empty"},
		"an empty list of addresses":       {"[10.1.0.0/16, 2001:db8::/32]", "[]", "addresses: it is missing or empty"},
		"the static secret from nowhere":   {", [unauthenticated]]\n    static_secret: env:SECRET\n    addresses: [10.1.0.0/16, 2001:db8::/32]", "]\n    static_secret: env:SECRET\n    addresses: []", "keeps nobody out"},
		"addresses for nothing":            {"[[scep-secret], [certificate]]", "[[scep-secret], [certificate]]\n    addresses: [10.1.0.0/16]", "endpoints[devices].addresses: nothing uses these addresses"},
		"the whole of IPv4":                {"10.1.0.0/16", "0.0.0.0/0", "addresses[0]: with this range everybody in the world"},
		"the whole of IPv6":                {"2001:db8::/32", `"::/0"`, "addresses[1]: with this range everybody in the world"},
		"no range":                         {"10.1.0.0/16", "10.1.0.1", "an address range is written as"},
		"unauthenticated and more":         {"[unauthenticated]", "[unauthenticated, certificate]", "authentication[1]: the method unauthenticated holds for everybody"},
		"two passwords at once":            {"[static-scep-secret]", "[static-scep-secret, scep-secret]", "never hold together"},
		"an unknown set":                   {"ca_certificates: chain", "ca_certificates: all", `ca_certificates: "all" is not known`},
		"an unknown algorithm":             {"[sha1, des3]", "[sha1, rc4]", `legacy[1]: "rc4" is not known`},
		"an algorithm twice":               {"[sha1, des3]", "[sha1, sha1]", "legacy[1]: \"sha1\" stands here twice"},
		"unknown quirks":                   {"cisco-ios", "cisco", `quirks: "cisco" is not known`},
		"a method of EST":                  {"[[scep-secret]", "[[password]", "is not an authentication method of protocol"},
		"a method of SCEP at ACME":         {"[[acme-account]]", "[[scep-secret]]", "is not an authentication method of protocol"},
		"what SCEP has, at ACME":           {"[[acme-account]]", "[[acme-account]]\n    legacy: [des3]", "endpoints[e].legacy: only an endpoint of protocol scep has this"},
		"what EST has":                     {"quirks: cisco-ios", "unfolded: true", "only an endpoint of protocol est has this"},
		"NDES without an endpoint":         {"{endpoint: devices}", "{}", "scep.ndes.endpoint: the key is missing"},
		"NDES of an unknown one":           {"{endpoint: devices}", "{endpoint: device}", `"device" does not name an endpoint of protocol scep; did you mean "devices"?`},
		"NDES of ACME":                     {"{endpoint: devices}", "{endpoint: e}", "does not name an endpoint of protocol scep"},
		"NDES without secrets":             {"{endpoint: devices}", "{endpoint: old}", `which endpoint "old" does not take`},
		"passwords that are gone at once":  {"{endpoint: devices}", "{endpoint: devices, password_lifetime: 59s}", "between 1m0s and 720h0m0s"},
		"passwords that stay for too long": {"{endpoint: devices}", "{endpoint: devices, password_lifetime: P31D}", "between 1m0s and 720h0m0s"},
		"an unknown key of NDES":           {"{endpoint: devices}", "{endpoint: devices, user: x}", "unknown key"},
	} {
		text := strings.Replace(withSCEP, test.from, test.to, 1)
		if text == withSCEP {
			t.Fatalf("%s: nothing changed", name)
		}
		_, err := Parse("f", []byte(text), Options{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "opensesame") {
			t.Error("a secret is repeated")
		}
	}
}
