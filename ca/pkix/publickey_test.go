package pkix

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

func TestPublicKey(t *testing.T) {
	spki := unhex(t, "302a300506032b6570032100 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	key := must[PublicKey](t)(ParsePublicKey(spki))
	sum := sha256.Sum256(spki[12:]) // the bits of the BIT STRING: RFC 7093 section 2, method 1
	if key.Algorithm() != "ed25519" || key.IsZero() || !bytes.Equal(key.KeyID(), sum[:20]) || key.Hash() != sha256.Sum256(spki) || !bytes.Equal(key.Raw(), spki) {
		t.Errorf("%s, key identifier %x", key.Algorithm(), key.KeyID())
	}
	if !(PublicKey{}).IsZero() {
		t.Error("no key is a key")
	}
	p224 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	other := must[PublicKey](t)(NewPublicKey(p224.Public()))
	if _, err := SignatureFor(other); err == nil || other.Algorithm() != "ecdsa-P-224" {
		t.Errorf("P-224 is %s and signs: %v", other.Algorithm(), err)
	}
	unknown := must[PublicKey](t)(ParsePublicKey(unhex(t, "300b 3004 06022a03 0303 00abcd")))
	if unknown.Parsed() != nil || unknown.Algorithm() != "1.2.3" {
		t.Errorf("an unknown algorithm is %s, parsed %v", unknown.Algorithm(), unknown.Parsed())
	}
	if err := signatureByName("Ed25519").Verify(unknown, nil, nil); err == nil {
		t.Error("a signature by an unknown algorithm verifies")
	}
	for name, bad := range map[string][]byte{
		"nothing":     nil,
		"short":       spki[:20],
		"trailing":    append(bytes.Clone(spki), 0),
		"Ed25519 cut": unhex(t, "300c 3005 06032b6570 0303 00abcd"),
		"too long":    make([]byte, maxSPKI+1),
	} {
		if _, err := ParsePublicKey(bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// The key decides the digest; every row of the table encodes and reads back.
func TestSignatureTable(t *testing.T) {
	for key, want := range map[string]string{"ecdsa-p256": "ecdsa-with-SHA256", "ecdsa-p384": "ecdsa-with-SHA384", "ecdsa-p521": "ecdsa-with-SHA512",
		"rsa-2048": "sha256WithRSAEncryption", "rsa-4096": "sha512WithRSAEncryption", "ed25519": "Ed25519"} {
		a := must[*SignatureAlgorithm](t)(SignatureFor(must[PublicKey](t)(NewPublicKey(signers()[key].Public()))))
		if a.Name != want || a.Legacy {
			t.Errorf("%s signs with %s", key, a.Name)
		}
	}
	for _, a := range signatureTable {
		if got := must[*SignatureAlgorithm](t)(parseSignatureAlgorithm(a.DER())); got != a {
			t.Errorf("%s reads back as %s", a.Name, got.Name)
		}
	}
	absent := unhex(t, "300b 06092a864886f70d01010b")
	if got := must[*SignatureAlgorithm](t)(parseSignatureAlgorithm(absent)); got.Name != "sha256WithRSAEncryption" {
		t.Errorf("without parameters: %s", got.Name)
	}
	for _, bad := range []string{"", "3000", "300c 06082a8648ce3d040302 0500", "3004 06022a03", "300d 06092a864886f70d010104 0500"} {
		if a, err := parseSignatureAlgorithm(unhex(t, bad)); err == nil {
			t.Errorf("%s gave %s", bad, a.Name)
		}
	}
}
