package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/test/equality"
)

// TestSameCertificateByACMEAndEST: what two doors issue for one name under one
// profile are the same bytes, apart from serial number, dates, key and what follows
// from the key.
func TestSameCertificateByACMEAndEST(t *testing.T) {
	dir := t.TempDir()
	r := startDaemonIn(t, dir, "endpoints: [{id: acme-same, protocol: acme, tenant: default, ca: issuing, profile: est-digital-signature, authentication: [[acme-account]]}]\n")
	const name = "same.localhost"
	var directory, door string
	for i := range r.cfg.Endpoints {
		switch e := &r.cfg.Endpoints[i]; {
		case e.ID == "acme-same":
			directory = r.cfg.URL(e)
		case e.Door == caller.EST:
			door = r.cfg.URL(e)
		}
	}
	der, err := r.enrollAt(t.Context(), directory, name, true)
	if err != nil {
		t.Fatal(err)
	}
	byACME, err := pkix.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	byEST, err := pkix.ParseCertificate(r.enrollEST(dir, door, name))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(byEST.RawTBS, byACME.RawTBS) || bytes.Equal(byEST.Key.Raw(), byACME.Key.Raw()) {
		t.Fatal("the certificates are one and the same")
	}
	for _, difference := range equality.Compare(byEST, byACME) {
		t.Error(difference)
	}
}

// enrollEST posts a request for a name with the credential of the folder, and gives
// the certificate.
func (r *running) enrollEST(dir, door, name string) []byte {
	r.t.Helper()
	var have devCredentials
	text, err := os.ReadFile(filepath.Join(dir, "data", "dev-credentials.json"))
	if err == nil {
		err = json.Unmarshal(text, &have)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		r.t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(r.t.Context(), "POST", door+"/simpleenroll", bytes.NewReader(csr))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/pkcs10")
	q.SetBasicAuth(have.EST.Username, have.EST.Password)
	answer, err := r.client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		r.t.Fatalf("%d %s %v", answer.StatusCode, body, err)
	}
	der, err := base64.StdEncoding.DecodeString(string(body))
	if err != nil {
		r.t.Fatal(err)
	}
	var outer struct { // RFC 5652 sections 3 and 5.1
		Type    asn1.ObjectIdentifier
		Content struct {
			Version      int
			Digests      []asn1.RawValue `asn1:"set"`
			Content      asn1.RawValue
			Certificates asn1.RawValue   `asn1:"tag:0"`
			Signers      []asn1.RawValue `asn1:"set"`
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		r.t.Fatal(err)
	}
	return outer.Content.Certificates.Bytes
}
