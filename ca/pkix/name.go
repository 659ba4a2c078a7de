package pkix

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// RawName is a DER encoded Name (RFC 5280 section 4.1.2.4): a SEQUENCE of
// RelativeDistinguishedName. It keeps string types, order and multi-valued RDNs.
type RawName []byte

// EmptyName is the Name without any RDN.
var EmptyName = RawName{0x30, 0x00}

// Attribute is one AttributeTypeAndValue.
type Attribute struct {
	Type  OID
	Tag   uint8  // ASN.1 tag of the value: UTF8String, PrintableString, ...
	Value []byte // content octets of the value
}

// RDN is one relative distinguished name; more than one attribute makes it multi-valued.
type RDN []Attribute

// maxNameAttributes bounds how many attributes a name read from outside may hold.
const maxNameAttributes = 64

// Empty tells whether the name has no RDN.
func (n RawName) Empty() bool { return len(n) == 0 || bytes.Equal(n, EmptyName) }

// ParseName reads a DER Name, at most 64 attributes. Trailing bytes are an error.
func ParseName(der []byte) ([]RDN, error) {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() {
		return nil, errors.New("name is not one SEQUENCE")
	}
	var rdns []RDN
	count := 0
	for !seq.Empty() {
		var set cryptobyte.String
		if !seq.ReadASN1(&set, casn1.SET) || set.Empty() {
			return nil, errors.New("name holds a malformed RDN")
		}
		var rdn RDN
		for !set.Empty() {
			var atv, value cryptobyte.String
			var a Attribute
			var tag casn1.Tag
			if !set.ReadASN1(&atv, casn1.SEQUENCE) || !atv.ReadASN1ObjectIdentifier((*OID)(&a.Type)) ||
				!atv.ReadAnyASN1(&value, &tag) || !atv.Empty() {
				return nil, errors.New("name holds a malformed attribute")
			}
			if count++; count > maxNameAttributes {
				return nil, fmt.Errorf("name holds more than %d attributes", maxNameAttributes)
			}
			a.Tag, a.Value = uint8(tag), value
			rdn = append(rdn, a)
		}
		rdns = append(rdns, rdn)
	}
	return rdns, nil
}

// MarshalName encodes RDNs in the order given; attributes inside a
// multi-valued RDN are sorted as DER demands of a SET OF.
func MarshalName(rdns []RDN) (RawName, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range rdns {
			encoded := make([][]byte, 0, len(rdn))
			for _, a := range rdn {
				var ab cryptobyte.Builder
				ab.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(a.Type)
					b.AddASN1(casn1.Tag(a.Tag), func(b *cryptobyte.Builder) { b.AddBytes(a.Value) })
				})
				der, err := ab.Bytes()
				if err != nil {
					b.SetError(err)
					return
				}
				encoded = append(encoded, der)
			}
			sortDER(encoded)
			b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
				for _, der := range encoded {
					b.AddBytes(der)
				}
			})
		}
	})
	return b.Bytes()
}

// NewAttribute makes an attribute from text with the string type that the
// attribute's syntax asks for: PrintableString for country, serialNumber and
// dnQualifier, IA5String for email and domain component, UTF8String for the rest.
// Length bounds are those of RFC 5280 appendix A.1.
func NewAttribute(oid OID, text string) (Attribute, error) { return NewAttributeAs(oid, text, 0) }

// NewAttributeAs makes an attribute with a string type of the caller's choice:
// the ASN.1 tag of UTF8String (12), PrintableString (19), IA5String (22) or
// BMPString (30); 0 for what NewAttribute takes.
func NewAttributeAs(oid OID, text string, tag uint8) (Attribute, error) {
	spec, known := attributeSpecs[oid.String()]
	name := AttributeName(oid)
	if !utf8.ValidString(text) || text == "" || strings.ContainsRune(text, 0) {
		return Attribute{}, fmt.Errorf("attribute %s: value is empty or not valid UTF-8", name)
	}
	if known && spec.max > 0 && utf8.RuneCountInString(text) > spec.max {
		return Attribute{}, fmt.Errorf("attribute %s: value is longer than %d characters", name, spec.max)
	}
	if tag == 0 {
		if tag = uint8(casn1.UTF8String); known && spec.tag != 0 {
			tag = spec.tag
		}
	}
	value, err := EncodeText(text, tag)
	if err != nil {
		return Attribute{}, fmt.Errorf("attribute %s: %w", name, err)
	}
	return Attribute{Type: oid, Tag: tag, Value: value}, nil
}

// EncodeText gives the content octets of a text in the string type of an ASN.1
// tag: UTF8String, PrintableString, IA5String or BMPString.
func EncodeText(text string, tag uint8) ([]byte, error) {
	switch casn1.Tag(tag) {
	case casn1.UTF8String:
		return []byte(text), nil
	case casn1.PrintableString:
		if !isPrintable(text) {
			return nil, errors.New("value is not a PrintableString")
		}
		return []byte(text), nil
	case casn1.IA5String:
		if !isASCII(text) {
			return nil, errors.New("value is not ASCII")
		}
		return []byte(text), nil
	case casn1.Tag(30): // BMPString: UCS-2, which has no surrogates
		var out []byte
		for _, r := range text {
			if r > 0xffff {
				return nil, errors.New("value has a character that a BMPString has not")
			}
			out = append(out, byte(r>>8), byte(r))
		}
		return out, nil
	}
	return nil, fmt.Errorf("string type %d is not written here", tag)
}

// FixedStringType tells whether the standards leave an attribute one string
// type (country, serialNumber, dnQualifier: PrintableString; email, domain
// component: IA5String).
func FixedStringType(oid OID) bool {
	spec, known := attributeSpecs[oid.String()]
	return known && spec.tag != 0
}

// Join puts the RDNs of another name after those of this one. Both must be DER Names.
func (n RawName) Join(other RawName) (RawName, error) {
	var joined cryptobyte.Builder
	joined.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, part := range []RawName{n, other} {
			in := cryptobyte.String(part)
			var content cryptobyte.String
			if !in.ReadASN1(&content, casn1.SEQUENCE) || !in.Empty() {
				b.SetError(errors.New("name is not one SEQUENCE"))
				return
			}
			b.AddBytes(content)
		}
	})
	return joined.Bytes()
}

// StartsWith tells whether the name begins with every RDN of another, octet for octet.
func (n RawName) StartsWith(other RawName) bool {
	var mine, start, content cryptobyte.String
	in, with := cryptobyte.String(n), cryptobyte.String(other)
	if !in.ReadASN1(&mine, casn1.SEQUENCE) || !with.ReadASN1(&start, casn1.SEQUENCE) {
		return false
	}
	content = mine
	return bytes.HasPrefix(content, start) // whole RDNs: each carries its length
}

// Text gives the attribute's value as UTF-8 text; ok is false for values that
// are not character strings or do not decode.
func (a Attribute) Text() (text string, ok bool) {
	switch casn1.Tag(a.Tag) {
	case casn1.UTF8String:
		return string(a.Value), utf8.Valid(a.Value)
	case casn1.PrintableString, casn1.IA5String, casn1.Tag(18): // 18: NumericString
		return string(a.Value), isASCII(string(a.Value))
	case casn1.T61String: // read as Latin-1, as deployed systems write it
		r := make([]rune, len(a.Value))
		for i, c := range a.Value {
			r[i] = rune(c)
		}
		return string(r), true
	case casn1.Tag(30): // BMPString
		if len(a.Value)%2 != 0 {
			return "", false
		}
		u := make([]uint16, len(a.Value)/2)
		for i := range u {
			u[i] = uint16(a.Value[2*i])<<8 | uint16(a.Value[2*i+1])
		}
		return string(utf16.Decode(u)), true
	}
	return "", false
}

// CommonNames gives the texts of every CN in a name, in order.
func CommonNames(rdns []RDN) []string {
	var cns []string
	for _, rdn := range rdns {
		for _, a := range rdn {
			if a.Type.Equal(OID{2, 5, 4, 3}) {
				if s, ok := a.Text(); ok {
					cns = append(cns, s)
				}
			}
		}
	}
	return cns
}

// String gives the name in the style of RFC 4514, but in encoding order, which
// is how operators write it in configuration. Undecodable values appear as #hex.
func (n RawName) String() string {
	rdns, err := ParseName(n)
	if err != nil {
		return "#" + hex.EncodeToString(n)
	}
	parts := make([]string, 0, len(rdns))
	for _, rdn := range rdns {
		atvs := make([]string, 0, len(rdn))
		for _, a := range rdn {
			text, ok := a.Text()
			if ok {
				text = escapeDN(text)
			} else {
				text = "#" + hex.EncodeToString(a.Value)
			}
			atvs = append(atvs, AttributeName(a.Type)+"="+text)
		}
		parts = append(parts, strings.Join(atvs, "+"))
	}
	return strings.Join(parts, ",")
}

func escapeDN(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case strings.ContainsRune(`,+"\<>;=`, r), (r == '#' || r == ' ') && i == 0, r == ' ' && i == len(s)-1:
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\%02X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// isPrintable follows X.680 section 41.4.
func isPrintable(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(" '()+,-./:=?", c) >= 0) {
			return false
		}
	}
	return true
}

// SameName tells whether two names are equal as directories compare them (RFC
// 5280 section 7.1): without regard to string types, case and repeated blanks.
func SameName(a, b RawName) bool {
	one, err := nameWithin(a, b)
	if err != nil || !one {
		return false
	}
	other, err := nameWithin(b, a)
	return err == nil && other
}
