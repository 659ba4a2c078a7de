package service

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

func freshKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestDelegate: only what the foreign CA issued for answering OCSP is taken up,
// and what is not leaves the one before in use (RFC 6960 section 4.2.2.2).
func TestDelegate(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	caKey, otherKey, key := freshKey(t), freshKey(t), freshKey(t)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: "Partner"}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	issue := func(change func(*x509.Certificate), signer, of *ecdsa.PrivateKey) []byte {
		tpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: stdpkix.Name{CommonName: "OCSP"}, NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(0, 1, 0),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}
		parent := *root
		if change != nil {
			change(tpl)
		}
		if tpl.IsCA {
			parent = *tpl
		}
		der, err := x509.CreateCertificate(rand.Reader, tpl, &parent, of.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	own := issue(func(c *x509.Certificate) { *c = *root }, caKey, caKey)
	issuer, err := pkix.ParseCertificate(own)
	if err != nil {
		t.Fatal(err)
	}
	d := &Delegate{File: filepath.Join(t.TempDir(), "ocsp.pem"), Issuer: issuer, Key: &heldKey{key: key}, Tenant: "t", Now: func() time.Time { return now }}
	put := func(kind string, der []byte) error {
		if err := os.WriteFile(d.File, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return d.Look()
	}
	if err := d.Look(); err == nil {
		t.Error("no file")
	}
	if _, err := d.Signatory(t.Context()); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("nobody signs: %v", err)
	}
	good := issue(nil, caKey, key)
	if err := put("CERTIFICATE", good); err != nil {
		t.Fatal(err)
	}
	s, err := d.Signatory(t.Context())
	if err != nil || !bytes.Equal(s.Certificates[0], good) || !d.NotAfter().Equal(now.AddDate(0, 1, 0)) {
		t.Fatalf("%+v, %v", s, err)
	}
	signature, err := s.Sign(t.Context(), []byte("answer"))
	if err != nil || s.Algorithm.Verify(issuerKey(t, good), []byte("answer"), signature) != nil {
		t.Errorf("signature: %v", err)
	}
	for want, der := range map[string][]byte{
		"the foreign CA did not issue it": issue(nil, otherKey, key),
		"not the one that is configured":  issue(nil, caKey, otherKey),
		"lacks OCSPSigning":               issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, caKey, key),
		"key usage lacks OCSPSigning":     issue(func(c *x509.Certificate) { c.ExtKeyUsage = nil }, caKey, key),
		"lacks digitalSignature":          issue(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, caKey, key),
		"it ended at":                     issue(func(c *x509.Certificate) { c.NotAfter = now }, caKey, key),
		"not a DER Certificate":           []byte("no certificate"),
	} {
		if err := put("CERTIFICATE", der); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := d.Look(); err != nil {
			t.Errorf("the same file once more: %v", err)
		}
		if still, err := d.Signatory(t.Context()); err != nil || still != s {
			t.Errorf("%s: another signatory, %v", want, err)
		}
	}
	if err := put("PRIVATE KEY", good); err == nil {
		t.Error("no certificate in the file")
	}
	now = now.AddDate(0, 1, 0)
	if _, err := d.Signatory(t.Context()); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("a certificate that has ended: %v", err)
	}
	// The CA's own certificate: it signs itself, and nothing needs to be sent along.
	d.Key, d.ByName = &heldKey{key: caKey}, true
	if err := put("CERTIFICATE", own); err != nil {
		t.Fatal(err)
	}
	if s, err := d.Signatory(t.Context()); err != nil || len(s.Certificates) != 0 || len(s.Responder.Name) == 0 {
		t.Errorf("direct: %+v, %v", s, err)
	}
}

func issuerKey(t *testing.T, der []byte) pkix.PublicKey {
	t.Helper()
	c, err := pkix.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c.Key
}
