package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTLS takes a certificate that is brought, or one that is issued.
func TestTLS(t *testing.T) {
	const brought = "  certificate: /tls.pem\n  key: file:/tls.key\n"
	for name, test := range map[string]struct {
		tls  string
		want []string // problems
		take *TLSIssue
	}{
		"brought": {tls: brought},
		"issued":  {tls: "  issue: {tenant: t, ca: c}\n  store: /tls.pem\n", take: &TLSIssue{"t", "c", []string{"pki.example"}}},
		"issued for names": {tls: "  issue: {tenant: t, ca: c, names: [a.example, '*.a.example', 192.0.2.1, '2001:DB8::1']}\n  store: /tls.pem\n",
			take: &TLSIssue{"t", "c", []string{"a.example", "*.a.example", "192.0.2.1", "2001:db8::1"}}},
		"both": {tls: brought + "  issue: {tenant: t, ca: c}\n  store: /tls.pem\n", want: []string{
			"f:8: tls.issue: the certificate is either brought (tls.certificate and tls.key) or issued by a CA of this gateway (tls.issue); remove one"}},
		"neither": {tls: "  key_password: env:P\n", want: []string{
			"f:5: tls.certificate: the key is missing: the https listeners show it; or have it issued by a CA of this gateway with tls.issue",
			"f:5: tls.key: the key is missing: it belongs to tls.certificate"}},
		"store without issue":    {tls: "  store: /tls.pem\n", want: []string{"f:5: tls.issue: the key is missing: tls.store keeps what it brings"}},
		"store of a brought one": {tls: brought + "  store: /tls.pem\n", want: []string{"f:8: tls.store: this belongs to tls.issue, and tls.certificate is brought; remove it"}},
		"issue without store":    {tls: "  issue: {tenant: t, ca: c}\n", want: []string{"f:5: tls.store: the key is missing: it keeps what tls.issue brought, so that a restart shows the same certificate"}},
		"relative store":         {tls: "  issue: {tenant: t, ca: c}\n  store: tls.pem\n", want: []string{"f:7: tls.store: the absolute path of a file is wanted here, such as /etc/enrollgate/tls.pem"}},
		"dangling": {tls: "  issue: {tenant: t, ca: d}\n  store: /tls.pem\n", want: []string{
			`f:6: tls.issue.ca: "d" does not name a CA of that tenant that is configured and enabled (allowed: c)`}},
		"bad names": {tls: "  issue: {tenant: t, ca: c, names: [A.example, a.example, a.example, 10.0.0.0/8]}\n  store: /tls.pem\n", want: []string{
			"f:6: tls.issue.names[0]: a DNS name in lower case (A-labels) or an IP address is wanted here",
			`f:6: tls.issue.names[2]: "a.example" stands here twice`,
			"f:6: tls.issue.names[3]: a DNS name in lower case (A-labels) or an IP address is wanted here"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse("f", []byte(strings.Replace(minimal, brought, test.tls, 1)), Options{})
			if diff := cmp.Diff(test.want, lines(t, err)); diff != "" {
				t.Error(diff)
			}
			if err == nil {
				if diff := cmp.Diff(test.take, c.TLS.Issue); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
