package pkix

import (
	"errors"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// NewPermanentIdentifier makes the otherName of a permanent identifier (RFC 4043
// section 2): a value, UTF-8 without control characters and without a slash, and
// who assigned it, nil where that is not said.
func NewPermanentIdentifier(value string, assigner OID) (GeneralName, error) {
	if !plain(value) || strings.Contains(value, "/") {
		return GeneralName{}, errors.New("a permanent identifier is a text without a slash and without control characters")
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
		if assigner != nil {
			b.AddASN1ObjectIdentifier(assigner)
		}
	})
	return otherNameOf(OIDPermanentIdentifier, &b)
}

// ParsePermanentIdentifier reads VALUE or VALUE/ASSIGNER as GeneralName.Text
// prints it, with a dotted OID as the assigner.
func ParsePermanentIdentifier(text string) (value string, assigner OID, err error) {
	value, id, found := strings.Cut(text, "/")
	if found {
		var ok bool
		if assigner, ok = ParseOID(id); !ok {
			return "", nil, errors.New("the assigner of a permanent identifier is a dotted OID")
		}
	}
	_, err = NewPermanentIdentifier(value, assigner)
	return value, assigner, err
}

// PermanentIdentifier reads a permanent identifier that has a value; ok is false
// for any other name, and for one whose value NewPermanentIdentifier would refuse.
func (g GeneralName) PermanentIdentifier() (value string, assigner OID, ok bool) {
	id, der, err := g.OtherNameValue()
	if err != nil || !id.Equal(OIDPermanentIdentifier) {
		return "", nil, false
	}
	in := cryptobyte.String(der)
	var seq, text cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1(&text, casn1.UTF8String) ||
		!plain(string(text)) || strings.Contains(string(text), "/") {
		return "", nil, false
	}
	if !seq.Empty() && !seq.ReadASN1ObjectIdentifier(&assigner) {
		return "", nil, false
	}
	return string(text), assigner, seq.Empty()
}
