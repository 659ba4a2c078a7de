package pkix

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Certificate is a certificate parsed by our own reader: what lint compares
// with the template, and what renewals and imports look at.
type Certificate struct {
	Raw        []byte
	RawTBS     []byte
	Serial     []byte // content octets of the INTEGER
	Issuer     RawName
	NotBefore  time.Time
	NotAfter   time.Time
	Subject    RawName
	Key        PublicKey
	Extensions []Extension
	Algorithm  *SignatureAlgorithm
	Signature  []byte
}

// MaxCertificate bounds a certificate read from outside, in octets.
const MaxCertificate = 64 << 10

// ParseCertificate reads one DER certificate (RFC 5280 section 4.1).
func ParseCertificate(der []byte) (*Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, fmt.Errorf("certificate: longer than %d octets", MaxCertificate)
	}
	in := cryptobyte.String(der)
	var outer, tbs, alg cryptobyte.String
	var signature []byte
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Element(&tbs, casn1.SEQUENCE) ||
		!outer.ReadASN1Element(&alg, casn1.SEQUENCE) || !outer.ReadASN1BitStringAsBytes(&signature) || !outer.Empty() {
		return nil, errors.New("certificate: not a DER Certificate (RFC 5280 section 4.1)")
	}
	c, err := ParseTBS(tbs)
	if err != nil {
		return nil, err
	}
	outerAlg, err := parseSignatureAlgorithm(alg)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if outerAlg != c.Algorithm { // RFC 5280 section 4.1.1.2
		return nil, errors.New("certificate: the two signature algorithm fields differ (RFC 5280 section 4.1.1.2)")
	}
	c.Raw, c.Signature = der, signature
	return c, nil
}

// ParseTBS reads to-be-signed bytes; Raw and Signature stay empty.
func ParseTBS(tbs []byte) (*Certificate, error) {
	in := cryptobyte.String(tbs)
	var body, alg, issuer, validity, subject, spki, extensions cryptobyte.String
	var version int64
	c := &Certificate{RawTBS: tbs}
	versionTag := explicit(0)
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() {
		return nil, errors.New("certificate: malformed TBSCertificate")
	}
	var versionSeq, serial cryptobyte.String
	if !body.ReadASN1(&versionSeq, versionTag) || !versionSeq.ReadASN1Integer(&version) || !versionSeq.Empty() || version != 2 {
		return nil, errors.New("certificate: not version 3 (RFC 5280 section 4.1.2.1)")
	}
	if !body.ReadASN1(&serial, casn1.INTEGER) || !body.ReadASN1Element(&alg, casn1.SEQUENCE) ||
		!body.ReadASN1Element(&issuer, casn1.SEQUENCE) || !body.ReadASN1(&validity, casn1.SEQUENCE) ||
		!body.ReadASN1Element(&subject, casn1.SEQUENCE) || !body.ReadASN1Element(&spki, casn1.SEQUENCE) ||
		!body.ReadASN1(&extensions, explicit(3)) || !body.Empty() {
		return nil, errors.New("certificate: malformed TBSCertificate (RFC 5280 section 4.1.2)")
	}
	c.Serial, c.Issuer, c.Subject = serial, RawName(issuer), RawName(subject)
	var err error
	if c.Algorithm, err = parseSignatureAlgorithm(alg); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if !readTime(&validity, &c.NotBefore) || !readTime(&validity, &c.NotAfter) || !validity.Empty() {
		return nil, errors.New("certificate: malformed validity (RFC 5280 section 4.1.2.5)")
	}
	for _, n := range []RawName{c.Issuer, c.Subject} {
		if _, err := ParseName(n); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	if c.Key, err = ParsePublicKey(spki); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	var list cryptobyte.String
	if !extensions.ReadASN1(&list, casn1.SEQUENCE) || !extensions.Empty() || list.Empty() {
		return nil, errors.New("certificate: malformed extensions")
	}
	if c.Extensions, err = ParseExtensions(list); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

func readTime(in *cryptobyte.String, out *time.Time) bool {
	if in.PeekASN1Tag(casn1.UTCTime) {
		return in.ReadASN1UTCTime(out)
	}
	return in.ReadASN1GeneralizedTime(out)
}

// AltNames gives the names of the subjectAltName extension, nil where there is none.
func (c *Certificate) AltNames() ([]GeneralName, error) {
	ext, ok := FindExtension(c.Extensions, OIDSubjectAltName)
	if !ok {
		return nil, nil
	}
	return ParseGeneralNames(ext.Value)
}

// CheckSignatureFrom verifies the certificate's signature with an issuer's key.
func (c *Certificate) CheckSignatureFrom(issuer PublicKey) error {
	if c.Algorithm.Legacy {
		return fmt.Errorf("certificate: signature algorithm %s is not accepted", c.Algorithm.Name)
	}
	return c.Algorithm.Verify(issuer, c.RawTBS, c.Signature)
}
