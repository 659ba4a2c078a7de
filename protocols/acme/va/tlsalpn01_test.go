package va

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

// alpnServer answers TLS connections on 127.0.0.1 with a certificate and tells
// which server names it was asked for.
func alpnServer(t *testing.T, config *tls.Config) (uint16, <-chan string) {
	t.Helper()
	asked := make(chan string, 8)
	give := config.Certificates
	config.Certificates = nil
	config.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked <- h.ServerName
		return &give[0], nil
	}
	return answering(t, func(conn net.Conn) {
		tls.Server(conn, config).Handshake() // what the other side makes of it is the test's question
		io.Copy(io.Discard, conn)            // until it leaves
	}), asked
}

// challengeTemplate is a certificate as RFC 8737 section 3 wants it.
func challengeTemplate(keyAuthorization string) *x509.Certificate {
	digest := sha256.Sum256([]byte(keyAuthorization))
	return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: secret}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames:        []string{"Host.Localhost"},
		ExtraExtensions: []pkix.Extension{{Id: oidACMEIdentifier, Critical: true, Value: append([]byte{4, 32}, digest[:]...)}}}
}

func certificateOf(t *testing.T, template *x509.Certificate, parent ...*x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent = append(parent, template)
	signer := key
	if len(parent) > 1 {
		if signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent[0], key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func alpnValidator(t *testing.T, port uint16, servers ...string) TLSALPN01 {
	t.Helper()
	return TLSALPN01{Dialer: validator(t, port, servers...).Dialer, Port: port}
}

func TestTLSALPN01(t *testing.T) {
	good := challengeTemplate(keyAuth)
	forAddress := challengeTemplate(keyAuth)
	forAddress.DNSNames, forAddress.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
	for _, c := range []struct {
		identifier, serverName string
		template               *x509.Certificate
	}{
		{"host.localhost", "host.localhost", good},
		{"127.0.0.1", "1.0.0.127.in-addr.arpa", forAddress}, // RFC 8738 section 6
	} {
		port, asked := alpnServer(t, &tls.Config{Certificates: []tls.Certificate{certificateOf(t, c.template)}, NextProtos: []string{"h2", acmeTLS1}})
		record, err := alpnValidator(t, port).Validate(t.Context(), Question{Identifier: c.identifier, Token: token, KeyAuthorization: keyAuth})
		if err != nil {
			t.Errorf("%s: %v", c.identifier, err)
			continue
		}
		if name := <-asked; name != c.serverName || record.TLS.ServerName != name || len(record.TLS.Certificate) != 32 || record.TLS.Path.Used.String() != "127.0.0.1" {
			t.Errorf("%s: asked for %q; record %+v", c.identifier, name, record.TLS)
		}
	}
	if _, name, serverName, ok := tlsTarget("2001:DB8::1"); !ok || name.String() != "ip:2001:db8::1" ||
		serverName != "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" {
		t.Errorf("the server name of an IPv6 address is %q", serverName)
	}
}

// TestTLSALPN01Refused: each certificate misses one thing that RFC 8737 section 3 asks for.
func TestTLSALPN01Refused(t *testing.T) {
	change := func(f func(c *x509.Certificate)) *x509.Certificate {
		c := challengeTemplate(keyAuth)
		f(c)
		return c
	}
	other := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "another"}}
	otherName, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("host.localhost")},
		{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{42, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		template *x509.Certificate
		parent   []*x509.Certificate
		protos   []string
		kind     string
		text     string
	}{
		"no protocol":      {template: challengeTemplate(keyAuth), kind: TypeTLS, text: "did not choose the protocol acme-tls/1"},
		"another protocol": {template: challengeTemplate(keyAuth), protos: []string{"h2"}, kind: TypeTLS, text: "did not agree"},
		"signed by another": {template: challengeTemplate(keyAuth), parent: []*x509.Certificate{other},
			text: "not self-signed"},
		"another name":  {template: change(func(c *x509.Certificate) { c.DNSNames = []string{"other.localhost"} }), text: "another name"},
		"two names":     {template: change(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "other.localhost") }), text: "exactly one"},
		"no name":       {template: change(func(c *x509.Certificate) { c.DNSNames = nil }), text: "exactly one"},
		"also an email": {template: change(func(c *x509.Certificate) { c.EmailAddresses = []string{"a@host.localhost"} }), text: "exactly one"},
		"a name that crypto/x509 drops": {template: change(func(c *x509.Certificate) {
			c.DNSNames, c.ExtraExtensions = nil, append(c.ExtraExtensions, pkix.Extension{Id: oidSubjectAltName, Value: otherName})
		}), text: "exactly one"},
		"an address": {template: change(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)} }), text: "another name"},
		"no proof":   {template: change(func(c *x509.Certificate) { c.ExtraExtensions = nil }), text: "without the acmeIdentifier"},
		"not critical": {template: change(func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false }),
			text: "not critical"},
		"another key's proof": {template: challengeTemplate(token + ".other"), text: "not the digest"},
		"proof with more": {template: change(func(c *x509.Certificate) {
			c.ExtraExtensions[0].Value = append(c.ExtraExtensions[0].Value, 0)
		}), text: "not the digest"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.kind == "" {
				c.kind, c.protos = TypeUnauthorized, []string{acmeTLS1}
			}
			port, _ := alpnServer(t, &tls.Config{Certificates: []tls.Certificate{certificateOf(t, c.template, c.parent...)}, NextProtos: c.protos})
			_, err := alpnValidator(t, port).Validate(t.Context(), Question{Identifier: "host.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, c.kind, c.text, true)
		})
	}
}

// TestTLSALPN01Targets: no address is dialed that http-01 would not dial, named
// or literal, and a server that says nothing is left.
func TestTLSALPN01Targets(t *testing.T) {
	var records []string
	for i, c := range inside {
		records = append(records, "n"+string(rune('a'+i%26))+string(rune('a'+i/26))+".example. 1 IN "+c.record+" "+c.address)
	}
	v := alpnValidator(t, 1, dnstest.New(t, records...).Addr)
	for i, c := range inside {
		name := "n" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example"
		_, err := v.Validate(t.Context(), Question{Identifier: name, Token: token, KeyAuthorization: keyAuth})
		wantProblem(t, err, TypeConnection, c.why, false)
		_, err = v.Validate(t.Context(), Question{Identifier: c.address, Token: token, KeyAuthorization: keyAuth})
		wantProblem(t, err, TypeConnection, c.why, false)
	}
	for _, identifier := range []string{"", "a b", "fe80::1%lo", "127.1", "*.host.localhost"} {
		_, err := v.Validate(t.Context(), Question{Identifier: identifier, Token: token, KeyAuthorization: keyAuth})
		wantProblem(t, err, TypeMalformed, "identifier", false)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := alpnValidator(t, portOf(l))
	silent.Timeout = 50 * time.Millisecond
	_, err = silent.Validate(t.Context(), Question{Identifier: "127.0.0.1", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeConnection, "in time", true)
	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, secret) })
	_, err = alpnValidator(t, plain).Validate(t.Context(), Question{Identifier: "host.localhost", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeTLS, "did not agree", true)
}

// TestHTTP01Address: an address is asked with itself as the host, and may be
// redirected to itself and to names, not to other addresses (RFC 8738 section 4).
func TestHTTP01Address(t *testing.T) {
	var host, location string
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		host = r.Host
		if r.URL.Path == path && location != "" {
			http.Redirect(w, r, location, http.StatusFound)
			return
		}
		io.WriteString(w, keyAuth)
	})
	v := validator(t, port)
	for _, to := range []string{"", "/elsewhere", "http://" + netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String() + "/elsewhere"} {
		location = to
		if _, err := v.Validate(t.Context(), Question{Identifier: "127.0.0.1", Token: token, KeyAuthorization: keyAuth}); err != nil || host != netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String() {
			t.Errorf("redirected to %q, asked for host %q: %v", to, host, err)
		}
	}
	location = "http://127.0.0.2/x"
	_, err := v.Validate(t.Context(), Question{Identifier: "127.0.0.1", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeConnection, "not a DNS name", false)
	first, problem := v.first("2001:DB8::1", token)
	if problem != nil || first.host != "2001:db8::1" || first.url.Hostname() != "2001:db8::1" || newTarget("http", first.host, 80, first.url).url.Host != "[2001:db8::1]" {
		t.Errorf("an IPv6 address is asked as %q: %v", first.url, problem)
	}
}
