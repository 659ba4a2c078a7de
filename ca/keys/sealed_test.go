package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
)

// A key that was made for being sealed signs and decrypts once it is opened,
// until its Ring is closed.
func TestSealedKey(t *testing.T) {
	der, public, err := NewPKCS8("rsa-2048")
	if err != nil {
		t.Fatal(err)
	}
	ring := NewRing()
	key, err := ring.FromPKCS8(der)
	if err != nil || !key.Public().(*rsa.PublicKey).Equal(public) {
		t.Fatalf("%v, %v", key, err)
	}
	clear(der)
	digest := sha256.Sum256([]byte("message"))
	signature, err := key.Sign(t.Context(), ca.LaneEnrollment, "t", digest[:], crypto.SHA256)
	if err != nil || rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest[:], signature) != nil {
		t.Errorf("signature: %v", err)
	}
	secret := []byte("0123456789abcdef")
	message, err := rsa.EncryptPKCS1v15(rand.Reader, public.(*rsa.PublicKey), secret)
	if err != nil {
		t.Fatal(err)
	}
	options := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: len(secret)}
	plain, err := key.(Decrypter).Decrypt(t.Context(), ca.LaneEnrollment, "t", message, options)
	if err != nil || !bytes.Equal(plain, secret) {
		t.Errorf("decrypted: %v", err)
	}
	message[9] ^= 1
	if plain, err = key.(Decrypter).Decrypt(t.Context(), ca.LaneEnrollment, "t", message, options); err != nil || len(plain) != len(secret) || bytes.Equal(plain, secret) {
		t.Errorf("a message that was changed: %v", err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(t.Context(), ca.LaneEnrollment, "t", digest[:], crypto.SHA256); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("after Close: %v", err)
	}
}

func TestSealedKeyRefuses(t *testing.T) {
	if _, _, err := NewPKCS8("rsa-1024"); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("a weak key: %v", err)
	}
	ring := NewRing()
	for name, der := range map[string][]byte{"nothing": nil, "no key": {0x30, 0}, "text": []byte("key")} {
		if _, err := ring.FromPKCS8(der); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ring.Close(); err != nil {
		t.Error(err)
	}
}
