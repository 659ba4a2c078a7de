//go:build cgo

package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11"
	"github.com/enrollgate/enrollgate/test/harness"
)

// An RSA key in a token signs and opens as one in a file does, and its failures
// look the same (invariant 10).
func TestKeyInToken(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	ring := keys.NewRing(pkcs11.With(pkcs11.New(pkcs11.Options{Modules: []string{hsm.Module}})))
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	pin := keys.LiteralSecret(harness.TokenPIN)
	if err := ring.Generate(t.Context(), "pkcs11:object=ra", "rsa-2048", pin); err != nil {
		t.Fatal(err)
	}
	key := must[keys.Signer](t)(ring.Open(t.Context(), "pkcs11:object=ra", pin))
	signer := keys.Standard(key, ca.LaneEnrollment, "a", time.Minute)
	template := &x509.Certificate{SerialNumber: big.NewInt(5), Subject: stdpkix.Name{CommonName: "RA"}, NotAfter: time.Now().Add(time.Hour)}
	cert := must[Certificate](t)(ReadCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), signer))))
	ra := RSAKey{cert, keys.StandardDecrypter(t.Context(), key.(keys.Decrypter), ca.LaneEnrollment, "a", time.Minute)}

	signed := must[[]byte](t)(Sign(OIDData, []byte("content"), nil, nil, Signer{Key: signer, Certificate: cert, PlainRSA: true}))
	s := must[*SignedData](t)(ReadSigned(signed, Limits{}))
	if err := s.Verify(&s.Signers[0], cert.Key.Parsed(), Floor{}); err != nil {
		t.Error(err)
	}
	for name, oaep := range map[string]crypto.Hash{"v1.5": 0, "oaep": crypto.SHA1} { // SoftHSM has no other
		der := must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES256GCM, Floor{}, KeyTransport{Certificate: cert, OAEP: oaep}))
		e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
		if got, err := e.Decrypt(Floor{}, ra); err != nil || string(got) != "content" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for what, encrypted := range map[string][]byte{"ones": bytes.Repeat([]byte{0xff}, 256), "zeros": make([]byte, 256), "short": make([]byte, 255), "nothing": nil} {
			e.Recipients[0].encryptedKey = encrypted
			if got, err := e.Decrypt(Floor{}, ra); err != ErrDecrypt || got != nil {
				t.Errorf("%s, encrypted key of %s: %q, %v", name, what, got, err)
			}
		}
	}
	// The key being out of reach is nobody's fault and says so.
	late := keys.StandardDecrypter(t.Context(), key.(keys.Decrypter), ca.LaneEnrollment, "a", 0)
	der := must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES128CBC, Floor{}, KeyTransport{Certificate: cert}))
	e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
	if _, err := e.Decrypt(Floor{}, RSAKey{cert, late}); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("no time left: %v", err)
	}
}
