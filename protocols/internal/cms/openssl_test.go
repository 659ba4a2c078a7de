package cms

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// printable is PrintableString "19", as SCEP has its message type.
var (
	oidMessageType = pkix.OID{2, 16, 840, 1, 113733, 1, 9, 2}
	printable      = []byte{0x13, 2, '1', '9'}
)

// openssl verifies what we sign, and so do we.
func TestSign(t *testing.T) {
	content := fixture(t, "content")
	for _, c := range []struct {
		name   string
		signer Signer
		says   string // of openssl -cmsout -print
	}{
		{"rsa", Signer{}, "algorithm: sha256WithRSAEncryption"},
		{"rsa", Signer{PlainRSA: true}, "algorithm: rsaEncryption"},
		{"rsa", Signer{ByKeyID: true, Hash: crypto.SHA384}, "algorithm: sha384WithRSAEncryption"},
		{"rsa", Signer{Hash: crypto.SHA512, SigningTime: time.Unix(1_700_000_000, 0)}, "Nov 14 22:13:20 2023"},
		{"rsa", Signer{Hash: crypto.SHA1, PlainRSA: true}, "algorithm: sha1 "},
		{"rsa", Signer{PSS: true}, "algorithm: rsassaPss"},
		{"rsa", Signer{PSS: true, Hash: crypto.SHA512}, "algorithm: rsassaPss"},
		{"rsa", Signer{Attributes: Attributes{NewAttribute(oidMessageType, printable)}}, "PRINTABLESTRING:19"},
		{"rsa", Signer{Unsigned: Attributes{NewAttribute(oidMessageType, printable)}}, "PRINTABLESTRING:19"},
		{"p256", Signer{}, "algorithm: ecdsa-with-SHA256"},
		{"p384", Signer{Hash: crypto.SHA384}, "algorithm: ecdsa-with-SHA384"},
		{"p521", Signer{Hash: crypto.SHA512, ByKeyID: true}, "algorithm: ecdsa-with-SHA512"},
	} {
		t.Run(fmt.Sprint(c.name, c.says), func(t *testing.T) {
			t.Parallel()
			c.signer.Key, c.signer.Certificate = privateKey(t, c.name), certificate(t, c.name)
			for _, contentType := range []pkix.OID{OIDData, {1, 2, 840, 113549, 1, 9, 16, 1, 25}} {
				der := must[[]byte](t)(Sign(contentType, content, [][]byte{c.signer.Certificate.Raw}, nil, c.signer))
				isDER(t, der)
				signed := file(t, der)
				out := openssl(t, "cms", "-verify", "-binary", "-inform", "DER", "-in", signed, "-CAfile", "testdata/"+c.name+".pem", "-purpose", "any")
				if !bytes.Contains(out, content) {
					t.Errorf("other content: %s", out)
				}
				if out := openssl(t, "cms", "-cmsout", "-print", "-inform", "DER", "-in", signed); !strings.Contains(string(out), c.says) {
					t.Errorf("no %q in %s", c.says, out)
				}
				s := must[*SignedData](t)(ReadSigned(der, Limits{}))
				signer := must[*SignerInfo](t)(s.Signer())
				found := must[Certificate](t)(s.SignerCertificate(signer))
				if err := s.Verify(signer, found.Key.Parsed(), old); err != nil {
					t.Error(err)
				}
				for _, a := range c.signer.Attributes {
					if got, ok := signer.Signed.Value(a.Type); !ok || !bytes.Equal(got, a.Values[0]) {
						t.Errorf("attribute %s is %x", a.Type, got)
					}
				}
			}
		})
	}
}

// openssl 3.0 has no Ed25519 in CMS: we alone verify it.
func TestSignEd25519(t *testing.T) {
	key := ed25519Key()
	cert := selfSigned(t, key)
	der := must[[]byte](t)(Sign(OIDData, []byte("content"), [][]byte{cert.Raw}, nil, Signer{Key: key, Certificate: cert}))
	s := must[*SignedData](t)(ReadSigned(der, Limits{}))
	if s.Signers[0].Hash != crypto.SHA512 {
		t.Errorf("digest %v", s.Signers[0].Hash)
	}
	if err := s.Verify(&s.Signers[0], cert.Key.Parsed(), Floor{}); err != nil {
		t.Error(err)
	}
	s.Signers[0].Signature[3] ^= 1
	if err := s.Verify(&s.Signers[0], cert.Key.Parsed(), Floor{}); !errors.Is(err, ErrSignature) {
		t.Errorf("other signature: %v", err)
	}
}

func TestSignTwo(t *testing.T) {
	one := Signer{Key: privateKey(t, "rsa"), Certificate: certificate(t, "rsa")}
	two := Signer{Key: privateKey(t, "p256"), Certificate: certificate(t, "p256"), Hash: crypto.SHA384}
	der := must[[]byte](t)(Sign(OIDData, []byte("content"), [][]byte{one.Certificate.Raw, two.Certificate.Raw}, nil, one, two))
	openssl(t, "cms", "-verify", "-binary", "-inform", "DER", "-in", file(t, der), "-noverify")
}

func TestSignRefuses(t *testing.T) {
	cert := certificate(t, "rsa")
	anonymous := cert
	anonymous.SubjectKeyID = nil
	rsaSigner := privateKey(t, "rsa")
	for name, s := range map[string]Signer{
		"a key on another curve":       {Key: p224Key(), Certificate: cert},
		"a digest it does not know":    {Key: rsaSigner, Certificate: cert, Hash: crypto.SHA3_256},
		"an attribute twice":           {Key: rsaSigner, Certificate: cert, Attributes: Attributes{NewAttribute(oidContentType, printable)}},
		"no key identifier":            {Key: rsaSigner, Certificate: anonymous, ByKeyID: true},
		"ECDSA with MD5, which is not": {Key: privateKey(t, "p256"), Certificate: cert, Hash: crypto.MD5},
	} {
		if der, err := Sign(OIDData, []byte("content"), nil, nil, s); err == nil {
			t.Errorf("%s: %x", name, der)
		}
	}
}

// openssl decrypts what we encrypt, and so do we.
func TestEncrypt(t *testing.T) {
	content := fixture(t, "content")
	rsaCert, secret := certificate(t, "rsa"), password()
	byCert := func(name string) []string {
		return []string{"-recip", "testdata/" + name + ".pem", "-inkey", "testdata/" + name + ".key.pem"}
	}
	byPassword := []string{"-pwri_password", "secret"}
	for _, c := range []struct {
		name      string
		cipher    Cipher
		recipient Recipient
		key       Key
		args      []string // nil where openssl 3.0 cannot
	}{
		{"rsa", AES128CBC, KeyTransport{Certificate: rsaCert}, rsaKey(t), byCert("rsa")},
		{"rsa", AES192CBC, KeyTransport{Certificate: rsaCert}, rsaKey(t), byCert("rsa")},
		{"rsa", AES256CBC, KeyTransport{Certificate: rsaCert, ByKeyID: true}, rsaKey(t), byCert("rsa")},
		{"rsa", AES128GCM, KeyTransport{Certificate: rsaCert}, rsaKey(t), byCert("rsa")},
		{"rsa", AES192GCM, KeyTransport{Certificate: rsaCert}, rsaKey(t), byCert("rsa")},
		{"rsa", AES256GCM, KeyTransport{Certificate: rsaCert}, rsaKey(t), byCert("rsa")},
		{"rsa", DES3CBC, KeyTransport{Certificate: rsaCert}, rsaKey(t), byCert("rsa")},
		{"rsa", DESCBC, KeyTransport{Certificate: rsaCert}, rsaKey(t), append(byCert("rsa"), "-provider", "legacy", "-provider", "default")},
		{"oaep", AES128CBC, KeyTransport{Certificate: rsaCert, OAEP: crypto.SHA1}, rsaKey(t), byCert("rsa")},
		{"oaep", AES256GCM, KeyTransport{Certificate: rsaCert, OAEP: crypto.SHA256}, rsaKey(t), byCert("rsa")},
		{"p256", AES128CBC, KeyAgreement{Certificate: certificate(t, "p256")}, ecKey(t, "p256"), byCert("p256")},
		{"p256", DES3CBC, KeyAgreement{Certificate: certificate(t, "p256")}, ecKey(t, "p256"), byCert("p256")},
		{"p384", AES256CBC, KeyAgreement{Certificate: certificate(t, "p384"), Hash: crypto.SHA384, ByKeyID: true}, ecKey(t, "p384"), byCert("p384")},
		{"p521", AES192GCM, KeyAgreement{Certificate: certificate(t, "p521"), Hash: crypto.SHA512}, ecKey(t, "p521"), byCert("p521")},
		{"kek", AES128CBC, kek(16), kek(16), []string{"-secretkey", hex.EncodeToString(kek(16).Key), "-secretkeyid", "c0ffee"}},
		{"kek", AES256CBC, kek(24), kek(24), []string{"-secretkey", hex.EncodeToString(kek(24).Key), "-secretkeyid", "c0ffee"}},
		{"kek", AES256GCM, kek(32), kek(32), []string{"-secretkey", hex.EncodeToString(kek(32).Key), "-secretkeyid", "c0ffee"}},
		{"password", AES128CBC, secret, secret, byPassword},
		{"password", AES256CBC, &Password{Secret: secret.Secret, Hash: crypto.SHA512, Iterations: 2000}, secret, byPassword},
		{"password", DES3CBC, &Password{Secret: secret.Secret, Hash: crypto.SHA1}, secret, byPassword},
		{"password", DESCBC, secret, secret, append(byPassword, "-provider", "legacy", "-provider", "default")},
		{"password under key wrap", AES256CBC, &Password{Secret: secret.Secret, KeyWrap: true}, secret, nil},
	} {
		t.Run(fmt.Sprint(c.name, c.cipher), func(t *testing.T) {
			t.Parallel()
			// Every length of padding, and no content at all.
			for _, length := range []int{0, 1, 15, 16, 17, len(content)} {
				der := must[[]byte](t)(Encrypt(OIDData, content[:length], c.cipher, old, c.recipient))
				isDER(t, der)
				e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
				if got := must[[]byte](t)(e.Decrypt(old, c.key)); !bytes.Equal(got, content[:length]) {
					t.Errorf("%d octets: got %q", length, got)
				}
				if length != len(content) || c.args == nil {
					continue
				}
				out := openssl(t, append([]string{"cms", "-decrypt", "-binary", "-inform", "DER", "-in", file(t, der)}, c.args...)...)
				if !bytes.Equal(out, content) {
					t.Errorf("openssl: %q", out)
				}
			}
		})
	}
}

// What CMP has inside an EncryptedKey: no ContentInfo, content of another type,
// attributes under the tag.
func TestEncryptData(t *testing.T) {
	keyPackage := pkix.OID{2, 16, 840, 1, 101, 2, 1, 2, 78, 5} // RFC 5958 section 2
	for _, c := range []Cipher{AES256CBC, AES256GCM} {
		contentType, der, err := EncryptData(keyPackage, []byte("key"), c, Floor{}, kek(32), KeyTransport{Certificate: certificate(t, "rsa")})
		if err != nil {
			t.Fatal(err)
		}
		e := must[*Envelope](t)(ReadEnvelopedData(contentType, der, Limits{}))
		if !e.ContentType.Equal(keyPackage) || c.Authenticated() != contentType.Equal(OIDAuthEnvelopedData) {
			t.Errorf("%v in %v", e.ContentType, contentType)
		}
		for _, key := range []Key{kek(32), rsaKey(t)} {
			if got, err := e.Decrypt(Floor{}, key); err != nil || string(got) != "key" {
				t.Errorf("%q, %v", got, err)
			}
		}
		if !c.Authenticated() {
			continue
		}
		if len(e.Authenticated) != 1 {
			t.Errorf("attributes %v", e.Authenticated)
		}
		other := e.Authenticated
		other[0].Values[0][len(other[0].Values[0])-1] ^= 1 // reads another content type
		if _, err := ReadEnvelopedData(contentType, der, Limits{}); !errors.Is(err, ErrSyntax) {
			t.Errorf("attributes for other content: %v", err)
		}
		e.attributes[len(e.attributes)-1] ^= 1
		if _, err := e.Decrypt(Floor{}, kek(32)); err != ErrDecrypt {
			t.Errorf("other attributes: %v", err)
		}
	}
	data := must[[]byte](t)(SignData(keyPackage, []byte("key"), nil, nil, Signer{Key: privateKey(t, "p256"), Certificate: certificate(t, "p256")}))
	s := must[*SignedData](t)(ReadSignedData(data, Limits{}))
	if err := s.Verify(&s.Signers[0], certificate(t, "p256").Key.Parsed(), Floor{}); err != nil || string(s.Content) != "key" {
		t.Errorf("%q, %v", s.Content, err)
	}
}

// A key of the wrong type is said so before anything is encrypted: no panic, no
// envelope that nobody opens.
func TestEncryptRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		cipher    Cipher
		recipient Recipient
	}{
		"EC key for key transport":   {AES128CBC, KeyTransport{Certificate: certificate(t, "p256")}},
		"Ed25519 for key transport":  {AES128CBC, KeyTransport{Certificate: selfSigned(t, ed25519Key())}},
		"OAEP with MD5":              {AES128CBC, KeyTransport{Certificate: certificate(t, "rsa"), OAEP: crypto.MD5}},
		"no certificate":             {AES128CBC, KeyTransport{}},
		"RSA key for key agreement":  {AES128CBC, KeyAgreement{Certificate: certificate(t, "rsa")}},
		"P-224 for key agreement":    {AES128CBC, KeyAgreement{Certificate: selfSigned(t, p224Key())}},
		"SHA-1 for key agreement":    {AES128CBC, KeyAgreement{Certificate: certificate(t, "p256"), Hash: crypto.SHA1}},
		"a KEK of 17 octets":         {AES128CBC, &KEK{Key: make([]byte, 17)}},
		"a DES key under key wrap":   {DESCBC, kek(16)},
		"an empty password":          {AES128CBC, &Password{}},
		"one iteration":              {AES128CBC, &Password{Secret: []byte("secret"), Iterations: 1}},
		"PBKDF2 with an odd digest":  {AES128CBC, &Password{Secret: []byte("secret"), Hash: crypto.MD5}},
		"a cipher that is not there": {0, kek(16)},
	} {
		if der, err := Encrypt(OIDData, []byte("content"), c.cipher, old, c.recipient); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%s: %x, %v", name, der, err)
		}
	}
	if _, err := Encrypt(OIDData, []byte("content"), DES3CBC, Floor{DES: true}, kek(16)); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("without a grant: %v", err)
	}
	if _, err := Encrypt(OIDData, []byte("content"), AES128CBC, Floor{}); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("for nobody: %v", err)
	}
}

func TestCipherNames(t *testing.T) {
	for _, row := range ciphers {
		if c, ok := CipherByName(row.id.String()); !ok || c != row.id {
			t.Errorf("%v is not found by its name", row.id)
		}
		if !row.id.GrantedBy(old) || row.id.GrantedBy(Floor{}) != (row.kind == kindAES) {
			t.Errorf("%v: granted by default %v", row.id, row.id.GrantedBy(Floor{}))
		}
	}
	if _, ok := CipherByName("rc4"); ok || Cipher(0).GrantedBy(old) {
		t.Error("a cipher that is not there")
	}
}

// isDER: what we write needs no change to be DER.
func isDER(t testing.TB, der []byte) {
	t.Helper()
	n := normalizer{in: der, limits: Limits{}.withDefaults()}
	if end, size, err := n.measure(0, len(der), 1); err != nil || n.changed || end != len(der) || size != len(der) {
		t.Errorf("not DER: %v", err)
	}
}
