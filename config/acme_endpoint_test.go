package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

// withEndpoint is the minimal configuration with more keys of its endpoint.
func withEndpoint(t *testing.T, more, rest string) (*Config, error) {
	t.Helper()
	const end = "authentication: [[acme-account]]"
	if strings.Count(minimal, end) != 1 {
		t.Fatalf("the minimal configuration has not one endpoint:\n%s", minimal)
	}
	for _, key := range []string{"profiles", "resolvers", "caa", "drafts", "dns_persist_issuers", "attestation", "subdomains", "vantages", "quorum"} {
		more = strings.ReplaceAll(more, ", "+key+":", "\n    "+key+":")
	}
	return Parse("f", []byte(strings.Replace(minimal, end, end+more, 1)+rest), Options{})
}

func TestACMEEndpoint(t *testing.T) {
	c, err := withEndpoint(t, ", profiles: {both: privatessl-tls-client-server, same: privatessl-tls-server}, resolvers: [192.0.2.1, '[2001:db8::1]:5353'], caa: [CA.example, b.example]",
		"acme: {tlsalpn01: {port: 8443}, authoritative: true}\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]ACMEEndpoint{"e": {Profiles: []NamedProfile{{"both", "privatessl-tls-client-server"}, {"same", "privatessl-tls-server"}},
		Resolvers: []string{"192.0.2.1:53", "[2001:db8::1]:5353"}, CAA: []string{"ca.example", "b.example"}}}
	if diff := cmp.Diff(want, c.ACMEOf); diff != "" {
		t.Error(diff)
	}
	if c.ACME.TLSALPN01Port != 8443 || !c.ACME.Authoritative || len(c.Warnings) == 0 || !strings.Contains(c.Warnings[len(c.Warnings)-1], "RFC 8737") {
		t.Errorf("%+v %v", c.ACME, c.Warnings)
	}
	variants := c.Variants(&c.Endpoints[0])
	var got []ca.Endpoint
	for _, p := range []struct{ name, profile string }{{"both", "privatessl-tls-client-server"}, {"same", "privatessl-tls-server"}} {
		v := c.Endpoints[0]
		v.ID, v.Of, v.Profile = "e/"+p.name, "e", p.profile
		got = append(got, v)
	}
	if diff := cmp.Diff(got, variants); diff != "" {
		t.Error(diff)
	}
	plain, err := withEndpoint(t, "", "")
	if err != nil || len(plain.Variants(&plain.Endpoints[0])) != 0 || plain.Digest() == c.Digest() {
		t.Errorf("%v: the digest has to change with it", err)
	}
	other, err := withEndpoint(t, ", caa: [ca.example]", "")
	if err != nil || other.Digest() == plain.Digest() {
		t.Errorf("%v: caa does not change the digest", err)
	}
}

func TestACMEEndpointMistakes(t *testing.T) {
	for more, want := range map[string]string{
		", profiles: {short: nothing}":                `"nothing"`,
		", profiles: {'a/b': privatessl-tls-server}":  "the name of a profile has",
		", profiles: {'': privatessl-tls-server}":     "",
		", profiles: [privatessl-tls-server]":         "a mapping",
		", caa: []":                                   "the list is empty",
		", caa: ['*.ca.example']":                     "is a DNS name such as",
		", caa: ['https://ca.example']":               "is a DNS name such as",
		", caa: [ca.example, CA.example]":             "stands here twice",
		", resolvers: [dns.example]":                  "a DNS server is an IP address",
		", caa: [ca.example], resolvers: ['0.0.0.0']": "a DNS server is an IP address",
	} {
		if _, err := withEndpoint(t, more, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", more, err)
		}
	}
	for _, port := range []string{"0", "65536", "-1"} {
		if _, err := withEndpoint(t, "", "acme: {tlsalpn01: {port: "+port+"}}\n"); err == nil || !strings.Contains(err.Error(), "a port is a number") {
			t.Errorf("port %s: %v", port, err)
		}
	}
}
