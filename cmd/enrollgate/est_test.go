package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestESTListener: the est listener asks for client certificates and takes one of
// nobody's, gives no session tickets and speaks HTTP/1.1 alone; the https listener
// never asks. Each answers 421 on the other's paths.
func TestESTListener(t *testing.T) {
	r := startDaemon(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cache := tls.NewLRUClientSessionCache(8)
	for name, want := range map[string]struct {
		asks     bool
		protocol string
		path     string // of the other listener
	}{"est": {true, "http/1.1", "/acme/default/issuing/privatessl-tls-server/directory"},
		"https": {false, "h2", "/.well-known/est/default/issuing/est-digital-signature/cacerts"}} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			asked := false
			config := r.client.Transport.(*http.Transport).TLSClientConfig.Clone()
			config.MinVersion, config.MaxVersion, config.ServerName, config.NextProtos = version, version, "localhost", []string{"h2", "http/1.1"}
			if name == "est" {
				config.ClientSessionCache = cache
			}
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
			}
			for range 2 {
				c, err := tls.Dial("tcp", r.sockets[name].Addr().String(), config)
				if err != nil {
					t.Fatal(err)
				}
				state := c.ConnectionState()
				if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")); err != nil {
					t.Fatal(err)
				}
				_, _ = c.Read(make([]byte, 1)) // takes in whatever tickets come; h2 answers with an error
				c.Close()
				if asked != want.asks || state.NegotiatedProtocol != want.protocol || name == "est" && state.DidResume {
					t.Errorf("%s, %s: asked %v, %q, resumed %v", name, tls.VersionName(version), asked, state.NegotiatedProtocol, state.DidResume)
				}
			}
		}
		base := map[string]string{"est": r.cfg.BaseURL.EST, "https": r.cfg.BaseURL.HTTPS}[name]
		answer, err := r.client.Get(base + want.path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %s: %d", name, want.path, answer.StatusCode)
		}
	}
}

// TestDeviceRoots: files of roots are read when a policy is put in force, and a bad
// one keeps the policy from it.
func TestDeviceRoots(t *testing.T) {
	r := startDaemon(t)
	file := filepath.Join(t.TempDir(), "roots.pem")
	issuer, err := r.issuers.Issuer(devTenant, devCA)
	if err != nil {
		t.Fatal(err)
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Facts().Root})
	own, err := r.tls.Certificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ text, want string }{
		"good":        {string(root) + "text between\n" + string(root), ""},
		"empty":       {"", "no certificate"},
		"not a CA's":  {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})), "not a CA's"},
		"no cert":     {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), "x509"},
		"without end": {strings.Repeat("x", maxRootsFile+1), "longer than"},
	} {
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := deviceRoots([]string{file})
		if test.want == "" && (err != nil || len(all) != 2) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %d, %v", name, len(all), err)
		}
	}
	if _, err := deviceRoots([]string{file + "x"}); err == nil {
		t.Error("a file that is not there")
	}
}
