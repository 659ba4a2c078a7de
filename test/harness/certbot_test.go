package harness

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"encoding/pem"
)

// TestCertbot lets certbot talk to a server that is no ACME server: it must
// reach it (so the root is trusted), fail, and leave its traces in its own
// folders only.
func TestCertbot(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Error(w, "no directory here", http.StatusTeapot)
	}))
	defer server.Close()
	root := filepath.Join(t.TempDir(), "root.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(root, text, 0o600); err != nil {
		t.Fatal(err)
	}
	certbot := Certbot(t, root, FreePort(t))
	if out := certbot.MustRun("certificates"); !strings.Contains(out, "No certificates found") {
		t.Errorf("certificates: %s", out)
	}
	_, stderr, err := certbot.Run("certonly", "--server", server.URL, "-d", "a.test", "--agree-tos", "-m", "a@a.test")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || asked.Load() == 0 {
		t.Fatalf("certonly: %v, %d requests\n%s", err, asked.Load(), stderr)
	}
	if log := certbot.Log(); !strings.Contains(log, "no directory here") {
		t.Errorf("log:\n%s", log)
	}
	stranger := Certbot(t, "", FreePort(t))
	asked.Store(0)
	if _, _, err := stranger.Run("certonly", "--server", server.URL, "-d", "a.test", "--agree-tos", "-m", "a@a.test"); err == nil || asked.Load() != 0 {
		t.Errorf("without the root: %v, %d requests", err, asked.Load())
	}
}
