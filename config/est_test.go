package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withEST is the minimal configuration with two EST endpoints.
var withEST = strings.NewReplacer("listen:\n", "listen:\n  est: \":9443\"\n", "base_url:\n", "base_url:\n  est: https://pki.example:9443\n").Replace(minimal) + `  - id: devices
    protocol: est
    tenant: t
    ca: c
    profile: est-digital-signature
    authentication: [[password], [certificate]]
  - id: signers
    protocol: est
    tenant: t
    ca: c
    profile: est-non-repudiation
    authentication: [[password], [device-certificate]]
    device_roots: [/a.pem]
est: {default: devices}
`

func TestEST(t *testing.T) {
	c, err := Parse("f", []byte(withEST), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]ESTEndpoint{"devices": {ChannelBinding: "off"}, "signers": {ChannelBinding: "off", DeviceRoots: []string{"/a.pem"}}}
	if diff := cmp.Diff(want, c.ESTOf); diff != "" || c.EST.Default != "devices" {
		t.Errorf("%+v %s", c.EST, diff)
	}
	if url := c.URL(&c.Endpoints[2]); url != "https://pki.example:9443/.well-known/est/t/c/est-non-repudiation" {
		t.Error(url)
	}
	for _, change := range [][2]string{{"default: devices", "default: signers"}, {"[/a.pem]", "[/b.pem]"}, {"[/a.pem]", "[/a.pem]\n    unfolded: true"},
		{"[/a.pem]", "[/a.pem]\n    channel_binding: required"}} {
		other, err := Parse("f", []byte(strings.Replace(withEST, change[0], change[1], 1)), Options{})
		if err != nil || other.Digest() == c.Digest() {
			t.Errorf("%s: %v, the digest has to change with it", change[1], err)
		}
	}
	made := strings.NewReplacer("profile: est-non-repudiation", "profile: est-made\n    server_keygen: true").Replace(withEST) +
		"profiles:\n  - {id: est-made, extends: est-digital-signature, server_keys: [ecdsa-p256]}\n"
	if keys, err := Parse("f", []byte(made), Options{}); err != nil || !keys.ESTOf["signers"].ServerKeygen || keys.ESTOf["devices"].ServerKeygen {
		t.Errorf("keys that are made: %v", err)
	}
	off, err := Parse("f", []byte(strings.Replace(withEST, "protocol: est", "enabled: false\n    protocol: est", 1)), Options{})
	if err != nil || off.EST.Default != "" || len(off.Endpoints) != 2 {
		t.Errorf("a default that is switched off: %+v, %v", off, err)
	}
}

func TestESTMistakes(t *testing.T) {
	for name, test := range map[string]struct{ from, to, want string }{
		"an unknown binding":       {"[/a.pem]", "[/a.pem]\n    channel_binding: maybe", `channel_binding: "maybe" is not known`},
		"roots for nothing":        {", [device-certificate]]", "]", "nothing uses these roots"},
		"no roots":                 {"    device_roots: [/a.pem]\n", "", "device_roots: the key is missing"},
		"a relative path":          {"[/a.pem]", "[a.pem]", "absolute path"},
		"a file twice":             {"[/a.pem]", "[/a.pem, /a.pem]", "stands here twice"},
		"an unknown default":       {"default: devices", "default: divices", `"divices" does not name an endpoint of protocol est; did you mean "devices"?`},
		"a default of ACME":        {"default: devices", "default: e", "does not name an endpoint of protocol est"},
		"bound behind a proxy":     {"listen:\n", "listen:\n  trusted_proxies: [10.0.0.1/32]\n", ""},
		"no keys to make":          {"[/a.pem]", "[/a.pem]\n    server_keygen: true", "profile \"est-non-repudiation\" has no server_keys"},
		"keys made by ACME":        {"[[acme-account]]", "[[acme-account]]\n    server_keygen: true", "only an endpoint of protocol est has this"},
		"terms of service":         {"[/a.pem]", "[/a.pem]\n    terms_of_service: https://a.example/", "terms of service are for endpoints"},
		"what ACME has":            {"[/a.pem]", "[/a.pem]\n    resolvers: [192.0.2.1]", "only an endpoint of protocol acme has this"},
		"what EST has":             {"[[acme-account]]", "[[acme-account]]\n    unfolded: true", "only an endpoint of protocol est has this"},
		"two certificates at once": {"[device-certificate]", "[device-certificate, certificate]", "never hold together"},
		"a method of ACME":         {"[[password], [certificate]]", "[[eab]]", "is not an authentication method of protocol"},
		"no listener":              {"  est: \":9443\"\n", "", "listen.est: the key is missing"},
		"no base URL":              {"  est: https://pki.example:9443\n", "", "base_url.est: the key is missing"},
		"a base URL of http":       {"est: https://", "est: http://", "https://HOST"},
	} {
		text := strings.Replace(withEST, test.from, test.to, 1)
		if test.want == "" { // allowed, as long as nobody requires a binding
			if _, err := Parse("f", []byte(text), Options{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			text, test.want = strings.Replace(text, "[/a.pem]", "[/a.pem]\n    channel_binding: required", 1), "behind a proxy that ends TLS"
		}
		if text == withEST {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := Parse("f", []byte(text), Options{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// TestESTLabels: clients that can say no more than a label must tell endpoints apart by it.
func TestESTLabels(t *testing.T) {
	text := strings.NewReplacer("tenants:\n", "tenants:\n  - id: t_c\n", "cas:\n", "cas:\n  - {id: x, tenant: t_c, key: \"file:/x.key\"}\n  - {id: c_x, tenant: t, key: \"file:/cx.key\"}\n").Replace(withEST)
	text = strings.Replace(text, "tenant: t\n    ca: c\n    profile: est-digital", "tenant: t_c\n    ca: x\n    profile: est-digital", 1)
	text = strings.Replace(text, "ca: c\n    profile: est-non-repudiation", "ca: c_x\n    profile: est-digital-signature", 1)
	if _, err := Parse("f", []byte(text), Options{}); err == nil || !strings.Contains(err.Error(), `label "t_c_x_est-digital-signature" is that of endpoint "devices"`) {
		t.Error(err)
	}
}
