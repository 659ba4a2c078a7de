package pkix

import (
	"bytes"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"testing"
)

// FuzzParseCSR: what parses is printable, and its signature is checked without
// a panic whatever the key is.
func FuzzParseCSR(f *testing.F) {
	for key := range signers() {
		f.Add(makeCSR(f, key, &x509.CertificateRequest{Subject: stdpkix.Name{CommonName: "host.example"}, DNSNames: []string{"host.example", "*.host.example"}}))
	}
	f.Add(buildCSR(f, 0, nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := ParseCSR(der)
		if err != nil {
			return
		}
		if c.Key.IsZero() || c.Algorithm == nil || c.Verified() {
			t.Fatal("a request without key or algorithm parsed, or one was verified by parsing")
		}
		if err := c.Verify(true); (err == nil) != c.Verified() {
			t.Fatalf("Verify says %v, Verified %v", err, c.Verified())
		}
		if len(c.Extensions) > maxExtensions || len(c.AltNames) > maxGeneralNames {
			t.Fatal("a bound does not hold")
		}
		reencodeNames(t, c.AltNames)
		_ = c.Subject.String()
	})
}

// FuzzParseCertificate: what our reader takes encodes to the same bytes
// wherever the encoder takes it back.
func FuzzParseCertificate(f *testing.F) {
	for _, key := range []string{"ecdsa-p256", "rsa-2048", "ed25519"} {
		pub := must[PublicKey](f)(NewPublicKey(signers()[key].Public()))
		f.Add(sign(f, template(f, pub, pub, false), signers()[key]))
		f.Add(sign(f, template(f, pub, pub, true), signers()[key]))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := ParseCertificate(der)
		if err != nil {
			return
		}
		if names, err := c.AltNames(); err == nil {
			reencodeNames(t, names)
		}
		for _, e := range c.Extensions {
			_, _ = ParseKeyUsageValue(e.Value)
			_, _, _ = ParseBasicConstraints(e.Value)
			_, _ = ParseExtKeyUsage(e.Value)
			_, _ = ParseSubjectKeyID(e.Value)
			_, _ = ParseAuthorityKeyID(e.Value)
			_, _ = ParseCRLDistributionPoints(e.Value)
		}
		_ = c.CheckSignatureFrom(c.Key)
		tpl := &Template{Serial: c.Serial, Signature: c.Algorithm, Issuer: c.Issuer, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Subject: c.Subject, Key: c.Key, Extensions: c.Extensions}
		tbs, err := tpl.MarshalTBS()
		if err != nil {
			return
		}
		again, err := ParseTBS(tbs)
		if err != nil {
			t.Fatalf("what we encoded does not parse: %v", err)
		}
		if !again.NotAfter.Equal(c.NotAfter) || !bytes.Equal(again.Subject, c.Subject) || len(again.Extensions) != len(c.Extensions) {
			t.Fatal("what we encoded parses to something else")
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add([]byte(mustName(f, RDN{attribute(f, "C", "DE")}, RDN{attribute(f, "CN", "x"), attribute(f, "UID", "y")})))
	f.Add([]byte(mustName(f, RDN{{OID{2, 5, 4, 3}, 30, []byte("\x00x")}}, RDN{{OID{2, 5, 4, 3}, 20, []byte{0xe9}}})))
	f.Add([]byte(EmptyName))
	f.Fuzz(func(t *testing.T, der []byte) {
		rdns, err := ParseName(der)
		if err != nil {
			return
		}
		_ = RawName(der).String()
		for _, rdn := range rdns {
			for _, a := range rdn {
				_ = a.Check()
			}
		}
		raw, err := MarshalName(rdns)
		if err != nil {
			t.Fatalf("what parsed does not encode: %v", err)
		}
		again, err := ParseName(raw)
		if err != nil || len(again) != len(rdns) {
			t.Fatalf("what we encoded does not parse: %v", err)
		}
		if stable, err := MarshalName(again); err != nil || !bytes.Equal(stable, raw) {
			t.Fatalf("encoding is not stable: %v", err)
		}
	})
}

func FuzzParseGeneralNames(f *testing.F) {
	f.Add(must[[]byte](f)(MarshalGeneralNames([]GeneralName{DNS("a.b"), {IPAddress, []byte{1, 2, 3, 4}}, {URI, []byte("http://a")}, {RFC822Name, []byte("a@b")}})))
	f.Add(unhex(f, "3012 a010 060a2b060104018237140203 a002 0c00"))
	f.Add(unhex(f, "3010 a40e 300c 310a 3008 0603550403 0c0178"))
	f.Add(unhex(f, "3005 8803 2a0304"))
	f.Fuzz(func(t *testing.T, der []byte) {
		if names, err := ParseGeneralNames(der); err == nil {
			if got := reencodeNames(t, names); !bytes.Equal(got, der) {
				t.Fatalf("%x became %x", der, got)
			}
		}
	})
}

func reencodeNames(t *testing.T, names []GeneralName) []byte {
	t.Helper()
	if len(names) == 0 {
		return nil
	}
	for _, n := range names {
		_ = n.String()
	}
	der, err := MarshalGeneralNames(names)
	if err != nil {
		t.Fatalf("what parsed does not encode: %v", err)
	}
	return der
}
