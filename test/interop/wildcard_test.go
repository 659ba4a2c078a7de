package interop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// txtHooks gives the arguments that make certbot prove names by dns-01: scripts
// that set and remove TXT records in the test's DNS, as a provider's API would.
func (s *site) txtHooks(t *testing.T) []string {
	t.Helper()
	zone := &zone{site: s, texts: map[string][]string{}}
	api := httptest.NewServer(zone)
	t.Cleanup(api.Close)
	dir := t.TempDir()
	script := func(verb string) string {
		path := filepath.Join(dir, verb)
		text := fmt.Sprintf("#!/bin/sh\nexec curl -fsS --noproxy '*' --data-urlencode \"name=_acme-challenge.$CERTBOT_DOMAIN\" --data-urlencode \"value=$CERTBOT_VALIDATION\" %s/%s\n", api.URL, verb)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return []string{"--manual", "--preferred-challenges", "dns", "--manual-auth-hook", script("add"), "--manual-cleanup-hook", script("remove")}
}

// zone keeps TXT records, several to a name.
type zone struct {
	site  *site
	mu    sync.Mutex
	texts map[string][]string
}

func (z *zone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name, value := r.PostFormValue("name"), r.PostFormValue("value")
	var kept []string
	for _, v := range z.texts[name] {
		if v != value {
			kept = append(kept, v)
		}
	}
	switch {
	case name == "" || value == "":
		http.Error(w, "name and value are wanted", http.StatusBadRequest)
		return
	case r.URL.Path == "/add":
		kept = append(kept, value)
	case r.URL.Path != "/remove":
		http.NotFound(w, r)
		return
	}
	z.texts[name] = kept
	z.site.dns.SetTXT(name, kept...)
}

// TestCertbotWildcard obtains, renews and revokes a wildcard with an unmodified
// certbot over dns-01, on each store. The base name is in the same order, so two
// TXT records stand under one name.
func TestCertbotWildcard(t *testing.T) {
	harness.NeedPrograms(t)
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			s := start(t, lines(t))
			certbot := harness.Certbot(t, s.File("root.pem"), s.port)
			server := s.directory(t, "privatessl-tls-server")
			hooks := s.txtHooks(t)
			obtain := append([]string{"certonly", "--server", server, "--agree-tos", "--register-unsafely-without-email",
				"-d", "*.host.example", "-d", "host.example", "--cert-name", "host"}, hooks...)
			certbot.MustRun(obtain...)
			first := s.verify(t, certbot)
			for _, want := range []string{"DNS:*.host.example, DNS:host.example", "CN = *.host.example"} {
				if !strings.Contains(first, want) {
					t.Errorf("the certificate lacks %q:\n%s", want, first)
				}
			}
			if n := s.dns.Queries("host.example", "A"); n != 0 {
				t.Errorf("dns-01 asked for the host's address %d times", n)
			}
			certbot.MustRun(append([]string{"renew", "--force-renewal", "--no-random-sleep-on-renew"}, hooks...)...)
			second := s.verify(t, certbot)
			if serial(second) == serial(first) {
				t.Error("renewal gave the same certificate")
			}

			revoke := []string{"revoke", "--server", server, "--cert-path", certbot.Live("host", "cert.pem"), "--no-delete-after-revoke"}
			certbot.MustRun(append(revoke, "--reason", "superseded")...)
			s.wantRevoked(t, second, "superseded", "acme-account:")
			// This certbot stumbles over the error itself, so its log is asked what came.
			if _, _, err := certbot.Run(revoke...); err == nil || !strings.Contains(certbot.Log(), "urn:ietf:params:acme:error:alreadyRevoked") {
				t.Errorf("revoked twice: %v", err)
			}

			certbot.MustRun(append(obtain, "--force-renewal")...)
			third := s.verify(t, certbot)
			byKey := append(revoke, "--key-path", certbot.Live("host", "privkey.pem"), "--reason", "keycompromise")
			certbot.MustRun(byKey...)
			s.wantRevoked(t, third, "keyCompromise", "certificate-key:")
		})
	}
}

// wantRevoked looks for the revocation of a printed certificate in the daemon's log.
func (s *site) wantRevoked(t *testing.T, printed, reason, by string) {
	t.Helper()
	number := strings.ReplaceAll(serial(printed), ":", "")
	for line := range strings.Lines(s.Stderr()) {
		if strings.Contains(line, "certificate.revoked") && strings.Contains(line, number) {
			if !strings.Contains(line, "reason="+reason) || !strings.Contains(line, by) {
				t.Errorf("want reason %s by %s...: %s", reason, by, line)
			}
			return
		}
	}
	t.Errorf("no revocation of %s in the log", number)
}
