package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// devBase is in the shape of the embedded dev defaults.
const devBase = `listen: {https: "127.0.0.1:8443", http: "127.0.0.1:8080"}
store:
  url: sqlite:///data/eg.db
tenants:
  - {id: default, name: Dev}
cas:
  - {id: issuing, tenant: default, key: "file:issuing.pem"}
profiles:
  - id: base
    keys: [ecdsa-p256]
    key_usage: {bits: [digitalSignature]}
    ext_key_usage: {mode: fixed, values: [serverAuth]}
    validity: {default: P1D}
    subject: {cn_from_first_dns: true}
    subject_alt_name: {dns: {methods: [http-01]}}
endpoints:
  - {id: a, protocol: acme, tenant: default, ca: issuing, profile: privatessl-tls-server, authentication: [[acme-account]]}
  - {id: b, protocol: acme, tenant: default, ca: issuing, profile: base, authentication: [[acme-account]]}
acme:
  http01: {port: 5002, intervals: [1s]}
  allow_targets: [127.0.0.0/8, "::1/128"]
  localhost_to_loopback: true
`

func TestMerge(t *testing.T) {
	overlay := `listen: {http: "127.0.0.1:1"}
tenants:
  - {id: other}
cas:
  - {id: issuing, key: "file:/other.pem"}
  - {id: issuing, tenant: other, key: "file:/second.pem"}
profiles:
  - id: base
    validity: {default: P2D}
endpoints:
  - {id: a, enabled: false}
  - {id: c, protocol: acme, tenant: other, ca: issuing, profile: base, authentication: [[acme-account]]}
acme:
  http01: {intervals: [3s, 4s]}
  allow_targets: [10.0.0.0/8]
`
	c, err := ParseOver([]byte(devBase), "f", []byte(overlay), Options{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"listen": c.Listen, "tenants": c.Tenants, "endpoints": []string{}, "waits": c.ACME.HTTP01.Waits,
		"port": c.ACME.HTTP01.Port, "targets": c.ACME.AllowTargets[0].String(), "cas": []string{},
		"validity": strings.Contains(string(c.Profiles["base"].Text()), "default: P2D"),
		"keys":     strings.Contains(string(c.Profiles["base"].Text()), "ecdsa-p256"),
	}
	for _, e := range c.Endpoints {
		got["endpoints"] = append(got["endpoints"].([]string), e.ID+" "+c.URL(&e))
	}
	for _, a := range c.CAs {
		got["cas"] = append(got["cas"].([]string), a.Tenant+"/"+a.ID+" "+a.Key)
	}
	want := map[string]any{
		"listen":    Listen{HTTPS: "127.0.0.1:8443", HTTP: "127.0.0.1:1", Admin: "127.0.0.1:8444"},
		"tenants":   []Tenant{{"default", "Dev"}, {"other", "other"}},
		"endpoints": []string{"b /acme/default/issuing/base/directory", "c /acme/other/issuing/base/directory"},
		"waits":     []time.Duration{3 * time.Second, 4 * time.Second},
		"port":      uint16(5002),
		"targets":   "10.0.0.0/8",
		"cas":       []string{"default/issuing file:/other.pem", "other/issuing file:/second.pem"},
		"validity":  true,
		"keys":      true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(c.ACME.AllowTargets) != 1 {
		t.Errorf("a list without ids is not replaced: %v", c.ACME.AllowTargets)
	}
}

func TestMergeProblems(t *testing.T) {
	tests := []struct {
		name, overlay string
		settings      []Setting
		want          []string
	}{
		{"nothing over", "", nil, nil},
		{"lines of both", "endpoints:\n  - {id: b, profile: nosuch}\nlog: {level: loud}\nstore: {url: 'mysql://x'}\n", nil, []string{
			`f:2: endpoints[b].profile: "nosuch" does not name a profile that is configured and enabled` + "; `enrollgate profile list` prints the 83 that there are",
			`f:3: log.level: "loud" is not known (allowed: debug, info, warn, error)`,
			"f:4: store.url: this is not the URL of a store (allowed: sqlite:///absolute/path, postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full)",
		}},
		{"a problem that the overlay makes in the base", "cas:\n  - {id: issuing, enabled: false}\n", nil, []string{
			`(dev defaults):17: endpoints[a].ca: "issuing" does not name a CA of tenant "default" that is configured and enabled`,
			`(dev defaults):18: endpoints[b].ca: "issuing" does not name a CA of tenant "default" that is configured and enabled`,
		}},
		{"removing nothing", "endpoints:\n  - {id: d, enabled: false}\n", nil, []string{
			"f:2: endpoints[d]: enabled: false removes nothing here: what this file is merged over has no entry with this id",
		}},
		{"null", "acme:\n", nil, []string{"f:1: acme: the key has no value; write one or remove the key"}},
		{"not a mapping", "- a\n", nil, []string{"f:1: a mapping of keys to values is wanted here, not a list"}},
		{"flags", "log: {format: json}\n", []Setting{
			{"listen.https", "127.0.0.1:x", "--https"},
			{"cas.issuing.key", "pkcs11:object=a?pin-value=hunter2", "--ca-key"},
			{"acme.http01.port", "many", "--http01-port"},
		}, []string{
			"--https: listen.https: an address to listen on is HOST:PORT, where HOST is an IP address (IPv6 in brackets), localhost, or nothing for all addresses",
			"--ca-key: cas[issuing].key: a key URI has no pin-value, because URIs end up in logs; give the PIN as key_password: file:/absolute/path or env:NAME",
			"--http01-port: acme.http01.port: a whole number in decimal digits is wanted here, without leading zeros and below 2147483648",
		}},
		{"flags that are right", "", []Setting{{"listen.https", "127.0.0.1:0", "--https"}, {"cas.issuing.key", "file:/k", "--ca-key"}, {"acme.http01.port", "80", "--p"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseOver([]byte(devBase), "f", []byte(tt.overlay), Options{Dev: true, Settings: tt.settings})
			if diff := cmp.Diff(tt.want, lines(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
	base := strings.Replace(devBase, "cas:\n", "cas:\n  - {id: issuing, tenant: other, key: \"file:o.pem\"}\n", 1)
	base = strings.Replace(base, "tenants:\n", "tenants:\n  - id: other\n", 1)
	_, err := ParseOver([]byte(base), "f", []byte("cas: [{id: issuing, key: 'file:/x'}]"), Options{Dev: true})
	want := []string{`f:1: cas[issuing]: the id "issuing" stands for 2 entries of different tenants in what this file is merged over; write the tenant too`}
	if diff := cmp.Diff(want, lines(t, err)); diff != "" {
		t.Error(diff)
	}
}

func TestDigest(t *testing.T) {
	digest := func(replacements ...string) [32]byte {
		t.Helper()
		text := minimal
		for i := 0; i < len(replacements); i += 2 {
			if !strings.Contains(text, replacements[i]) {
				t.Fatalf("%q is not in the file", replacements[i])
			}
			text = strings.Replace(text, replacements[i], replacements[i+1], 1)
		}
		c, err := Parse("f", []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest()
	}
	base := digest("  - id: t\n", "  - id: t\n  - id: u\n")
	same := map[string][32]byte{
		"order":    digest("  - id: t\n", "  - id: u\n  - id: t\n"),
		"listener": digest("  - id: t\n", "  - id: t\n  - id: u\n", "127.0.0.1:8443", "127.0.0.2:443"),
		"secret":   digest("  - id: t\n", "  - id: t\n  - id: u\n", "env:SEAL", "env:OTHER"),
		"store":    digest("  - id: t\n", "  - id: t\n  - id: u\n", "/var/eg.db", "/srv/eg.db"),
	}
	for name, d := range same {
		if d != base {
			t.Errorf("%s changes the digest", name)
		}
	}
	other := map[string][32]byte{
		"tenant":   digest(),
		"CA key":   digest("  - id: t\n", "  - id: t\n  - id: u\n", "file:/c.key", "file:/d.key"),
		"profile":  digest("  - id: t\n", "  - id: t\n  - id: u\n", "privatessl-tls-server", "privatessl-tls-client"),
		"acme":     digest("  - id: t\n", "  - id: t\n  - id: u\n", "seal:", "acme: {order_lifetime: P1D}\nseal:"),
		"CRL":      digest("  - id: t\n", "  - id: t\n  - id: u\n", "file:/c.key", "file:/c.key\n    crl: {shards: 2}"),
		"built-in": digest("  - id: t\n", "  - id: t\n  - id: u\n", "seal:", "profiles: [{id: privatessl-tls-client, enabled: false}]\nseal:"),
	}
	for name, d := range other {
		if d == base {
			t.Errorf("%s does not change the digest", name)
		}
	}
}

func TestDurations(t *testing.T) {
	good := map[string]time.Duration{
		"30s": 30 * time.Second, "P7D": 7 * day, "p7d": 7 * day, "P1W": 7 * day, "PT1H30M": 90 * time.Minute,
		"P1DT1S": day + time.Second, "1h30m": 90 * time.Minute, "0s": 0, "P9999W": 9999 * 7 * day,
	}
	for text, want := range good {
		if got, ok := parseDuration(text); !ok || got != want {
			t.Errorf("%s = %s, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "7", "P", "PT", "P1DT", "P1M", "P1Y", "-1s", "P-1D", "P1.5D", "7d", "P1W1D", "P99999W"} {
		if got, ok := parseDuration(text); ok {
			t.Errorf("%s = %s, and should be refused", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal), []byte("log: {level: info}"))
	f.Add([]byte(devBase), []byte("endpoints: [{id: a, enabled: false}]\n"))
	f.Add([]byte("a: &x [1]\nb: *x\n<<: {c: !!str d}\n? [k]\n: v\n"), []byte("--- {}\n--- {}\n"))
	f.Add([]byte("store: {url: 'postgres://u:p@[::1/d?sslmode=x'}\ncas: [[{}], null, {id: 1}]"), []byte("- a"))
	f.Add([]byte("profiles: [{id: p, subject: {template: [{CN: '<dns.1>'}], asserted: [{}]}}]"), []byte("~"))
	f.Add([]byte("acme: {http01: {retries: -1, intervals: []}, allow_targets: ['']}"), []byte("endpoints: [{authentication: [[x], y, []]}]"))
	f.Fuzz(func(t *testing.T, base, overlay []byte) {
		for _, dev := range []bool{false, true} {
			c, err := Parse("base", base, Options{Dev: dev})
			check(t, c, err)
			c, err = ParseOver(base, "over", overlay, Options{Dev: dev, Settings: []Setting{{"listen.https", "127.0.0.1:0", "--https"}}})
			check(t, c, err)
		}
	})
}

// check holds for whatever was parsed: a configuration or bounded problems, never both.
func check(t *testing.T, c *Config, err error) {
	t.Helper()
	if (c == nil) != (err != nil) {
		t.Fatalf("configuration %v and error %v", c, err)
	}
	if n := len(lines(t, err)); err != nil && (n == 0 || strings.Contains(err.Error(), "internal")) {
		t.Fatalf("%d problems: %v", n, err)
	}
	if c == nil {
		return
	}
	c.Digest()
	for _, e := range c.Endpoints {
		if len(e.Policies) == 0 || len(e.Policies[0]) == 0 || c.Profiles[e.Profile] == nil || !strings.HasSuffix(c.URL(&e), "/directory") {
			t.Fatalf("endpoint that must not be: %+v", e)
		}
	}
}
