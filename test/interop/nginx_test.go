package interop

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
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
	s := start(t, storeLines+fmt.Sprintf("base_url: {https: %q}\n", base))
	edge := newEdge(t)
	harness.Nginx(t, port, fmt.Sprintf(`server {
	listen 127.0.0.1:%d ssl;
	server_name localhost;
	ssl_certificate %q;
	ssl_certificate_key %q;
	location / {
		proxy_pass https://%s;
		proxy_http_version 1.1;
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
	return d
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
