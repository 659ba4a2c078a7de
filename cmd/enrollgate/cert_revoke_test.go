package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
)

// TestConfirm: nothing but a yes typed at a terminal revokes, and what is asked
// cannot steer the terminal.
func TestConfirm(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a\u202eb"}, DNSNames: []string{"a"}, NotAfter: time.Now()}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in              string
		terminal        bool
		confirmed, used bool
	}{
		{"yes\n", true, true, true}, {" yes ", true, true, true}, {"y\n", true, false, true}, {"YES\n", true, false, true}, {"\n", true, false, true},
		{"yes and more than that\n", true, false, true}, {"", true, false, false}, {"yes\n", false, false, false},
	} {
		var out bytes.Buffer
		err := confirm(&out, strings.NewReader(c.in), c.terminal, &ca.Certificate{DER: der, Tenant: "default", CA: "issuing"}, ca.Superseded)
		if (err == nil) != c.confirmed || errors.Is(err, errUsage) == c.used {
			t.Errorf("%q at a terminal (%v): %v", c.in, c.terminal, err)
		}
		if c.terminal && (!strings.Contains(out.String(), "CN=a?b") || !strings.Contains(out.String(), "superseded")) {
			t.Errorf("asked: %q", out.String())
		}
	}
}

// TestQuestion: whoever is asked reads how many certificates it is about.
func TestQuestion(t *testing.T) {
	n := admin.Count{Matched: 1204, Issued: 1200, Revoked: 3, Missing: 1}
	for reason, want := range map[ca.Reason]string{
		ca.Superseded:      "Revoke 1204 certificates, for good, reason superseded (3 of them are revoked already) (1 of them do not exist)?",
		ca.CertificateHold: "Hold 1204 certificates, until they are released (3 of them are revoked already) (1 of them do not exist)?",
		ca.RemoveFromCRL:   "Release the hold of 1204 certificates, which makes them valid again (1 of them do not exist)?",
	} {
		if got := question(verbsOf(reason), n); got != want {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
}

// TestProgress: one line that is written over, on a terminal alone.
func TestProgress(t *testing.T) {
	for shown, want := range map[bool]string{true: "\r500 of 1204 certificates, 0 failed\r1000 of 1204 certificates, 2 failed\n", false: ""} {
		var out bytes.Buffer
		p := &progress{c: console{&out, &out}, shown: shown, of: 1204}
		p.show(admin.Tally{Matched: 500})
		p.show(admin.Tally{Matched: 1000, Failed: 2})
		if p.end(); out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
}
