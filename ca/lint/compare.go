package lint

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// compare holds what our reader found against the template.
func compare(c *pkix.Certificate, t *pkix.Template) error {
	switch {
	case !bytes.Equal(c.Serial, t.Serial):
		return different("serial")
	case c.Algorithm != t.Signature:
		return different("signature algorithm")
	case !bytes.Equal(c.Issuer, t.Issuer):
		return different("issuer")
	case !c.NotBefore.Equal(t.NotBefore.Truncate(time.Second)):
		return different("notBefore")
	case !c.NotAfter.Equal(t.NotAfter.Truncate(time.Second)):
		return different("notAfter")
	case !bytes.Equal(c.Subject, t.Subject):
		return different("subject")
	case !bytes.Equal(c.Key.Raw(), t.Key.Raw()):
		return different("public key")
	}
	same := slices.EqualFunc(c.Extensions, t.Extensions, func(a, b pkix.Extension) bool {
		return a.ID.Equal(b.ID) && a.Critical == b.Critical && bytes.Equal(a.Value, b.Value)
	})
	if !same {
		return different("extensions")
	}
	return nil
}

func different(field string) error {
	return fmt.Errorf("%s of the bytes is not that of the template", field)
}

// compareWith holds what crypto/x509 reads against what our reader found: two
// readers that disagree mean that somebody downstream reads a third thing.
func (c *certificate) compareWith(other *x509.Certificate) error {
	switch {
	case !bytes.Equal(other.RawTBSCertificate, c.RawTBS):
		return disagree("to-be-signed bytes")
	case !bytes.Equal(other.SerialNumber.Bytes(), bytes.TrimLeft(c.Serial, "\x00")):
		return disagree("serial")
	case !bytes.Equal(other.RawIssuer, c.Issuer) || !bytes.Equal(other.RawSubject, c.Subject):
		return disagree("names")
	case !other.NotBefore.Equal(c.NotBefore) || !other.NotAfter.Equal(c.NotAfter):
		return disagree("validity")
	case !bytes.Equal(other.RawSubjectPublicKeyInfo, c.Key.Raw()):
		return disagree("public key")
	case len(other.Extensions) != len(c.Extensions):
		return disagree("extensions")
	case pkix.KeyUsage(other.KeyUsage) != c.usage:
		return disagree("key usage")
	case other.IsCA != c.isCA:
		return disagree("basic constraints")
	case len(other.ExtKeyUsage)+len(other.UnknownExtKeyUsage) != len(c.extended):
		return disagree("extended key usage")
	case !slices.Equal(other.DNSNames, c.texts(pkix.DNSName)) || !slices.Equal(other.EmailAddresses, c.texts(pkix.RFC822Name)):
		return disagree("subject alternative names")
	case len(other.IPAddresses) != len(c.texts(pkix.IPAddress)) || len(other.URIs) != len(c.texts(pkix.URI)):
		return disagree("subject alternative names")
	}
	return nil
}

func disagree(field string) error {
	return fmt.Errorf("our reader and crypto/x509 disagree about the %s", field)
}
