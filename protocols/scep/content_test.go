package scep

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// about is the content of a CertPoll (RFC 8894 section 3.3.3): tenant one's CA
// issuing, and the CN that was asked for.
func (k *kit) about(cn string) []byte {
	k.Helper()
	issuer, err := k.Issuers.Issuer("one", "issuing")
	if err != nil {
		k.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(issuer.Facts().Subject)
		b.AddBytes(nameOf(k, cn))
	})
	return b.BytesOrPanic() // names always encode
}

// nameOf is a subject of one CN; of none where it is empty.
func nameOf(t testing.TB, cn string) pkix.RawName {
	t.Helper()
	if cn == "" {
		return pkix.EmptyName
	}
	name, err := pkix.MarshalName([]pkix.RDN{{{Type: pkix.OID{2, 5, 4, 3}, Tag: uint8(casn1.PrintableString), Value: []byte(cn)}}})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// number is the content of GetCert and GetCRL (RFC 8894 section 3.3.4).
func number(t testing.TB, der []byte) []byte {
	t.Helper()
	c, err := cms.ReadCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	content, err := cms.MarshalIssuerAndSerial(c)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func parsed(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// certificateLike is one that a key signs for itself under the issuer, the subject
// and the serial number of another.
func certificateLike(t testing.TB, key *rsa.PrivateKey, c *x509.Certificate) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: c.SerialNumber, RawSubject: c.RawSubject, NotBefore: c.NotBefore, NotAfter: c.NotAfter, SubjectKeyId: c.SubjectKeyId}
	der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{RawSubject: c.RawIssuer}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pkix.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return der
}

// ofTwo makes a credential one of tenant two.
func ofTwo(c *credential.Credential) { c.Tenant = "two" }

// spread writes DER as BER senders do: SEQUENCEs, SETs and tagged ones with
// indefinite lengths, OCTET STRINGs and encrypted content in pieces, and other
// lengths in more octets than they need.
func spread(t testing.TB, der []byte) (ber []byte) {
	t.Helper()
	for in := cryptobyte.String(der); !in.Empty(); {
		var content cryptobyte.String
		var tag casn1.Tag
		if !in.ReadAnyASN1(&content, &tag) {
			t.Fatal("not DER")
		}
		switch encrypted := casn1.Tag(0).ContextSpecific(); {
		case (tag == casn1.OCTET_STRING || tag == encrypted) && len(content) > 1:
			ber = append(ber, byte(tag)|0x20, 0x80)
			for _, piece := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
				ber = append(append(ber, 4, 0x83, byte(len(piece)>>16), byte(len(piece)>>8), byte(len(piece))), piece...)
			}
			ber = append(ber, 0, 0)
		case tag&0x20 != 0:
			ber = append(append(append(ber, byte(tag), 0x80), spread(t, content)...), 0, 0)
		default:
			ber = append(append(ber, byte(tag), 0x83, byte(len(content)>>16), byte(len(content)>>8), byte(len(content))), content...)
		}
	}
	return ber
}

// withSerial is a certificate's facts under another serial number.
func withSerial(c *x509.Certificate, n int64) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(n), RawSubject: c.RawSubject, RawIssuer: c.RawIssuer, NotBefore: c.NotBefore, NotAfter: c.NotAfter, SubjectKeyId: []byte{1}}
}

// edit writes DER anew with the contents of its primitive elements as f gives them.
func edit(t testing.TB, der []byte, f func(tag casn1.Tag, content []byte) []byte) []byte {
	t.Helper()
	var out cryptobyte.Builder
	for in := cryptobyte.String(der); !in.Empty(); {
		var content cryptobyte.String
		var tag casn1.Tag
		if !in.ReadAnyASN1(&content, &tag) {
			t.Fatal("not DER")
		}
		inner := []byte(content)
		if tag&0x20 != 0 {
			inner = edit(t, inner, f)
		} else {
			inner = f(tag, inner)
		}
		out.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(inner) })
	}
	return out.BytesOrPanic() // what was DER encodes again
}

// Where an envelope has the encrypted key and the encrypted content.
const (
	encryptedKey     = casn1.OCTET_STRING
	encryptedContent = casn1.Tag(0 | 0x80)
)

// broken changes one of both in an envelope.
func broken(t testing.TB, envelope []byte, where casn1.Tag, f func([]byte) []byte) []byte {
	t.Helper()
	found := 0
	out := edit(t, envelope, func(tag casn1.Tag, content []byte) []byte {
		if tag != where || where == encryptedKey && len(content) != 256 {
			return content
		}
		found++
		return f(bytes.Clone(content))
	})
	if found != 1 {
		t.Fatalf("%d were changed", found)
	}
	return out
}
