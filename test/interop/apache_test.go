package interop

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

type apache struct{ *harness.ApacheServer }

// TestApache runs the distribution's Apache with the documented lines for mod_md: it
// binds an account, obtains a certificate and shows it after a graceful restart. As
// the certificate was revoked meanwhile, renewal information has it renew at once.
func TestApache(t *testing.T) {
	harness.NeedPrograms(t)
	t.Parallel()
	s := start(t, boundLines)
	key := s.externalAccount(t)
	config := documented(t, "apacheconf", "DIRECTORY", s.directory(t, "privatessl-tls-server"), "/etc/apache2/root.pem", "root.pem",
		"KEYID", key.KID, "HMACKEY", key.HMAC, "host.example.com", "apache.example", "*:443", fmt.Sprintf("127.0.0.1:%d", s.tls))
	config += fmt.Sprintf(`Listen 127.0.0.1:%d
Listen 127.0.0.1:%d
MDPortMap 80:%[1]d 443:%[2]d
MDStoreDir md
MDInitialDelay 0s
LogLevel warn md:debug
`, s.port, s.tls)
	apache := apache{harness.Apache(t, s.tls, config, s.File("root.pem"))}
	operator := &operator{t, harness.Binary(t), s.flags}
	apache.obtained(t, 1)
	// Whoever asked for renewal information before would be told the same for a time.
	operator.run(0, "cert", "revoke", "--name", "dns:apache.example", "--reason", "superseded", "--yes")
	apache.Signal(t, syscall.SIGUSR1)
	first := s.shows(t, s.tls, "apache.example", nil)
	apache.obtained(t, 2)
	apache.Signal(t, syscall.SIGUSR1)
	second := s.shows(t, s.tls, "apache.example", first)
	operator.wantOperation(second, "rekey") // an order that replaces none is "enroll"
}

// obtained waits until Apache has as many certificates as that, each of which it
// shows after a graceful restart.
func (a apache) obtained(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); strings.Count(a.Logged(t), "AH10059") < n; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("Apache has not obtained %d certificates", n)
		}
	}
}
