package pkix

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// crypto/x509 reads the same in every field as went in, and our own reader too.
func TestCertificateAgreesWithX509(t *testing.T) {
	for name, key := range signers() {
		t.Run(name, func(t *testing.T) {
			pub := must[PublicKey](t)(NewPublicKey(key.Public()))
			if pub.Algorithm() != name {
				t.Errorf("algorithm %s", pub.Algorithm())
			}
			tpl := template(t, pub, pub, false)
			der := sign(t, tpl, key)
			c := must[*x509.Certificate](t)(x509.ParseCertificate(der))
			if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
				t.Error(err)
			}
			switch {
			case c.Version != 3, !bytes.Equal(c.SerialNumber.Bytes(), tpl.Serial), !bytes.Equal(c.RawSubject, tpl.Subject), !bytes.Equal(c.RawIssuer, tpl.Issuer):
				t.Errorf("version %d, serial %x, subject %s, issuer %s", c.Version, c.SerialNumber, c.Subject, c.Issuer)
			case !c.NotBefore.Equal(start), !c.NotAfter.Equal(end):
				t.Errorf("validity %s to %s", c.NotBefore, c.NotAfter)
			case !bytes.Equal(c.RawSubjectPublicKeyInfo, pub.Raw()), !bytes.Equal(c.SubjectKeyId, pub.KeyID()), !bytes.Equal(c.AuthorityKeyId, pub.KeyID()):
				t.Errorf("key identifiers %x, %x", c.SubjectKeyId, c.AuthorityKeyId)
			case c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment, !c.BasicConstraintsValid, c.IsCA:
				t.Errorf("key usage %b, cA %v", c.KeyUsage, c.IsCA)
			case len(c.ExtKeyUsage) != 1, c.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth, len(c.UnknownExtKeyUsage) != 1, !c.UnknownExtKeyUsage[0].Equal(OID{1, 2, 3, 4}):
				t.Errorf("extended key usage %v, %v", c.ExtKeyUsage, c.UnknownExtKeyUsage)
			case strings.Join(c.DNSNames, " ") != "host.example", strings.Join(c.EmailAddresses, " ") != "a@host.example", len(c.IPAddresses) != 1, c.IPAddresses[0].String() != "192.0.2.1", len(c.URIs) != 1, c.URIs[0].String() != "https://host.example/x":
				t.Errorf("names %v %v %v %v", c.DNSNames, c.EmailAddresses, c.IPAddresses, c.URIs)
			case strings.Join(c.OCSPServer, " ") != "http://pki.example/ocsp", strings.Join(c.IssuingCertificateURL, " ") != "http://pki.example/ca.cer", strings.Join(c.CRLDistributionPoints, " ") != "http://pki.example/1.crl http://pki.example/2.crl":
				t.Errorf("URLs %v %v %v", c.OCSPServer, c.IssuingCertificateURL, c.CRLDistributionPoints)
			case len(c.PolicyIdentifiers) != 1, c.PolicyIdentifiers[0].String() != "1.2.3.4.5":
				t.Errorf("policies %v", c.PolicyIdentifiers)
			case len(c.UnhandledCriticalExtensions) != 0:
				t.Errorf("unhandled %v", c.UnhandledCriticalExtensions)
			}
			ours := must[*Certificate](t)(ParseCertificate(der))
			if err := ours.CheckSignatureFrom(pub); err != nil {
				t.Error(err)
			}
			again := &Template{Serial: ours.Serial, Signature: ours.Algorithm, Issuer: ours.Issuer, NotBefore: ours.NotBefore, NotAfter: ours.NotAfter, Subject: ours.Subject, Key: ours.Key, Extensions: ours.Extensions}
			if !bytes.Equal(must[[]byte](t)(again.MarshalTBS()), ours.RawTBS) {
				t.Error("what was read does not encode to the same bytes")
			}
			if names := must[[]GeneralName](t)(ours.AltNames()); len(names) != 4 || names[0].String() != "dns:host.example" {
				t.Errorf("names %v", names)
			}
			for other, k := range signers() {
				if other != name && ours.CheckSignatureFrom(must[PublicKey](t)(NewPublicKey(k.Public()))) == nil {
					t.Errorf("the signature verifies with a key of %s", other)
				}
			}
			der[len(der)-1] ^= 1
			if broken, err := ParseCertificate(der); err == nil && broken.CheckSignatureFrom(pub) == nil {
				t.Error("a changed signature verifies")
			}
		})
	}
}

// openssl verifies a chain of our encoding for every key, prints what went in,
// and its ASN.1 parser finds nothing wrong.
func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is needed: ", err)
	}
	for name, key := range signers() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pub := must[PublicKey](t)(NewPublicKey(key.Public()))
			root, leaf := filepath.Join(dir, "root.pem"), filepath.Join(dir, "leaf.pem")
			for path, isCA := range map[string]bool{root: true, leaf: false} {
				block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sign(t, template(t, pub, pub, isCA), key)})
				if err := os.WriteFile(path, block, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			run := func(args ...string) string {
				out, err := exec.Command(openssl, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			if out := run("verify", "-x509_strict", "-attime", "1790000000", "-CAfile", root, leaf); !strings.Contains(out, "OK") {
				t.Error(out)
			}
			text := run("x509", "-in", leaf, "-noout", "-text", "-nameopt", "RFC2253,-esc_msb,utf8")
			for _, want := range []string{"Version: 3", "5f:0a:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e", "CN=Test Root,O=Examplé,C=DE", "DC=example",
				"Not Before: Mar  1 12:00:00 2026 GMT", "Not After : Mar  1 11:59:59 2051 GMT", "CA:FALSE", "Digital Signature, Non Repudiation",
				"TLS Web Server Authentication, 1.2.3.4", "DNS:host.example, IP Address:192.0.2.1, email:a@host.example, URI:https://host.example/x",
				"OCSP - URI:http://pki.example/ocsp", "CA Issuers - URI:http://pki.example/ca.cer", "URI:http://pki.example/2.crl", "Policy: 1.2.3.4.5", signatureTableName(t, name)} {
				if !strings.Contains(text, want) {
					t.Errorf("openssl does not print %q:\n%s", want, text)
				}
			}
			if out := run("asn1parse", "-in", leaf); strings.Contains(strings.ToLower(out), "error") || !strings.Contains(out, "GENERALIZEDTIME") {
				t.Error(out)
			}
		})
	}
}

func signatureTableName(t *testing.T, key string) string {
	if key == "ed25519" {
		return "ED25519"
	}
	return keySignature[key]
}

// The to-be-signed bytes, octet by octet, of a small certificate; checked by
// hand against RFC 5280 section 4.1 and with openssl asn1parse.
func TestGoldenTBS(t *testing.T) {
	spki := unhex(t, "302a300506032b6570032100 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	key := must[PublicKey](t)(ParsePublicKey(spki))
	tpl := &Template{Serial: unhex(t, "5f0a0102030405060708090a0b0c0d0e"), Signature: signatureByName("Ed25519"),
		Issuer: mustName(t, RDN{attribute(t, "CN", "I")}), Subject: EmptyName, NotBefore: start, NotAfter: end, Key: key,
		Extensions: []Extension{must[Extension](t)(MarshalSubjectAltName([]GeneralName{DNS("a.b")}, true))}}
	want := unhex(t, `308193
		a003 020102
		0210 5f0a0102030405060708090a0b0c0d0e
		3005 06032b6570
		300c 310a 3008 0603550403 0c0149
		3020 170d 3236303330313132303030305a 180f 32303531303330313131353935395a
		3000
		302a 3005 06032b6570 0321 00 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
		a315 3013 3011 0603551d11 0101ff 0407 3005 8203 612e62`)
	got := must[[]byte](t)(tpl.MarshalTBS())
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestTemplateRefuses(t *testing.T) {
	key := must[PublicKey](t)(NewPublicKey(signers()["ecdsa-p256"].Public()))
	for name, change := range map[string]func(*Template){
		"no serial":       func(c *Template) { c.Serial = nil },
		"zero serial":     func(c *Template) { c.Serial = make([]byte, 16) },
		"negative serial": func(c *Template) { c.Serial = []byte{0x80, 1} },
		"long serial":     func(c *Template) { c.Serial = bytes.Repeat([]byte{1}, 21) },
		"no algorithm":    func(c *Template) { c.Signature = nil },
		"SHA-1":           func(c *Template) { c.Signature = signatureByName("ecdsa-with-SHA1") },
		"no issuer":       func(c *Template) { c.Issuer = nil },
		"no subject":      func(c *Template) { c.Subject = nil },
		"no key":          func(c *Template) { c.Key = PublicKey{} },
		"ends before":     func(c *Template) { c.NotAfter = c.NotBefore.Add(-1e9) },
		"before 1950":     func(c *Template) { c.NotBefore = c.NotBefore.AddDate(-100, 0, 0) },
		"after 9999":      func(c *Template) { c.NotAfter = NoExpiry.Add(1e9) },
		"no extension":    func(c *Template) { c.Extensions = nil },
	} {
		tpl := template(t, key, key, false)
		change(tpl)
		if _, err := tpl.MarshalTBS(); err == nil {
			t.Errorf("%s was encoded", name)
		}
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	key := signers()["ecdsa-p256"]
	pub := must[PublicKey](t)(NewPublicKey(key.Public()))
	tpl := template(t, pub, pub, false)
	der := sign(t, tpl, key)
	if _, err := ParseCertificate(append(bytes.Clone(der), 0)); err == nil {
		t.Error("trailing bytes were accepted")
	}
	if _, err := ParseCertificate(make([]byte, MaxCertificate+1)); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("too long: %v", err)
	}
	for i := range der {
		if _, err := ParseCertificate(der[:i]); err == nil {
			t.Fatalf("the first %d octets parse", i)
		}
	}
	other := must[[]byte](t)(Assemble(must[[]byte](t)(tpl.MarshalTBS()), signatureByName("ecdsa-with-SHA384"), []byte{1}))
	if _, err := ParseCertificate(other); err == nil || !strings.Contains(err.Error(), "4.1.1.2") {
		t.Errorf("two different algorithms: %v", err)
	}
	v1 := bytes.Replace(der, []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 1}, 1)
	if _, err := ParseCertificate(v1); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("version 2: %v", err)
	}
	tbs := must[[]byte](t)(tpl.MarshalTBS())
	if _, err := ParseTBS(append(bytes.Clone(tbs), 0)); err == nil {
		t.Error("trailing bytes after the to-be-signed part were accepted")
	}
	wide := bytes.Replace(tbs, []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 5, 2, 1, 2, 5, 0}, 1)
	wide[3] += 2 // the low octet of the two length octets
	if _, err := ParseTBS(wide); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("bytes after the version: %v", err)
	}
}
