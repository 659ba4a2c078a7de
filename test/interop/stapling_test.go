package interop

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestNginxStaples: nginx finds our responder in its certificate, asks it and
// staples the answer; once the certificate is revoked it has nothing to staple
// and says why. nginx keeps an answer for up to an hour: it is started again.
func TestNginxStaples(t *testing.T) {
	harness.NeedPrograms(t)
	s := start(t, "")
	key := newKey(t)
	leaf := s.enrollKey(t, key, "host.example")[0]
	n := &stapling{dir: t.TempDir(), port: harness.FreePort(t), root: s.File("root.pem")}
	n.write(t, "chain.pem", append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), read(t, s.File("chain.pem"))...))
	n.write(t, "trusted.pem", []byte(read(t, s.File("chain.pem"))+read(t, n.root)))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	n.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	t.Run("good", func(t *testing.T) {
		n.start(t)
		out := n.until(t, func(out string) bool { return strings.Contains(out, "OCSP Response Status: successful") })
		for _, want := range []string{"Cert Status: good", "Verify return code: 0 (ok)", strings.ToUpper(hexOf(leaf))} {
			if !strings.Contains(out, want) {
				t.Errorf("s_client lacks %q:\n%s", want, out)
			}
		}
	})
	operatorOf(t, s, "").run(0, "cert", "revoke", hexOf(leaf), "--reason", "superseded", "--yes")
	newAsker(t, s).revokedSoon(leaf)
	t.Run("revoked", func(t *testing.T) {
		n.start(t)
		n.until(t, func(string) bool {
			return strings.Contains(n.log(), `certificate status "revoked" in the OCSP response`)
		})
		if out := n.connect(t); !strings.Contains(out, "OCSP response: no response sent") {
			t.Errorf("nginx staples for a revoked certificate:\n%s", out)
		}
	})
}

type stapling struct {
	dir, root string
	port      int
	log       func() string
}

func (n *stapling) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs nginx until the end of the test.
func (n *stapling) start(t *testing.T) {
	t.Helper()
	n.log = harness.Nginx(t, n.port, fmt.Sprintf(`server {
	listen 127.0.0.1:%[1]d ssl;
	server_name host.example;
	ssl_certificate "%[2]s/chain.pem";
	ssl_certificate_key "%[2]s/key.pem";
	ssl_stapling on;
	ssl_stapling_verify on;
	ssl_trusted_certificate "%[2]s/trusted.pem";
	location / { return 204; }
}`, n.port, n.dir))
}

// until connects again until what came of it is good: nginx asks the responder
// when the first client comes.
func (n *stapling) until(t *testing.T, good func(out string) bool) (out string) {
	t.Helper()
	for range 300 { // 30 s, reached only where it never comes
		if out = n.connect(t); good(out) {
			return out
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("it never came:\n%s\nnginx:\n%s", out, n.log())
	return ""
}

// connect asks for a stapled answer with openssl.
func (n *stapling) connect(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("openssl", "s_client", "-connect", fmt.Sprintf("127.0.0.1:%d", n.port), "-servername", "host.example", "-status",
		"-CAfile", n.root, "-verify_return_error").CombinedOutput()
	if err != nil {
		t.Fatalf("openssl s_client: %v\n%s", err, out)
	}
	return string(out)
}
