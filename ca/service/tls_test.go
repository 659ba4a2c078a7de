package service

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	ownpkix "github.com/enrollgate/enrollgate/ca/pkix"
)

// signer is an Enroller that issues 90 days for what was claimed.
type signer struct {
	key  *ecdsa.PrivateKey
	ca   *x509.Certificate
	now  time.Time
	made int
	fail error

	extKeyUsage bool // the certificates are an OCSP responder's
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.generation(t, "generation one")
	return s
}

// generation rolls the CA over.
func (s *signer) generation(t *testing.T, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: s.now, NotAfter: s.now.AddDate(5, 0, 0), IsCA: true,
		BasicConstraintsValid: true, SubjectKeyId: []byte(name), Subject: pkix.Name{CommonName: "CA"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.key, s.ca = key, parsed
}

// generation is a CA certificate that signs.
type generation struct {
	facts *ca.Facts
	key   *ecdsa.PrivateKey
}

func (g generation) Facts() *ca.Facts { return g.facts }

func (g generation) Sign(_ context.Context, _ ca.Lane, tbs []byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, g.key, g.facts.Signature.Digest(tbs))
}

func issuerOf(t *testing.T, cert *x509.Certificate, key *ecdsa.PrivateKey) ca.Issuer {
	t.Helper()
	parsed, err := ownpkix.ParseCertificate(cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	algorithm, err := ownpkix.SignatureFor(parsed.Key)
	if err != nil {
		t.Fatal(err)
	}
	return generation{&ca.Facts{Subject: parsed.Subject, KeyID: cert.SubjectKeyId, Key: parsed.Key, Signature: algorithm, NotAfter: parsed.NotAfter}, key}
}

// signing is the generation that signs now.
func (s *signer) signing() (ca.Issuer, error) {
	parsed, err := ownpkix.ParseCertificate(s.ca.Raw)
	if err != nil {
		return nil, err
	}
	return generation{&ca.Facts{KeyID: s.ca.SubjectKeyId, Key: parsed.Key}, s.key}, nil
}

func (s *signer) Enroll(_ context.Context, requests ...*ca.Request) []ca.Result {
	if s.fail != nil {
		return []ca.Result{{Err: s.fail}}
	}
	r := requests[0]
	s.made++
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(1 + s.made)), NotBefore: s.now, NotAfter: s.now.AddDate(0, 0, 90)}
	if s.extKeyUsage {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}
	for _, c := range r.Claims {
		if name := c.Name(); name.Kind == ownpkix.IPAddress {
			template.IPAddresses = append(template.IPAddresses, net.IP(name.Raw))
		} else {
			template.DNSNames = append(template.DNSNames, string(name.Raw))
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca, r.Possession.Key().Parsed(), s.key)
	if err != nil {
		return []ca.Result{{Err: err}}
	}
	return []ca.Result{{Certificate: &ca.Certificate{DER: der}, Chain: [][]byte{s.ca.Raw}}}
}

// own makes the service anew, as a start of the daemon does.
func (s *signer) own(file string) *TLS {
	return &TLS{Enroller: s, Endpoint: "service-tls", Tenant: "t", Names: []string{"pki.example", "192.0.2.1"}, File: file,
		Issuer: s.signing, Callers: caller.NewVerifier(caller.System), Claims: claim.NewVerifier(caller.System),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return s.now }}
}

// TestReady enrolls once and again only for a reason.
func TestReady(t *testing.T) {
	for name, test := range map[string]struct {
		between func(t *testing.T, file string, s *signer)
		change  func(*TLS)
		again   bool
	}{
		"nothing happened":              {again: false},
		"before two thirds of its life": {between: func(_ *testing.T, _ string, s *signer) { s.now = s.now.AddDate(0, 0, 59) }},
		"at two thirds of its life":     {between: func(_ *testing.T, _ string, s *signer) { s.now = s.now.AddDate(0, 0, 60) }, again: true},
		"a name more":                   {change: func(own *TLS) { own.Names = append(own.Names, "www.pki.example") }, again: true},
		"a name less":                   {change: func(own *TLS) { own.Names = own.Names[:1] }, again: true},
		"another name":                  {change: func(own *TLS) { own.Names[0] = "www.pki.example" }, again: true},
		"another generation of the CA": {change: func(own *TLS) {
			own.Issuer = func() (ca.Issuer, error) { return generation{facts: &ca.Facts{KeyID: []byte("generation two")}}, nil }
		}, again: true},
		"a file that others read": {between: func(t *testing.T, file string, _ *signer) {
			if err := os.Chmod(file, 0o640); err != nil {
				t.Fatal(err)
			}
		}, again: true},
		"a broken file": {between: func(t *testing.T, file string, _ *signer) {
			if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, file := newSigner(t), filepath.Join(t.TempDir(), "tls.pem")
			first := s.own(file)
			if err := first.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			shown, err := first.Certificate(nil)
			if err != nil || len(shown.Certificate) != 2 || shown.Leaf.VerifyHostname("192.0.2.1") != nil {
				t.Fatalf("%v, %v", shown, err)
			}
			if test.between != nil {
				test.between(t, file, s)
			}
			second := s.own(file)
			if test.change != nil {
				test.change(second)
			}
			if err := second.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			next, err := second.Certificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			if again := !bytes.Equal(next.Certificate[0], shown.Certificate[0]); again != test.again {
				t.Errorf("enrolled again: %t, want %t", again, test.again)
			}
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("file: %v, %v", info, err)
			}
		})
	}
}

// TestReadyFails shows nothing where nothing could be enrolled or kept.
func TestReadyFails(t *testing.T) {
	s := newSigner(t)
	own := s.own(filepath.Join(t.TempDir(), "missing", "tls.pem"))
	if err := own.Ready(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	s.fail = errors.New("refused")
	if err := s.own(filepath.Join(t.TempDir(), "tls.pem")).Ready(t.Context()); !errors.Is(err, s.fail) {
		t.Errorf("no certificate: %v", err)
	}
	if c, err := own.Certificate(nil); err == nil {
		t.Errorf("shows %v", c)
	}
}

// When its CA is rolled over the certificate is enrolled anew without a restart,
// and a look that fails takes nothing away.
func TestTLSRollsOver(t *testing.T) {
	s := newSigner(t)
	own := s.own(filepath.Join(t.TempDir(), "tls.pem"))
	if err := own.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := own.keeper()
	if k.look(t.Context()); s.made != 1 {
		t.Errorf("enrolled %d times without a reason", s.made)
	}
	s.generation(t, "generation two")
	s.fail = errors.New("refused")
	k.look(t.Context())
	if shown, err := own.Certificate(nil); err != nil || shown.Leaf.CheckSignatureFrom(s.ca) == nil {
		t.Errorf("a renewal that failed: %v", err)
	}
	s.fail = nil
	for range 2 {
		k.look(t.Context())
	}
	if shown, err := own.Certificate(nil); err != nil || shown.Leaf.CheckSignatureFrom(s.ca) != nil || s.made != 2 {
		t.Errorf("after the rollover: %v, enrolled %d times", err, s.made)
	}
}
