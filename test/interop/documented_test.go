package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// documented is the one block of docs/acme.md in a language; see documentedIn.
func documented(t *testing.T, language string, oldnew ...string) string {
	t.Helper()
	return documentedIn(t, "acme.md", language, oldnew...)
}

// documentedIn is the one block of a page of docs in a language, with the example's
// words replaced. Each word must be there.
func documentedIn(t *testing.T, name, language string, oldnew ...string) string {
	t.Helper()
	page := read(t, filepath.Join(harness.ModuleRoot(t), "docs", name))
	_, rest, found := strings.Cut(page, "\n```"+language+"\n")
	block, _, ended := strings.Cut(rest, "\n```")
	if !found || !ended || strings.Contains(rest, "\n```"+language+"\n") {
		t.Fatalf("docs/%s has not one block of %s", name, language)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(block, oldnew[i]) {
			t.Errorf("the %s of docs/%s lacks %q", language, name, oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(block) + "\n"
}

// boundLines make accounts of one directory want an external account binding.
const boundLines = "endpoints: [{id: acme-server, authentication: [[acme-account, eab]]}]\n"

// shows waits until a server on loopback shows a certificate for a name, chained to
// the site's root, that is not the one before.
func (s *site) shows(t *testing.T, port int, name string, before *x509.Certificate) *x509.Certificate {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, s.File("root.pem"))))
	var err error
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var conn *tls.Conn
		if conn, err = tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: pool, ServerName: name}); err != nil {
			continue
		}
		leaf := conn.ConnectionState().PeerCertificates[0]
		conn.Close()
		if before == nil || leaf.SerialNumber.Cmp(before.SerialNumber) != 0 {
			return leaf
		}
	}
	t.Fatalf("no new certificate for %s: %v", name, err)
	return nil
}
