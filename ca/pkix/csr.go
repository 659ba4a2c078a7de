package pkix

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// CSR is a parsed PKCS#10 CertificationRequest (RFC 2986). What it names is
// only asserted by the requester.
type CSR struct {
	Raw         []byte // the whole DER
	RawInfo     []byte // CertificationRequestInfo as signed
	Subject     RawName
	Key         PublicKey
	Extensions  []Extension   // from the extensionRequest attribute, RFC 2985 section 5.4.2
	AltNames    []GeneralName // from its subjectAltName
	Attributes  []CSRAttribute
	Algorithm   *SignatureAlgorithm
	signature   []byte
	hasVerified bool
}

// CSRAttribute is one attribute with its raw SET of values.
type CSRAttribute struct {
	Type   OID
	Values []byte // content of the SET
}

// MaxCSR bounds a request in octets before it is parsed.
const MaxCSR = 64 << 10

// ParseCSR reads a DER PKCS#10 request of at most MaxCSR octets. The signature is not checked: see Verify.
func ParseCSR(der []byte) (*CSR, error) {
	if len(der) > MaxCSR {
		return nil, fmt.Errorf("CSR: longer than %d octets", MaxCSR)
	}
	in := cryptobyte.String(der)
	var outer, info, alg, spki, subject cryptobyte.String
	c := &CSR{Raw: der}
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Element(&info, casn1.SEQUENCE) ||
		!outer.ReadASN1Element(&alg, casn1.SEQUENCE) || !outer.ReadASN1BitStringAsBytes(&c.signature) || !outer.Empty() {
		return nil, errors.New("CSR: not a DER CertificationRequest (RFC 2986 section 4.2)")
	}
	c.RawInfo = info
	var err error
	if c.Algorithm, err = parseSignatureAlgorithm(alg); err != nil {
		return nil, fmt.Errorf("CSR: %w", err)
	}
	var body cryptobyte.String
	var version int
	if !info.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1Integer(&version) ||
		!body.ReadASN1Element(&subject, casn1.SEQUENCE) || !body.ReadASN1Element(&spki, casn1.SEQUENCE) {
		return nil, errors.New("CSR: malformed CertificationRequestInfo (RFC 2986 section 4.1)")
	}
	if version != 0 {
		return nil, fmt.Errorf("CSR: version %d instead of 0 (RFC 2986 section 4.1)", version)
	}
	if _, err := ParseName(subject); err != nil {
		return nil, fmt.Errorf("CSR: subject: %w", err)
	}
	c.Subject = RawName(subject)
	if c.Key, err = ParsePublicKey(spki); err != nil {
		return nil, fmt.Errorf("CSR: %w", err)
	}
	return c, c.parseAttributes(body)
}

func (c *CSR) parseAttributes(body cryptobyte.String) error {
	tag := explicit(0)
	var attributes cryptobyte.String
	var present bool
	// RFC 2986 makes the attributes field mandatory; many clients leave it out.
	if !body.ReadOptionalASN1(&attributes, &present, tag) || !body.Empty() {
		return errors.New("CSR: malformed attributes (RFC 2986 section 4.1)")
	}
	for !attributes.Empty() {
		var attr, values cryptobyte.String
		var a CSRAttribute
		if !attributes.ReadASN1(&attr, casn1.SEQUENCE) || !attr.ReadASN1ObjectIdentifier((*OID)(&a.Type)) ||
			!attr.ReadASN1(&values, casn1.SET) || !attr.Empty() {
			return errors.New("CSR: malformed attribute (RFC 2986 section 4.1)")
		}
		a.Values = values
		if c.Attributes = append(c.Attributes, a); len(c.Attributes) > 32 {
			return errors.New("CSR: more than 32 attributes")
		}
		if !a.Type.Equal(OIDExtensionRequest) && !a.Type.Equal(OIDMSExtensionRequest) {
			continue
		}
		if c.Extensions != nil {
			return errors.New("CSR: more than one extension request (RFC 2985 section 5.4.2)")
		}
		var seq cryptobyte.String
		if !values.ReadASN1(&seq, casn1.SEQUENCE) || !values.Empty() {
			return errors.New("CSR: malformed extension request (RFC 2985 section 5.4.2)")
		}
		extensions, err := ParseExtensions(seq)
		if err != nil {
			return fmt.Errorf("CSR: %w", err)
		}
		c.Extensions = append([]Extension{}, extensions...)
	}
	if san, ok := FindExtension(c.Extensions, OIDSubjectAltName); ok {
		names, err := ParseGeneralNames(san.Value)
		if err != nil {
			return fmt.Errorf("CSR: subjectAltName: %w", err)
		}
		c.AltNames = names
	}
	return nil
}

// Verify checks the request's signature with its own key: the proof that the
// requester holds the private key (RFC 2986 section 4.2). SHA-1 counts only
// where allowLegacy is granted by the endpoint.
func (c *CSR) Verify(allowLegacy bool) error {
	if c.Algorithm.Legacy && !allowLegacy {
		return fmt.Errorf("CSR: signature algorithm %s is not accepted here", c.Algorithm.Name)
	}
	if err := c.Algorithm.Verify(c.Key, c.RawInfo, c.signature); err != nil {
		return fmt.Errorf("CSR: %w", err)
	}
	c.hasVerified = true
	return nil
}

// Verified tells whether Verify succeeded on this value.
func (c *CSR) Verified() bool { return c != nil && c.hasVerified }

// OIDChallengePassword is the attribute of a request in which its sender shows a
// secret (RFC 2985 section 5.4.1).
var OIDChallengePassword = OID{1, 2, 840, 113549, 1, 9, 7}

// ChallengePassword gives the challengePassword of a request as UTF-8; "" where
// there is none. Besides a DirectoryString (RFC 5280 section 4.1.2.4) clients send
// an IA5String. An error where there is more than one, or one that is no text.
func (c *CSR) ChallengePassword() (text string, err error) {
	there := false
	for _, a := range c.Attributes {
		if !a.Type.Equal(OIDChallengePassword) {
			continue
		}
		in := cryptobyte.String(a.Values)
		var value cryptobyte.String
		var tag casn1.Tag
		ok := !there && in.ReadAnyASN1(&value, &tag) && in.Empty()
		if ok {
			text, ok = Attribute{Type: a.Type, Tag: uint8(tag), Value: value}.Text()
		}
		if there = true; !ok {
			return "", errors.New("CSR: the challengePassword is not one text (RFC 2985 section 5.4.1)")
		}
	}
	return text, nil
}
