package interop

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// behindNginx starts a daemon with nginx before it at layer 7: it ends TLS with a
// certificate of its own, from a CA that has nothing to do with ours, and opens
// another connection to the daemon. What clients sign is base_url.https.
func behindNginx(t *testing.T, storeLines string) *door {
	t.Helper()
	port := harness.FreePort(t)
	base := fmt.Sprintf("https://localhost:%d", port)
	s := start(t, storeLines+fmt.Sprintf("base_url: {https: %q}\nlisten: {trusted_proxies: [127.0.0.1/32]}\n", base))
	edge := newEdge(t)
	harness.Nginx(t, port, fmt.Sprintf(`server {
	listen 127.0.0.1:%d ssl;
	server_name localhost;
	ssl_certificate %q;
	ssl_certificate_key %q;
	location / {
		proxy_pass https://%s;
		proxy_http_version 1.1;
		proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		proxy_ssl_verify on;
		proxy_ssl_verify_depth 2;
		proxy_ssl_trusted_certificate %q;
		proxy_ssl_name localhost;
	}
}`, port, edge.certificate, edge.key, s.Addresses().HTTPS, s.File("root.pem")))
	d := &door{s, edge.root, s.directory(t, "privatessl-tls-server"), t.TempDir()}
	if !strings.HasPrefix(d.directory, base+"/") {
		t.Fatalf("the directory is %s, not behind %s", d.directory, base)
	}
	d.seesClient(t, base)
	return d
}

// seesClient asks through the proxy from an address of its own, pretending
// another one: the log names the former, and not the proxy.
func (d *door) seesClient(t *testing.T, base string) {
	t.Helper()
	const own = "127.0.0.2"
	roots := x509.NewCertPool()
	if root, err := os.ReadFile(d.root); err != nil || !roots.AppendCertsFromPEM(root) {
		t.Fatalf("the proxy's root: %v", err)
	}
	from := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(own)}}).DialContext}
	defer from.CloseIdleConnections()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/acme/whose/address/is", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("X-Forwarded-For", "198.51.100.1")
	resp, err := (&http.Client{Transport: from}).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var line string
	for l := range strings.Lines(d.Stderr()) {
		if strings.Contains(l, "/acme/whose/address/is") {
			line = l
		}
	}
	if !strings.Contains(line, "client="+own+" ") {
		t.Errorf("the log names another client than %s: %q", own, line)
	}
}

// edge is what a proxy shows to clients: files of a certificate for localhost.
type edge struct{ root, certificate, key string }

func newEdge(t *testing.T) edge {
	t.Helper()
	dir := t.TempDir()
	e := edge{filepath.Join(dir, "root.pem"), filepath.Join(dir, "edge.pem"), filepath.Join(dir, "edge-key.pem")}
	rootKey, key := newKey(t), newKey(t)
	now := time.Now()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Edge Root"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	sign := func(path string, template *x509.Certificate, of *ecdsa.PrivateKey) {
		der, err := x509.CreateCertificate(rand.Reader, template, root, of.Public(), rootKey)
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, path, "CERTIFICATE", der)
	}
	sign(e.root, root, rootKey)
	sign(e.certificate, leaf, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, e.key, "PRIVATE KEY", der)
	return e
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
