package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestTwoReplicas runs two daemons over one Postgres and has both finalize the
// same order at the same moment: one certificate, and both get it.
func TestTwoReplicas(t *testing.T) {
	harness.NeedPrograms(t)
	lines := postgresLines(t) + "base_url: {https: \"https://acme.test\"}\n"
	a := start(t, lines)
	second := t.TempDir()
	for _, d := range []string{"secrets", "keys"} {
		if err := os.CopyFS(filepath.Join(second, d), os.DirFS(a.File(d))); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{second, filepath.Join(second, "secrets"), filepath.Join(second, "keys")} {
		private(t, d)
	}
	b := start(t, lines, "--data", second)

	responder := &http01{}
	responder.listen(t, a.port)
	directory := "https://acme.test/acme/default/issuing/privatessl-tls-server/directory"
	key := newKey(t)
	one := &acme.Client{Key: key, DirectoryURL: directory, HTTPClient: clientOf(t, a)}
	two := &acme.Client{Key: key, DirectoryURL: directory, HTTPClient: clientOf(t, b)}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if _, err := one.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		name := fmt.Sprintf("host%d.example", round)
		order := responder.ready(t, ctx, one, name)
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, newKey(t))
		if err != nil {
			t.Fatal(err)
		}
		var chains [2][][]byte
		var errs [2]error
		var both sync.WaitGroup
		for i, c := range []*acme.Client{one, two} {
			both.Go(func() { chains[i], _, errs[i] = c.CreateOrderCert(ctx, order.FinalizeURL, csr, true) })
		}
		both.Wait()
		if errs[0] != nil || errs[1] != nil {
			t.Fatalf("finalize: %v; %v", errs[0], errs[1])
		}
		if !bytes.Equal(chains[0][0], chains[1][0]) {
			t.Fatalf("two certificates for one order:\n%x\n%x", chains[0][0], chains[1][0])
		}
	}
}

// private takes the rights of others away that a copy may have given.
func private(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		mode := os.FileMode(0o600)
		if e.IsDir() {
			mode = 0o700
		}
		if err := os.Chmod(filepath.Join(dir, e.Name()), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// clientOf talks to one replica, whatever host the URL names.
func clientOf(t *testing.T, s *site) *http.Client {
	t.Helper()
	root, err := os.ReadFile(s.File("root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	block, _ := pem.Decode(root)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	address := s.Addresses().HTTPS
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// http01 answers challenges.
type http01 struct {
	mu      sync.Mutex
	answers map[string]string
}

func (h *http01) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if text, ok := h.answers[r.URL.Path]; ok {
		w.Write([]byte(text))
		return
	}
	http.NotFound(w, r)
}

// listen answers until the end of the test, or until stop is called.
func (h *http01) listen(t *testing.T, port int) (stop func()) {
	t.Helper()
	h.answers = map[string]string{}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(l)
	stop = func() { s.Close() }
	t.Cleanup(stop)
	return stop
}

// ready takes one name up to an order that can be finalized.
func (h *http01) ready(t *testing.T, ctx context.Context, c *acme.Client, name string) *acme.Order {
	t.Helper()
	order, err := c.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		t.Fatal(err)
	}
	z, err := c.GetAuthorization(ctx, order.AuthzURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	challenge := z.Challenges[0]
	text, err := c.HTTP01ChallengeResponse(challenge.Token)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	h.answers[c.HTTP01ChallengePath(challenge.Token)] = text
	h.mu.Unlock()
	if _, err := c.Accept(ctx, challenge); err != nil {
		t.Fatal(err)
	}
	if order, err = c.WaitOrder(ctx, order.URI); err != nil {
		t.Fatal(err)
	}
	return order
}
