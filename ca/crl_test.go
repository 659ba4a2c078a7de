package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

func TestCRLScope(t *testing.T) {
	for _, at := range [][2]int{{1, 0}, {12, 0}, {1, 1}, {3, MaxCRLShards}} {
		generation, shard, ok := ParseCRLScope(CRLScope(at[0], at[1]))
		if !ok || generation != at[0] || shard != at[1] {
			t.Errorf("%v became %d, %d, %v", at, generation, shard, ok)
		}
	}
	for _, text := range []string{"", "g", "g0", "g01", "g+1", "g-1", "1", "g1-s0", "g1-s01", "g1-s", "g1-s4097", "g1-delta", "issuer-ab", "G1", "g1-s1-s2", "g99999999999999999999"} {
		if _, _, ok := ParseCRLScope(text); ok {
			t.Errorf("%q is a scope", text)
		}
	}
}

// TestShardOfSerial: the shard follows from the first four random octets, stays
// in its bounds and is the one of the facts that a certificate is decided with.
func TestShardOfSerial(t *testing.T) {
	s := Serial{0x5f, 0x01, 0xff, 0xff, 0xff, 0xff, 9}
	if got := s.Shard(16); got != 16 {
		t.Errorf("shard %d, want 1 + 0xffffffff mod 16", got)
	}
	f := &Facts{CDP: []string{"complete"}, Shards: []string{"one", "two", "three"}}
	seen := map[string]bool{}
	for range 200 {
		serial := randomSerial()
		got := f.Issuing(serial).CDP
		if want := f.Shards[serial.Until(time.Now()).Shard(3)-1]; len(got) != 1 || got[0] != want {
			t.Fatalf("serial %s has %q, want %q", serial, got, want)
		}
		seen[got[0]] = true
	}
	if len(seen) != 3 || f.CDP[0] != "complete" {
		t.Errorf("shards %v, facts %v", seen, f.CDP)
	}
	if f = (&Facts{CDP: []string{"complete"}}); f.Issuing(randomSerial()) != f {
		t.Error("facts without shards were changed")
	}
}

// TestCRLShard: the certificate itself is the record of its shard.
func TestCRLShard(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]int{"": 0, "http://pki.example/crl/a/b/g1.crl": 0, "http://pki.example/crl/a/b/g1-s7.crl": 7,
		"http://pki.example/crl/a/b/g2-s4096.crl": 4096, "http://pki.example/ca.crl": 0, "ldap://x/CN=y?certificateRevocationList": 0} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: at, NotAfter: at.AddDate(1, 0, 0), DNSNames: []string{"host.example"}}
		if url != "" {
			template.CRLDistributionPoints = []string{url}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := CRLShard(der); err != nil || got != want {
			t.Errorf("%q: shard %d, %v; want %d", url, got, err, want)
		}
	}
	if _, err := CRLShard([]byte{0x30, 0}); err == nil {
		t.Error("what is no certificate has a shard")
	}
}
