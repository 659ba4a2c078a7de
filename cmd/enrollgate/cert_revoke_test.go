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
