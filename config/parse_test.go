package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// minimal is the shortest file that loads outside dev.
const minimal = `listen:
  https: 127.0.0.1:8443
base_url:
  https: https://pki.example
tls:
  certificate: /tls.pem
  key: file:/tls.key
store:
  url: sqlite:///var/eg.db
seal:
  key: env:SEAL
tenants:
  - id: t
cas:
  - id: c
    tenant: t
    key: file:/c.key
endpoints:
  - id: e
    protocol: acme
    tenant: t
    ca: c
    profile: privatessl-tls-server
    authentication: [[acme-account]]
`

// lines gives the problems of err as text.
func lines(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error is %T, not Problems: %v", err, err)
	}
	return strings.Split(problems.Error(), "\n")
}

func TestMinimal(t *testing.T) {
	c, err := Parse("f", []byte(minimal), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []ca.Endpoint{{
		ID: "e", Door: caller.ACME, Tenant: "t", CA: "c", Profile: "privatessl-tls-server",
		Policies: [][]caller.Method{{caller.ACMEAccount}},
	}}; !cmp.Equal(c.Endpoints, want) {
		t.Errorf("endpoints: %s", cmp.Diff(want, c.Endpoints))
	}
	if want := (ACME{
		HTTP01: HTTP01{Port: 80, Waits: []time.Duration{1e9, 2e9, 2e9, 2e9}, Timeout: 30 * time.Second}, TLSALPN01Port: 443,
		OrderLifetime: 168 * time.Hour, AuthLifetime: 168 * time.Hour, Terms: map[string]string{}, MaxContacts: 10,
		RateLimits: RateLimits{RateLimit{1000, time.Hour}, RateLimit{10_000, time.Hour}, RateLimit{500, time.Hour}, RateLimit{50_000, time.Hour}},
	}); !cmp.Equal(c.ACME, want) {
		t.Errorf("acme: %s", cmp.Diff(want, c.ACME))
	}
	if c.Listen.Admin != "127.0.0.1:8444" || c.Listen.HTTP != "" || c.Tenants[0].Name != "t" || c.Drain != 30*time.Second || c.Log.Format != "text" || c.Store.Writers != 1 {
		t.Errorf("defaults are wrong: %+v", c)
	}
	if len(c.Warnings) != 0 || c.Profiles["privatessl-tls-server"] == nil {
		t.Errorf("warnings %q, profiles %v", c.Warnings, c.Profiles)
	}
}

// TestBroken changes the minimal file and wants the complete list of problems.
func TestBroken(t *testing.T) {
	tests := []struct {
		name     string
		old, new string // replaced in minimal; old empty: new is the whole file
		want     []string
	}{
		{"empty file", "", "# nothing\n", []string{
			"f: tenants: at least one tenant is wanted; everything that is issued belongs to one",
			"f: store.url: the key is missing: it says where certificates are recorded",
			"f: seal.key: the key is missing: it protects the secrets in the store; make one with `openssl rand -base64 32`",
		}},
		{"hostile key", "store:\n", "\"a\\nf:1: b\": 1\nstore:\n", []string{
			`f:8: "a\nf:1: b": unknown key (allowed: listen, base_url, tls, store, seal, pkcs11, tenants, cas, foreign_cas, profiles, endpoints, acme, est, scep, approvals, retention, log, admin, drain_timeout)`,
		}},
		{"not a mapping", "", "- a\n", []string{"f:1: a mapping of keys to values is wanted here, not a list"}},
		{"not YAML", "", "a: [\n", []string{"f:1: this is not YAML: did not find expected node content"}},
		{"second document", "[[acme-account]]\n", "[[acme-account]]\n---\na: 1\n", []string{
			"f:25: the file holds a second YAML document; write everything into one",
		}},
		{"unknown keys at every level", "    authentication: [[acme-account]]\n", "    authentication: [[acme-account]]\n    authentification: x\nlog:\n  levle: info\nlistenn: {}\n", []string{
			`f:25: endpoints[e].authentification: unknown key; did you mean "authentication"? (allowed: id, protocol, tenant, ca, profile, authentication, terms_of_service, enabled, profiles, resolvers, caa, drafts, dns_persist_issuers, attestation, subdomains, vantages, quorum, device_roots, channel_binding, unfolded, server_keygen, static_secret, addresses, ca_certificates, legacy, quirks)`,
			`f:27: log.levle: unknown key; did you mean "level"? (allowed: level, format)`,
			`f:28: listenn: unknown key; did you mean "listen"? (allowed: listen, base_url, tls, store, seal, pkcs11, tenants, cas, foreign_cas, profiles, endpoints, acme, est, scep, approvals, retention, log, admin, drain_timeout)`,
		}},
		{"duplicate key", "store:\n", "log:\n  level: info\n  level: warn\nstore:\n", []string{
			"f:10: log.level: the key is written twice, first on line 9; remove one",
		}},
		{"wrong types", "store:\n", "drain_timeout: 30\nlog: [a]\nacme:\n  http01: {port: \"80\", retries: 07, intervals: 5s, timeout: {}}\n  localhost_to_loopback: yes\n  resolvers:\nstore:\n", []string{
			"f:8: drain_timeout: text is wanted here, and YAML reads this as another type; put it in quotes if it is meant so",
			"f:9: log: a mapping of keys to values is wanted here, not a list",
			"f:11: acme.http01.port: a whole number is wanted here",
			"f:11: acme.http01.retries: a whole number in decimal digits is wanted here, without leading zeros and below 2147483648",
			"f:11: acme.http01.intervals: a list is wanted here, not a single value",
			"f:11: acme.http01.timeout: text is wanted here, not a mapping",
			"f:12: acme.localhost_to_loopback: true or false is wanted here",
			"f:13: acme.resolvers: the key has no value; write one or remove the key",
		}},
		{"anchors, aliases, merge keys and tags", "store:\n", "log: &a\n  level: !!str info\n  <<: {format: text}\nacme: *a\nstore:\n", []string{
			"f:8: log: YAML anchors are not read here; write the value out each time, or put a text that begins with & in quotes",
			"f:9: log.level: YAML tags are not read here; remove it, or put a text that begins with ! in quotes",
			"f:10: log: YAML merge keys are not read here; write the values out",
			"f:11: acme: YAML aliases are not read here; write the value out, or put a text that begins with * in quotes",
			"f:11: acme: the key has no value; write one or remove the key",
		}},
		{"bad ids", "  - id: t\n", "  - id: t\n  - id: t\n  - id: a/b\n  - id: mdm\n  - name: n\n  - id: ''\n  - t\n", []string{
			`f:14: tenants[1].id: a second tenant has the id "t"; ids are unique`,
			"f:15: tenants[2].id: an id has 1 to 64 characters of A-Z a-z 0-9 - _ ~",
			`f:16: tenants[mdm].id: the id "mdm" has a meaning of its own in URLs; take another`,
			"f:17: tenants[4].id: the key is missing: everything in this list is named by it",
			"f:18: tenants[5].id: the text is empty; write a value or remove the key",
			"f:19: tenants[6]: a mapping of keys to values is wanted here, not a single value",
		}},
		{"dangling references", "    tenant: t\n    ca: c\n    profile: privatessl-tls-server\n", "    tenant: t\n    ca: d\n    profile: privatessl-tls-sever\n", []string{
			`f:22: endpoints[e].ca: "d" does not name a CA of tenant "t" that is configured and enabled (allowed: c)`,
			`f:23: endpoints[e].profile: "privatessl-tls-sever" does not name a profile that is configured and enabled; did you mean "privatessl-tls-server"?` + "; `enrollgate profile list` prints the 82 that there are",
		}},
		{"disabled CA", "    tenant: t\n    key: file:/c.key\n", "    tenant: t\n    key: file:/c.key\n    enabled: false\n", []string{
			`f:23: endpoints[e].ca: "c" does not name a CA of tenant "t" that is configured and enabled`,
		}},
		{"CA keys", "    key: file:/c.key\n", "    key: pkcs11:token=t;object=c?pin-value=hunter2\n    key_password: hunter2\n    certificate: c.pem\n  - {id: d, tenant: t, key: 'pkcs11:token=t'}\n  - {id: e, tenant: u, key: hunter2}\n  - {id: d, tenant: t, key: file:relative}\n", []string{
			"f:17: cas[c].key: a key URI has no pin-value, because URIs end up in logs; give the PIN as key_password: file:/absolute/path or env:NAME",
			"f:18: cas[c].key_password: this is not a reference to a secret; never write the secret itself here (allowed: file:/absolute/path, env:NAME, credential:NAME)",
			"f:19: cas[c].certificate: the absolute path of a file is wanted here, such as /etc/enrollgate/tls.pem",
			"f:20: cas[d].key: this pkcs11 URI names no key; add object=LABEL or id=%01...",
			`f:21: cas[e].tenant: "u" does not name a tenant that is configured and enabled (allowed: t)`,
			"f:21: cas[e].key: this is not a key URI (allowed: file:/absolute/path, pkcs11:token=...;object=...)",
			"f:22: cas[3].key: a file URI names one file by its absolute path: file:/etc/enrollgate/key.pem",
			`f:22: cas[3].id: a second CA of tenant "t" has the id "d"; ids are unique within a tenant`,
		}},
		{"endpoint without policy", "    authentication: [[acme-account]]\n", "", []string{
			"f:19: endpoints[e].authentication: an endpoint needs an authentication policy: a list of alternatives, each a list of methods that must all hold (allowed: acme-account, eab)",
		}},
		{"empty alternatives and wrong methods", "[[acme-account]]", "[[], [service], [acme-account, acme-account], [acme-account]]", []string{
			"f:24: endpoints[e].authentication[0]: an alternative without methods would let everybody in; write at least one (allowed: acme-account, eab)",
			`f:24: endpoints[e].authentication[1][0]: "service" is not an authentication method of protocol "acme" (allowed: acme-account, eab)`,
			`f:24: endpoints[e].authentication[2][1]: the method "acme-account" stands here twice`,
			"f:24: endpoints[e].authentication[3]: this alternative stands here twice",
		}},
		{"unknown door", "    protocol: acme\n", "    protocol: wstep\n", []string{
			`f:20: endpoints[e].protocol: there is no door "wstep" in this version; did you mean "scep"? (allowed: acme, est, scep)`,
		}},
		{"same URL twice", "endpoints:\n", "endpoints:\n  - {id: e2, protocol: acme, tenant: t, ca: c, profile: privatessl-tls-server, authentication: [[acme-account]]}\n", []string{
			`f:20: endpoints[e]: endpoint "e2" has the same protocol, tenant, CA and profile, and so the same URL`,
		}},
		{"profile", "endpoints:\n", "profiles:\n  - id: p\n    keys: [rsa-1024]\n    key_usage: {bits: [digitalSignature]}\n    ext_key_usage: {mode: fixed, values: [serverAuth], critcal: true}\n    validity: {default: 90}\n    subject: {cn_from_first_dns: true}\n    subject_alt_name: {dns: {methods: [http-01, smtp]}}\nendpoints:\n", []string{
			"f:20: profiles[p].keys[0]: RSA keys have 2048 to 8192 bits; the global floor refuses others in any profile",
			`f:22: profiles[p].ext_key_usage.critcal: unknown key; did you mean "critical"? (allowed: mode, values, default, critical)`,
			"f:23: profiles[p].validity.default: text is wanted here, and YAML reads this as another type; put it in quotes if it is meant so",
			`f:25: profiles[p].subject_alt_name.dns.methods[1]: "smtp" is not a way to prove a name of this type (allowed: http-01, dns-01, tls-alpn-01, dns-account-01, dns-persist-01, service, directory, credential, certificate)`,
		}},
		{"listeners", "  https: 127.0.0.1:8443\n", "  https: pki.example:443\n  http: ':8443'\n  est: '[::]:8443'\n  admin: 127.0.0.1:0\n", []string{
			"f:2: listen.https: an address to listen on is HOST:PORT, where HOST is an IP address (IPv6 in brackets), localhost, or nothing for all addresses",
			"f:4: listen.est: listen.http already takes this address; give each listener its own",
			"f:5: listen.admin: port 0 takes another port at each start, which clients cannot know; write a port",
			"f:6: base_url.http: the key is missing: clients reach listen.http at this URL, and it goes into directories and certificates",
			"f:6: base_url.est: the key is missing: clients reach listen.est at this URL, and `enrollgate urls` prints it",
		}},
		{"no listener", "  https: 127.0.0.1:8443\n", "  admin: 127.0.0.1:1\n", []string{
			"f:1: listen.https: the key is missing: endpoint \"e\" is served there",
			"f:4: base_url.https: listen.https is not set, so nobody serves this URL",
		}},
		{"base URL and TLS", "  https: https://pki.example\ntls:\n  certificate: /tls.pem\n", "  https: https://pki.example/acme\ntls:\n", []string{
			"f:4: base_url.https: a base URL ends after host and port; some addresses below it (/.well-known/...) are fixed by their standards",
			"f:5: tls.certificate: the key is missing: the https listeners show it; or have it issued by a CA of this gateway with tls.issue",
		}},
		{"acme", "store:\n", "acme:\n  http01: {port: 70000, retries: 21, timeout: 1h}\n  resolvers: [dns.example, 192.0.2.1, '[::1]:x']\n  allow_targets: [10.0.0.1/8, 10.0.0.1]\n  localhost_to_loopback: true\n  order_lifetime: P1M\n  authorization_lifetime: 1s\nlog: {level: inf, format: xml}\nstore:\n", []string{
			"f:9: acme.http01.timeout: the duration must be between 1s and 5m0s",
			"f:9: acme.http01.port: a port is a number from 1 to 65535, not 70000",
			"f:9: acme.http01.retries: 0 to 20 retries are possible, not 21",
			"f:10: acme.resolvers[0]: a DNS server is an IP address, or one with a port such as 192.0.2.53:5353 or [2001:db8::53]:53",
			"f:10: acme.resolvers[2]: a DNS server is an IP address, or one with a port such as 192.0.2.53:5353 or [2001:db8::53]:53",
			"f:11: acme.allow_targets[0]: bits after the prefix are set; write 10.0.0.0/8, or 10.0.0.1/32 for the one address",
			"f:11: acme.allow_targets[1]: an address range is written as 10.1.0.0/16 or 2001:db8::/32; a single address ends with /32 or /128",
			"f:12: acme.localhost_to_loopback: this is for `serve --dev` alone: here it would let every local user prove names under localhost",
			"f:13: acme.order_lifetime: a duration is written as 30s, 5m or 12h, or in ISO 8601 as PT30S, PT12H or P7D",
			"f:14: acme.authorization_lifetime: the duration must be between 1m0s and 2160h0m0s",
			`f:15: log.level: "inf" is not known; did you mean "info"? (allowed: debug, info, warn, error)`,
			`f:15: log.format: "xml" is not known (allowed: text, json)`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.new
			if tt.old != "" {
				if strings.Count(minimal, tt.old) != 1 {
					t.Fatalf("%q is not in the minimal file once", tt.old)
				}
				text = strings.Replace(minimal, tt.old, tt.new, 1)
			}
			_, err := Parse("f", []byte(text), Options{})
			if diff := cmp.Diff(tt.want, lines(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"size", strings.Repeat("#", maxFile+1), "f: the file has 1048577 bytes; at most 1048576 are read"},
		{"items", "tenants: [" + strings.Repeat("a,", 4097) + "]", "f:1: tenants: at most 4096 items or keys are read here"},
		{"keys", strings.Repeat("a: 1\n", 4097), "f:1: at most 4096 items or keys are read here"},
		{"depth", "a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "f:1: lists and mappings nest deeper than 32 levels"},
	}
	for _, tt := range tests {
		_, err := Parse("f", []byte(tt.text), Options{})
		if got := lines(t, err); !strings.Contains(strings.Join(got, "\n"), tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "k%d: 1\n", i)
	}
	_, err := Parse("f", []byte(many.String()), Options{})
	got := lines(t, err)
	if len(got) != maxProblems+1 || got[maxProblems] != "f: 303 more problems are not shown" {
		t.Errorf("%d problems, the last %q", len(got), got[len(got)-1])
	}
}

func TestWarnings(t *testing.T) {
	text := strings.NewReplacer(
		"sqlite:///var/eg.db", "postgres://eg@db.example/eg?sslmode=verify-full\n  unsafe_durability_reason: it cannot say",
		"  https: 127", "  admin: 0.0.0.0:8444\n  https: 127",
		"seal:", "acme: {http01: {port: 5002}, allow_targets: [0.0.0.0/0]}\nseal:",
	).Replace(minimal)
	c, err := Parse("f", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"f:2: listen.admin: the admin listener speaks plain http to anybody who reaches it; keep it on a loopback address or behind a firewall",
		"f:10: store.url: the role that serves also owns the schema, so it could delete records; set store.migrate_url to another role",
		"f:11: store.unsafe_durability_reason: certificates may be lost in a crash: durability of the store is not checked (it cannot say)",
		"f:12: acme.http01.port: RFC 8555 section 8.3 asks port 80: whoever may open port 5002 on a host gets certificates for it",
		"f:12: acme.allow_targets[0]: every address may be asked, this machine's own and the network's inner ones too; name the ranges that are needed",
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" {
		t.Error(diff)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}; !cmp.Equal(c.ACME.AllowTargets, want, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
		t.Errorf("allow_targets: %v", c.ACME.AllowTargets)
	}
}
