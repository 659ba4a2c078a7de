package interop

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
)

// acmezClient is acmez, which Caddy and others have inside.
type acmezClient struct {
	door    *door
	client  acmez.Client
	account acme.Account
	key     map[string]*ecdsa.PrivateKey   // by method
	leaf    map[string][]*x509.Certificate // by method, the newest last
}

func newAcmez(t *testing.T, d *door) *acmezClient {
	c := acmezWithoutAccount(t, d)
	var err error
	if c.account, err = c.client.NewAccount(t.Context(), acme.Account{TermsOfServiceAgreed: true, PrivateKey: newKey(t)}); err != nil {
		t.Fatal(err)
	}
	return c
}

func acmezWithoutAccount(t *testing.T, d *door) *acmezClient {
	return &acmezClient{door: d, key: map[string]*ecdsa.PrivateKey{}, leaf: map[string][]*x509.Certificate{}, client: acmez.Client{
		Client: &acme.Client{Directory: d.directory, HTTPClient: trusting(t, d.root), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}}}
}

func (c *acmezClient) obtain(t *testing.T, method string, names ...string) product {
	t.Helper()
	c.key[method] = newKey(t)
	return c.order(t, method, names, nil)
}

// renew keeps the key and says what is replaced (RFC 9773 section 5).
func (c *acmezClient) renew(t *testing.T, p product) product {
	t.Helper()
	all := c.leaf[p.method]
	return c.order(t, p.method, p.names, func(q *acmez.OrderParameters) { q.Replaces = all[len(all)-1] })
}

func (c *acmezClient) order(t *testing.T, method string, names []string, with func(*acmez.OrderParameters)) product {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	csr, err := acmez.NewCSR(c.key[method], names)
	if err != nil {
		t.Fatal(err)
	}
	q, err := acmez.OrderParametersFromCSR(c.account, csr)
	if err != nil {
		t.Fatal(err)
	}
	if with != nil {
		with(&q)
	}
	solver, stop := c.solver(t, method)
	defer stop()
	c.client.ChallengeSolvers = map[string]acmez.Solver{method: solver}
	chains, err := c.client.ObtainCertificate(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(chains[0].ChainPEM)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c.leaf[method] = append(c.leaf[method], leaf)
	der, err := x509.MarshalPKCS8PrivateKey(c.key[method])
	if err != nil {
		t.Fatal(err)
	}
	return written(t, product{method: method, names: names}, chains[0].ChainPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (c *acmezClient) revoke(t *testing.T, p product, signer signer, why reason) {
	t.Helper()
	account, key := c.account, crypto.Signer(nil)
	if signer == byCertificate {
		account, key = acme.Account{}, c.key[p.method]
	}
	all := c.leaf[p.method]
	if err := c.client.RevokeCertificate(t.Context(), account, all[len(all)-1], key, why.code); err != nil {
		t.Fatal(err)
	}
}

// solver answers challenges of one type until stop is called.
func (c *acmezClient) solver(t *testing.T, method string) (solver acmez.Solver, stop func()) {
	t.Helper()
	switch method {
	case "dns-01":
		return acmezZone{c.door.zone}, func() {}
	case "tls-alpn-01":
		s := &acmezTLS{certificates: map[string]*tls.Certificate{}}
		return s, s.listen(t, c.door.tls)
	}
	responder := &http01{}
	stop = responder.listen(t, c.door.port)
	return acmezHTTP{responder}, stop
}

// acmezZone puts TXT records into the test's DNS.
type acmezZone struct{ zone *zone }

func (z acmezZone) Present(_ context.Context, c acme.Challenge) error {
	z.zone.add(c.DNS01TXTRecordName(), c.DNS01KeyAuthorization())
	return nil
}

func (z acmezZone) CleanUp(_ context.Context, c acme.Challenge) error {
	z.zone.remove(c.DNS01TXTRecordName(), c.DNS01KeyAuthorization())
	return nil
}

type acmezHTTP struct{ *http01 }

func (h acmezHTTP) Present(_ context.Context, c acme.Challenge) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[c.HTTP01ResourcePath()] = c.KeyAuthorization
	return nil
}

func (h acmezHTTP) CleanUp(_ context.Context, c acme.Challenge) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.answers, c.HTTP01ResourcePath())
	return nil
}

// acmezTLS shows the certificates that acmez makes for challenges.
type acmezTLS struct {
	mu           sync.Mutex
	certificates map[string]*tls.Certificate // by server name
}

// serverName is what a challenge is asked by: an address by its name in reverse DNS
// (RFC 8738 section 6).
func serverName(c acme.Challenge) string {
	if reverse, err := dns.ReverseAddr(c.Identifier.Value); err == nil {
		return strings.TrimSuffix(reverse, ".")
	}
	return c.Identifier.Value
}

func (s *acmezTLS) Present(_ context.Context, c acme.Challenge) error {
	certificate, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificates[serverName(c)] = certificate
	return nil
}

func (s *acmezTLS) CleanUp(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.certificates, serverName(c))
	return nil
}

func (s *acmezTLS) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if certificate := s.certificates[hello.ServerName]; certificate != nil {
		return certificate, nil
	}
	return nil, fmt.Errorf("no challenge for %q", hello.ServerName)
}

func (s *acmezTLS) listen(t *testing.T, port int) (stop func()) {
	t.Helper()
	l, err := tls.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{GetCertificate: s.certificate, NextProtos: []string{acmez.ACMETLS1Protocol}})
	if err != nil {
		t.Fatal(err)
	}
	// net/http closes the connection once the handshake has shown the certificate.
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){acmez.ACMETLS1Protocol: func(*http.Server, *tls.Conn, http.Handler) {}}}
	go server.Serve(l)
	return func() { server.Close() }
}
