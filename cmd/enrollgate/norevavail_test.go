package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

const shortProfile = `
profiles:
  - id: short
    keys: [ecdsa-p256]
    key_usage: {bits: [digitalSignature]}
    ext_key_usage: {mode: fixed, values: [serverAuth]}
    validity: {default: P2D}
    subject: {cn_from_first_dns: true}
    subject_alt_name: {dns: {methods: [http-01]}}
    revocation: none
endpoints:
  - {id: acme-client-server, profile: short}
`

// TestNoRevAvail: a short-lived certificate goes through every check, openssl
// reads it, and whoever asks for its status all the same is told the truth.
func TestNoRevAvail(t *testing.T) {
	dir := t.TempDir()
	r := startDaemonIn(t, dir, shortProfile)
	if err := r.enroll(t.Context(), "short.localhost", true); err != nil {
		t.Fatal(err)
	}
	found, err := r.store.FindCertificates(t.Context(), &ca.Filter{Tenant: "default", CA: "issuing", Name: pkix.DNS("short.localhost"), Limit: 2})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d certificates, %v", len(found), err)
	}
	leaf := filepath.Join(dir, "leaf.pem")
	if err := os.WriteFile(leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: found[0].DER}), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	text := openssl("x509", "-in", leaf, "-noout", "-text")
	if !strings.Contains(text, "2.5.29.56") && !strings.Contains(text, "No Revocation Available") || strings.Contains(text, "OCSP") || strings.Contains(text, "CRL") {
		t.Errorf("openssl reads:\n%s", text)
	}
	chain := filepath.Join(dir, "data", "chain.pem")
	if out := openssl("verify", "-x509_strict", "-CAfile", filepath.Join(dir, "data", "root.pem"), "-untrusted", chain, leaf); !strings.Contains(out, "OK") {
		t.Error(out)
	}
	if !bytes.Contains(found[0].DER, []byte("\x30\x09\x06\x03\x55\x1d\x38\x04\x02\x05\x00")) { // SEQUENCE { 2.5.29.56, OCTET STRING { NULL } }
		t.Error("the extension is encoded otherwise")
	}

	if _, err := r.store.Revoke(t.Context(), &ca.Revocation{Tenant: "default", CA: "issuing", Serial: found[0].Serial, Reason: ca.Superseded,
		Audit: ca.Audit{Tenant: "default", Event: "certificate.revoked", Detail: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	s := &twoTenants{T: t, daemon: r.daemon, client: r.client}
	issuer := s.caCertificate("default", "issuing")
	deadline := time.Now().Add(20 * time.Second)
	for s.status(s.askByPOST("default", s.question(issuer, s.number(found[0].Serial.String()))), issuer) != ocsp.Revoked {
		if time.Now().After(deadline) {
			t.Fatal("the responder does not say that it is revoked")
		}
		time.Sleep(50 * time.Millisecond)
	}
	lists, err := r.lists.Publish(t.Context(), "default", "issuing", "test")
	if err != nil || len(lists) != 1 || lists[0].Entries != 1 {
		t.Errorf("lists %v, %v", lists, err)
	}
}
