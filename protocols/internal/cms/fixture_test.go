package cms

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// What openssl signed verifies, with the digest and the identifier it chose.
func TestOpenSSLSigned(t *testing.T) {
	content := fixture(t, "content")
	for name, c := range map[string]struct {
		key   string
		hash  crypto.Hash
		floor Floor
	}{
		"rsa":            {"rsa", crypto.SHA256, Floor{}},
		"rsa-stream":     {"rsa", crypto.SHA256, Floor{}},
		"rsa-keyid":      {"rsa", crypto.SHA256, Floor{}},
		"rsa-noattr":     {"rsa", crypto.SHA256, Floor{}},
		"rsa-nocerts":    {"rsa", crypto.SHA256, Floor{}},
		"rsa-sha384":     {"rsa", crypto.SHA384, Floor{}},
		"rsa-sha512":     {"rsa", crypto.SHA512, Floor{}},
		"rsa-sha1":       {"rsa", crypto.SHA1, Floor{SHA1: true}},
		"rsa-md5":        {"rsa", crypto.MD5, Floor{MD5: true}},
		"rsa-type":       {"rsa", crypto.SHA256, Floor{}},
		"rsa-cades":      {"rsa", crypto.SHA256, Floor{}},
		"rsa-pss":        {"rsa", crypto.SHA256, Floor{}},
		"rsa-pss-sha512": {"rsa", crypto.SHA512, Floor{}},
		"p256":           {"p256", crypto.SHA256, Floor{}},
		"p384":           {"p384", crypto.SHA384, Floor{}},
		"p521":           {"p521", crypto.SHA512, Floor{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := must[*SignedData](t)(ReadSigned(fixture(t, "sign-"+name+".der"), Limits{}))
			if !bytes.Equal(s.Content, content) {
				t.Error("other content")
			}
			signer := must[*SignerInfo](t)(s.Signer())
			cert := certificate(t, c.key)
			if signer.Hash != c.hash || !signer.Matches(cert) {
				t.Errorf("digest %v, signer %v", signer.Hash, signer.Identifier)
			}
			found, err := s.SignerCertificate(signer)
			if absent := name == "rsa-nocerts"; absent != (err != nil) || !absent && !bytes.Equal(found.Raw, cert.Raw) {
				t.Errorf("certificate of the signer: %v", err)
			}
			if err := s.Verify(signer, cert.Key.Parsed(), c.floor); err != nil {
				t.Error(err)
			}
			if c.floor != (Floor{}) {
				if err := s.Verify(signer, cert.Key.Parsed(), Floor{}); !errors.Is(err, ErrAlgorithm) {
					t.Errorf("without a grant: %v", err)
				}
			}
			s.Content[5] ^= 1
			if err := s.Verify(signer, cert.Key.Parsed(), c.floor); !errors.Is(err, ErrSignature) {
				t.Errorf("other content: %v", err)
			}
			s.Content[5] ^= 1
			signer.Signature[len(signer.Signature)-1] ^= 1
			if err := s.Verify(signer, cert.Key.Parsed(), c.floor); !errors.Is(err, ErrSignature) {
				t.Errorf("other signature: %v", err)
			}
		})
	}
}

func TestOpenSSLSignedTypeAndAttributes(t *testing.T) {
	s := must[*SignedData](t)(ReadSigned(fixture(t, "sign-rsa-type.der"), Limits{}))
	if want := (pkix.OID{1, 2, 840, 113549, 1, 9, 16, 1, 25}); !s.ContentType.Equal(want) {
		t.Errorf("content type %v", s.ContentType)
	}
	if _, ok := s.Signers[0].Signed.Value(oidSigningTime); !ok {
		t.Error("no signing time")
	}
	capabilities, ok := s.Signers[0].Signed.Value(pkix.OIDSMIMECapabilities)
	if !ok {
		t.Fatal("no SMIMECapabilities")
	}
	all := must[[]pkix.OID](t)(ParseCapabilities(capabilities))
	if c, ok := PreferredCipher(all, Floor{}); !ok || c != AES256CBC {
		t.Errorf("preferred %v of %v", c, all)
	}
	if c, ok := PreferredCipher([]pkix.OID{DESCBC.row().oid, DES3CBC.row().oid}, Floor{DES3: true}); !ok || c != DES3CBC {
		t.Errorf("preferred %v", c)
	}
	if c, ok := PreferredCipher([]pkix.OID{DESCBC.row().oid}, Floor{}); ok {
		t.Errorf("preferred %v", c)
	}
}

func TestOpenSSLTwoSigners(t *testing.T) {
	s := must[*SignedData](t)(ReadSigned(fixture(t, "sign-two.der"), Limits{}))
	if len(s.Signers) != 2 {
		t.Fatalf("%d signers", len(s.Signers))
	}
	for i := range s.Signers {
		c := must[Certificate](t)(s.SignerCertificate(&s.Signers[i]))
		if err := s.Verify(&s.Signers[i], c.Key.Parsed(), Floor{}); err != nil {
			t.Error(err)
		}
		// The other signer's key is of another type.
		if err := s.Verify(&s.Signers[1-i], c.Key.Parsed(), Floor{}); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("the key of another: %v", err)
		}
	}
	if _, err := s.Signer(); !errors.Is(err, ErrSyntax) {
		t.Errorf("one signer of two: %v", err)
	}
}

// What openssl encrypted decrypts.
func TestOpenSSLEncrypted(t *testing.T) {
	content := fixture(t, "content")
	rsa := []Key{rsaKey(t)}
	for name, c := range map[string]struct {
		keys   []Key
		cipher Cipher
		floor  Floor
	}{
		"rsa-aes-128-cbc":  {rsa, AES128CBC, Floor{}},
		"rsa-aes-192-cbc":  {rsa, AES192CBC, Floor{}},
		"rsa-aes-256-cbc":  {rsa, AES256CBC, Floor{}},
		"rsa-aes-128-gcm":  {rsa, AES128GCM, Floor{}},
		"rsa-aes-192-gcm":  {rsa, AES192GCM, Floor{}},
		"rsa-aes-256-gcm":  {rsa, AES256GCM, Floor{}},
		"rsa-des-ede3-cbc": {rsa, DES3CBC, Floor{DES3: true}},
		"rsa-des-cbc":      {rsa, DESCBC, Floor{DES: true}},
		"rsa-stream":       {rsa, AES128CBC, Floor{}},
		"rsa-gcm-stream":   {rsa, AES128GCM, Floor{}},
		"rsa-keyid":        {rsa, AES128CBC, Floor{}},
		"rsa-oaep":         {rsa, AES128CBC, Floor{}},
		"rsa-oaep-sha256":  {rsa, AES256CBC, Floor{}},
		"p256":             {[]Key{ecKey(t, "p256")}, AES128CBC, Floor{}},
		"p256-sha1":        {[]Key{ecKey(t, "p256")}, AES128CBC, Floor{SHA1: true}},
		"p256-cofactor":    {[]Key{ecKey(t, "p256")}, AES128CBC, Floor{}},
		"p384":             {[]Key{ecKey(t, "p256"), ecKey(t, "p384")}, AES192CBC, Floor{}},
		"p521":             {[]Key{rsa[0], ecKey(t, "p521")}, AES256GCM, Floor{}},
		"kek128":           {[]Key{kek(16)}, AES128CBC, Floor{}},
		"kek192":           {[]Key{kek(24)}, AES192CBC, Floor{}},
		"kek256":           {[]Key{kek(32)}, AES256CBC, Floor{}},
		"password":         {[]Key{password()}, AES256CBC, Floor{}},
		"password-stream":  {[]Key{password()}, AES128CBC, Floor{}},
		"password-des3":    {[]Key{password()}, DES3CBC, Floor{DES3: true}},
	} {
		t.Run(name, func(t *testing.T) {
			e := must[*Envelope](t)(ReadEnveloped(fixture(t, "encrypt-"+name+".der"), Limits{}))
			if e.Cipher != c.cipher || !e.ContentType.Equal(OIDData) {
				t.Errorf("%v of %v", e.Cipher, e.ContentType)
			}
			got := must[[]byte](t)(e.Decrypt(c.floor, c.keys...))
			if !bytes.Equal(got, content) {
				t.Error("other content")
			}
			if _, err := e.Decrypt(c.floor, &KEK{ID: []byte("another"), Key: make([]byte, 16)}); !errors.Is(err, ErrRecipient) {
				t.Errorf("the key of another: %v", err)
			}
			if c.floor != (Floor{}) {
				if _, err := e.Decrypt(Floor{}, c.keys...); !errors.Is(err, ErrAlgorithm) {
					t.Errorf("without a grant: %v", err)
				}
			}
		})
	}
}

// Any of several recipients opens an envelope.
func TestOpenSSLSeveralRecipients(t *testing.T) {
	e := must[*Envelope](t)(ReadEnveloped(fixture(t, "encrypt-several.der"), Limits{}))
	if len(e.Recipients) != 5 {
		t.Fatalf("%d recipients", len(e.Recipients))
	}
	for _, key := range []Key{rsaKey(t), ecKey(t, "p256"), ecKey(t, "p384"), kek(16), password()} {
		got, err := e.Decrypt(Floor{}, key)
		if err != nil || !bytes.Equal(got, fixture(t, "content")) {
			t.Errorf("%T: %v", key, err)
		}
	}
	if _, err := e.Decrypt(Floor{}, ecKey(t, "p521")); !errors.Is(err, ErrRecipient) {
		t.Errorf("the key of another: %v", err)
	}
}

func TestDegenerate(t *testing.T) {
	want := [][]byte{certificate(t, "rsa").Raw, certificate(t, "p256").Raw}
	certificates, crls, err := ReadDegenerate(fixture(t, "degenerate.der"), Limits{})
	if diff := cmp.Diff(want, certificates); err != nil || diff != "" || len(crls) != 0 {
		t.Errorf("openssl's: %v, %s, %d CRLs", err, diff, len(crls))
	}
	ours := must[[]byte](t)(Degenerate(want, nil))
	certificates, crls, err = ReadDegenerate(ours, Limits{})
	if diff := cmp.Diff(want, certificates); err != nil || diff != "" || len(crls) != 0 {
		t.Errorf("ours: %v, %s, %d CRLs", err, diff, len(crls))
	}
	var printed [][]byte
	for out := openssl(t, "pkcs7", "-inform", "DER", "-in", file(t, ours), "-print_certs"); ; {
		block, rest := pem.Decode(out)
		if block == nil {
			break
		}
		printed, out = append(printed, block.Bytes), rest
	}
	if diff := cmp.Diff(want, printed); diff != "" {
		t.Error(diff)
	}
	if _, _, err := ReadDegenerate(fixture(t, "sign-rsa.der"), Limits{}); !errors.Is(err, ErrSyntax) {
		t.Errorf("with a signer: %v", err)
	}
}
