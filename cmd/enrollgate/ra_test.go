package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/test/harness"
)

// TestRA: the first start makes the registration authority through the core, and
// a second daemon on the same store opens what was encrypted to it, with the key
// sealed in the store and with one in a token.
func TestRA(t *testing.T) {
	for name, settings := range map[string]func(t *testing.T) string{
		"key in the store": func(*testing.T) string { return "" },
		"key in a token": func(t *testing.T) string {
			hsm := harness.SoftHSM(t)
			hsm.Add("status")
			hsm.Tool("status", "--keypairgen", "--key-type", "RSA:2048", "--label", "ra")
			pin := filepath.Join(t.TempDir(), "pin")
			if err := os.WriteFile(pin, []byte(harness.TokenPIN), 0o600); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("cas: [{id: issuing, ra: {key: 'pkcs11:token=status;object=ra?module-path=%s', key_password: 'file:%s'}}]\n", hsm.Module, pin)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, text := t.TempDir(), settings(t)
			a := startDaemonIn(t, dir, text)
			b := startDaemonIn(t, dir, text)
			shown, err := a.ras[0].Current(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(shown.Certificate.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := leaf.CheckSignatureFrom(parsed(t, shown.Chain[0])); err != nil || leaf.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(leaf.UnknownExtKeyUsage) != 1 {
				t.Errorf("%v, key usage %b, %v", err, leaf.KeyUsage, leaf.UnknownExtKeyUsage)
			}
			secret := []byte("0123456789abcdef")
			message, err := rsa.EncryptPKCS1v15(rand.Reader, leaf.PublicKey.(*rsa.PublicKey), secret)
			if err != nil {
				t.Fatal(err)
			}
			key, err := b.ras[0].ByRecipient(t.Context(), service.Recipient{KeyID: leaf.SubjectKeyId})
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := key.Key.Decrypt(t.Context(), ca.LaneEnrollment, "default", message, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: len(secret)}); err != nil || !bytes.Equal(plain, secret) {
				t.Errorf("the other replica: %v", err)
			}
			if days := b.scrape()[`enrollgate_certificate_days_left{kind="own",name="ra/issuing",tenant="default"}`]; !strings.HasPrefix(days, "36") {
				t.Errorf("days left: %q", days)
			}
			e := &examination{daemon: b.daemon}
			if keys, certificates, err := e.lookAtRAs(t.Context()); err != nil || len(certificates) != 1 || (len(keys) == 1) != (text != "") {
				t.Errorf("doctor: %+v, %+v, %v", keys, certificates, err)
			}
		})
	}
}

func parsed(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRALooksAhead: before the first start doctor says that there is no certificate yet.
func TestRALooksAhead(t *testing.T) {
	r := startDaemonIn(t, t.TempDir(), "cas: [{id: issuing, ra: {enabled: false}}]\nendpoints: [{id: scep-dual, enabled: false}]\n")
	if len(r.ras) != 0 {
		t.Fatal("a registration authority that is switched off")
	}
	r.cfg.CAs[0].RA.Enabled = true
	e := &examination{daemon: r.daemon}
	if _, certificates, err := e.lookAtRAs(t.Context()); err != nil || len(certificates) != 0 || len(e.Findings) != 1 || e.Failed() {
		t.Errorf("%+v, %v", e.Findings, err)
	}
}
