package cms

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// seed adds the fixtures whose names begin so, and the same spread as BER.
func seed(f *testing.F, prefix string) {
	names, err := filepath.Glob("testdata/" + prefix + "*.der")
	if err != nil || len(names) == 0 {
		f.Fatalf("no fixtures %s: %v", prefix, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		der, err := DER(b, Limits{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(spread(der))
	}
}

// FuzzBER: what DER gives is DER, which is no longer than the bounds allow and
// stays as it is.
func FuzzBER(f *testing.F) {
	seed(f, "")
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 40))
	f.Add([]byte{0x24, 0x80, 0x24, 0x80, 4, 1, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, ber []byte) {
		der, err := DER(ber, Limits{})
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		if len(der) > 2*len(ber) {
			t.Fatalf("%d octets of %d", len(der), len(ber))
		}
		isDER(t, der)
		if again, err := DER(der, Limits{}); err != nil || !bytes.Equal(again, der) {
			t.Fatalf("not stable: %v", err)
		}
	})
}

// FuzzSignedData: what parses is within bounds, and its signatures are checked
// without a panic whatever the keys of its certificates are.
func FuzzSignedData(f *testing.F) {
	seed(f, "sign-")
	seed(f, "degenerate")
	f.Add(right(f).der(f))
	key := certificate(f, "rsa").Key.Parsed()
	f.Fuzz(func(t *testing.T, ber []byte) {
		s, err := ReadSigned(ber, Limits{})
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrAlgorithm) {
				t.Fatal(err)
			}
			return
		}
		if len(s.Certificates) > maxCertificates || len(s.CRLs) > maxCRLs || len(s.Signers) > maxSigners {
			t.Fatal("a bound does not hold")
		}
		for i := range s.Signers {
			keys := []any{key}
			if c, err := s.SignerCertificate(&s.Signers[i]); err == nil {
				keys = append(keys, c.Key.Parsed())
			}
			for _, k := range keys {
				err := s.Verify(&s.Signers[i], k, old)
				if err != nil && !errors.Is(err, ErrAlgorithm) && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrSyntax) {
					t.Fatal(err)
				}
			}
		}
	})
}

// FuzzEnvelopedData: what parses is opened with every kind of key, and says one
// of the things that it may say.
func FuzzEnvelopedData(f *testing.F) {
	seed(f, "encrypt-")
	keys := []Key{kek(16), kek(24), kek(32), &Password{Secret: []byte("secret"), MaxIterations: 4096}, ecKey(f, "p256"), ecKey(f, "p384"), rsaKey(f)}
	f.Fuzz(func(t *testing.T, ber []byte) {
		e, err := ReadEnveloped(ber, Limits{})
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrAlgorithm) {
				t.Fatal(err)
			}
			return
		}
		if len(e.Recipients) == 0 || len(e.Recipients) > 2*maxRecipients || e.Cipher.row() == nil {
			t.Fatal("a bound does not hold")
		}
		for _, key := range keys {
			_, err := e.Decrypt(old, key)
			if err != nil && err != ErrDecrypt && err != ErrRecipient && !errors.Is(err, ErrAlgorithm) && !errors.Is(err, ErrSyntax) {
				t.Fatal(err)
			}
		}
	})
}

// FuzzCertificate: what names a certificate finds it.
func FuzzCertificate(f *testing.F) {
	for _, name := range []string{"rsa", "p256", "p384", "p521"} {
		f.Add(certificate(f, name).Raw)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := ReadCertificate(der)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		if c.Key.IsZero() {
			t.Fatal("a certificate without a key")
		}
		for _, byKeyID := range []bool{false, true} {
			if id, err := c.identifier(byKeyID); err == nil && !id.Matches(c) && len(c.Serial) > 0 {
				t.Fatal("does not match itself")
			}
		}
		value, err := MarshalIssuerAndSerial(c)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := ParseIssuerAndSerial(value); err == nil && !id.Matches(c) {
			t.Fatal("does not match itself once written")
		}
	})
}

// FuzzStructures: those that stand in attributes and contents.
func FuzzStructures(f *testing.F) {
	f.Add([]byte{0x30, 0x0b, 0x30, 0x09, 6, 7, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1})
	value, err := MarshalIssuerAndSerial(certificate(f, "rsa"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Fuzz(func(t *testing.T, der []byte) {
		if all, err := ParseCapabilities(der); err == nil && len(all) > maxCapabilities {
			t.Fatal("a bound does not hold")
		}
		if id, err := ParseIssuerAndSerial(der); err == nil && (len(id.Serial) == 0 || len(id.Issuer) == 0) {
			t.Fatal("an identifier of nothing")
		}
	})
}
