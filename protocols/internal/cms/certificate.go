package cms

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Certificate is what CMS needs to know of a certificate: whose it is and its
// key. It was not verified, and its signature algorithm, which may be any, was
// not looked at.
type Certificate struct {
	Raw          []byte
	Issuer       pkix.RawName
	Serial       []byte // content octets of the INTEGER
	SubjectKeyID []byte // of the extension; nil without one
	Key          pkix.PublicKey
}

// ReadCertificate reads a DER certificate of at most 64 KiB (RFC 5280 section 4.1).
func ReadCertificate(der []byte) (Certificate, error) {
	c := Certificate{Raw: der}
	if len(der) > pkix.MaxCertificate {
		return Certificate{}, syntaxf("a certificate longer than %d octets", pkix.MaxCertificate)
	}
	in := cryptobyte.String(der)
	var outer, tbs, issuer, key, extensions cryptobyte.String
	var has bool
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(tag0) || // version
		!tbs.ReadASN1Bytes(&c.Serial, cbasn1.INTEGER) || !tbs.SkipASN1(cbasn1.SEQUENCE) || // signature
		!tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) ||
		!tbs.SkipASN1(cbasn1.SEQUENCE) || !tbs.SkipASN1(cbasn1.SEQUENCE) || // validity, subject
		!tbs.ReadASN1Element(&key, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(cbasn1.Tag(2).ContextSpecific()) ||
		!tbs.ReadOptionalASN1(&extensions, &has, cbasn1.Tag(3).ContextSpecific().Constructed()) || !tbs.Empty() {
		return Certificate{}, syntaxf("malformed certificate")
	}
	c.Issuer = pkix.RawName(issuer)
	var err error
	if c.Key, err = pkix.ParsePublicKey(key); err != nil {
		return Certificate{}, syntaxf("certificate: %v", err)
	}
	if !has {
		return c, nil
	}
	var all cryptobyte.String
	if !extensions.ReadASN1(&all, cbasn1.SEQUENCE) || !extensions.Empty() {
		return Certificate{}, syntaxf("malformed extensions of a certificate")
	}
	list, err := pkix.ParseExtensions(all)
	if err != nil {
		return Certificate{}, syntaxf("certificate: %v", err)
	}
	if ext, ok := pkix.FindExtension(list, pkix.OIDSubjectKeyID); ok {
		if c.SubjectKeyID, err = pkix.ParseSubjectKeyID(ext.Value); err != nil {
			return Certificate{}, syntaxf("certificate: %v", err)
		}
	}
	return c, nil
}

// Identifier names a certificate by issuer and serial number or by subject key
// identifier (RFC 5652 sections 5.3, 6.2.1 and 6.2.2).
type Identifier struct {
	Issuer       pkix.RawName
	Serial       []byte // content octets of the INTEGER
	SubjectKeyID []byte // instead of both
}

// Matches tells whether a certificate is the one meant.
func (i Identifier) Matches(c Certificate) bool {
	if len(i.SubjectKeyID) > 0 {
		return bytes.Equal(i.SubjectKeyID, c.SubjectKeyID)
	}
	return len(i.Serial) > 0 && bytes.Equal(i.Serial, c.Serial) && bytes.Equal(i.Issuer, c.Issuer)
}

// identifier names a certificate for others.
func (c Certificate) identifier(byKeyID bool) (Identifier, error) {
	if !byKeyID {
		return Identifier{Issuer: c.Issuer, Serial: c.Serial}, nil
	}
	if len(c.SubjectKeyID) == 0 {
		return Identifier{}, syntaxf("the certificate has no subject key identifier to be named by")
	}
	return Identifier{SubjectKeyID: c.SubjectKeyID}, nil
}

// readIssuerAndSerial reads IssuerAndSerialNumber (RFC 5652 section 10.2.4).
func (i *Identifier) readIssuerAndSerial(in *cryptobyte.String) bool {
	var both, issuer cryptobyte.String
	if !in.ReadASN1(&both, cbasn1.SEQUENCE) || !both.ReadASN1Element(&issuer, cbasn1.SEQUENCE) ||
		!both.ReadASN1Bytes(&i.Serial, cbasn1.INTEGER) || !both.Empty() {
		return false
	}
	i.Issuer = pkix.RawName(issuer)
	return len(i.Serial) > 0
}

// read reads the CHOICE with a subject key identifier under [0].
func (i *Identifier) read(in *cryptobyte.String) bool {
	if in.PeekASN1Tag(cbasn1.SEQUENCE) {
		return i.readIssuerAndSerial(in)
	}
	return readOctets(in, 0, &i.SubjectKeyID) && len(i.SubjectKeyID) > 0
}

// add writes the CHOICE that read reads.
func (i Identifier) add(b *cryptobyte.Builder) {
	if len(i.SubjectKeyID) > 0 {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(i.SubjectKeyID) })
		return
	}
	i.addIssuerAndSerial(b)
}

func (i Identifier) addIssuerAndSerial(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(i.Issuer)
		b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(i.Serial) })
	})
}

// ParseIssuerAndSerial reads a DER IssuerAndSerialNumber alone, as the content
// of SCEP's GetCert and GetCRL has it (RFC 8894 section 3.3.4).
func ParseIssuerAndSerial(der []byte) (Identifier, error) {
	in := cryptobyte.String(der)
	var i Identifier
	if !i.readIssuerAndSerial(&in) || !in.Empty() {
		return Identifier{}, syntaxf("not an IssuerAndSerialNumber")
	}
	return i, nil
}

// MarshalIssuerAndSerial is the DER that ParseIssuerAndSerial reads.
func MarshalIssuerAndSerial(c Certificate) ([]byte, error) {
	var b cryptobyte.Builder
	Identifier{Issuer: c.Issuer, Serial: c.Serial}.addIssuerAndSerial(&b)
	return b.Bytes()
}
