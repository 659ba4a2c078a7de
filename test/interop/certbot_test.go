package interop

import (
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestCertbot registers, obtains and renews over http-01 with an unmodified
// certbot, on each store.
func TestCertbot(t *testing.T) {
	harness.NeedPrograms(t)
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			s := start(t, lines(t))
			certbot := harness.Certbot(t, s.File("root.pem"), s.port)
			server := s.directory(t, "privatessl-tls-server")
			certbot.MustRun("register", "--server", server, "--agree-tos", "-m", "ops@host.example", "--no-eff-email")
			certbot.MustRun("certonly", "--server", server, "-d", "host.example", "-d", "www.host.example", "--cert-name", "host")
			first := s.verify(t, certbot)
			for _, want := range []string{"DNS:host.example, DNS:www.host.example", "TLS Web Server Authentication", "CN = host.example", "CA Issuers - URI:http://"} {
				if !strings.Contains(first, want) {
					t.Errorf("the certificate lacks %q:\n%s", want, first)
				}
			}
			certbot.MustRun("renew", "--force-renewal", "--no-random-sleep-on-renew")
			if second := s.verify(t, certbot); serial(second) == serial(first) {
				t.Error("renewal gave the same certificate")
			}
		})
	}
}

// verify holds certbot's certificate against the root and prints it.
func (s *site) verify(t *testing.T, certbot *harness.CertbotClient) string {
	t.Helper()
	openssl(t, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", s.File("root.pem"),
		"-untrusted", certbot.Live("host", "chain.pem"), certbot.Live("host", "cert.pem"))
	return openssl(t, "x509", "-noout", "-text", "-in", certbot.Live("host", "cert.pem"))
}

func serial(text string) string {
	_, rest, _ := strings.Cut(text, "Serial Number:")
	line, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	return line
}
