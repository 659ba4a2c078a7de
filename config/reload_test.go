package config

import (
	"slices"
	"strings"
	"testing"
)

// TestNeedsRestart: what is opened once needs a restart, policy does not.
func TestNeedsRestart(t *testing.T) {
	text := readExample(t)
	was, err := Parse("x", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		want     []string
	}{
		{"", "", nil},
		{`https: ":8443"`, `https: ":9999"`, []string{"listen"}},
		{"https: https://pki.example.com:8443", "https: https://other.example.com", []string{"base_url"}},
		{"key_password: file:/etc/enrollgate/tls-key.password", "key_password: file:/etc/enrollgate/other", []string{"tls"}},
		{"sqlite:///var/lib/enrollgate/enrollgate.db", "sqlite:///var/lib/enrollgate/other.db", []string{"store"}},
		{"key: file:/etc/enrollgate/seal.key", "key: env:SEAL", []string{"seal"}},
		{"key: file:/etc/enrollgate/issuing-key.pem", "key: file:/etc/enrollgate/next.pem", nil},
		{"key_password: file:/etc/enrollgate/issuing-key.password", "key_password: file:/etc/enrollgate/other", []string{"cas"}},
		{"#pkcs11:\n", "pkcs11: {sessions: 3}\n#", []string{"pkcs11"}},
		{"#foreign_cas:\n", "foreign_cas: [{id: a, tenant: default, certificate: /c, crl: {url: \"http://h/\", allow_targets: [10.0.0.0/8]}, ocsp: {certificate: /o, key: \"file:/k\"}}]\n#",
			[]string{"foreign_cas"}},
		{"socket: /run/enrollgate/enrollgate.sock", "socket: /run/enrollgate/other.sock", []string{"admin"}},
		{"certificates: P13M", "certificates: P14M", []string{"retention"}},
		{"format: json", "format: text", []string{"log.format"}},
		{"level: info", "level: debug", nil},
		{"timeout: 30s", "timeout: 20s", nil},
		{"default: P90D", "default: P30D", nil},
		{"id: acme-web", "id: acme-other", nil},
		{"name: Example Ltd", "name: Another Ltd", nil},
	} {
		changed := strings.Replace(text, c.from, c.to, 1)
		if changed == text && c.from != "" {
			t.Fatalf("%q is not in the example", c.from)
		}
		next, err := Parse("x", []byte(changed), Options{})
		if err != nil {
			t.Fatalf("%q: %v", c.to, err)
		}
		if again, err := Parse("x", []byte(changed), Options{}); err != nil || next.NeedsRestart(again) != nil {
			t.Errorf("%q: the same configuration needs a restart", c.to)
		}
		if got := was.NeedsRestart(next); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.to, got, c.want)
		}
	}
}
