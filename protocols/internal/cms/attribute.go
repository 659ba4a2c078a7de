package cms

import (
	"bytes"
	"encoding/asn1"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// RFC 5652 sections 11.1 to 11.3.
var (
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

const (
	maxAttributes = 64
	maxValues     = 64 // of one attribute
)

// Attribute is a type with its values, each one DER element.
type Attribute struct {
	Type   pkix.OID
	Values [][]byte
}

// Attributes are a SET OF Attribute (RFC 5652 section 5.3).
type Attributes []Attribute

// NewAttribute makes an attribute of one value, DER.
func NewAttribute(id pkix.OID, value []byte) Attribute {
	return Attribute{Type: id, Values: [][]byte{value}}
}

// Find gives the attribute of a type.
func (a Attributes) Find(id pkix.OID) (Attribute, bool) {
	i := slices.IndexFunc(a, func(one Attribute) bool { return one.Type.Equal(id) })
	if i < 0 {
		return Attribute{}, false
	}
	return a[i], true
}

// Value gives the value of an attribute that has exactly one, as DER.
func (a Attributes) Value(id pkix.OID) ([]byte, bool) {
	one, ok := a.Find(id)
	if !ok || len(one.Values) != 1 {
		return nil, false
	}
	return one.Values[0], true
}

// readAttributes reads the content of a SET OF Attribute, at most 64 with at
// most 64 values each. A type that is there twice is an error (RFC 5652 section
// 5.3 has it so for the types it defines; for others it would leave open which
// one counts).
func readAttributes(set cryptobyte.String) (Attributes, error) {
	var all Attributes
	for !set.Empty() {
		var one Attribute
		var attribute, values cryptobyte.String
		if !set.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier((*asn1.ObjectIdentifier)(&one.Type)) ||
			!attribute.ReadASN1(&values, cbasn1.SET) || !attribute.Empty() {
			return nil, syntaxf("malformed attribute")
		}
		for !values.Empty() {
			var value cryptobyte.String
			if !readElement(&values, &value) {
				return nil, syntaxf("malformed value of attribute %s", one.Type)
			}
			if one.Values = append(one.Values, value); len(one.Values) > maxValues {
				return nil, syntaxf("attribute %s has more than %d values", one.Type, maxValues)
			}
		}
		if _, twice := all.Find(one.Type); twice {
			return nil, syntaxf("attribute %s is there twice", one.Type)
		}
		if all = append(all, one); len(all) > maxAttributes {
			return nil, syntaxf("more than %d attributes", maxAttributes)
		}
	}
	return all, nil
}

// marshal gives the content of the DER SET OF: sorted (X.690 section 11.6).
func (a Attributes) marshal() ([]byte, error) {
	encoded := make([][]byte, 0, len(a))
	for i, one := range a {
		if _, twice := a[:i].Find(one.Type); twice {
			return nil, syntaxf("attribute %s is there twice", one.Type)
		}
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(one.Type)
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(sortedSet(one.Values)) })
		})
		der, err := b.Bytes()
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, der)
	}
	return sortedSet(encoded), nil
}

// sortedSet joins elements in the order of DER's SET OF.
func sortedSet(elements [][]byte) []byte {
	return bytes.Join(slices.SortedFunc(slices.Values(elements), bytes.Compare), nil)
}

// resorted gives the content of a SET OF in DER's order.
func resorted(set cryptobyte.String) []byte {
	var elements [][]byte
	for rest := set; !rest.Empty(); {
		var element cryptobyte.String
		if !readElement(&rest, &element) {
			return set
		}
		elements = append(elements, element)
	}
	return sortedSet(elements)
}

// contentTypeAttribute is RFC 5652 section 11.1.
func contentTypeAttribute(contentType pkix.OID) (Attribute, error) {
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(contentType)
	der, err := b.Bytes()
	return NewAttribute(oidContentType, der), err
}

// checkContentType tells whether the attribute is there and names the content.
func checkContentType(all Attributes, contentType pkix.OID) error {
	value, ok := all.Value(oidContentType)
	if !ok {
		return syntaxf("the content-type attribute is missing or has no single value")
	}
	want, err := contentTypeAttribute(contentType)
	if err != nil || !bytes.Equal(want.Values[0], value) {
		return syntaxf("the content-type attribute is not the type of the content")
	}
	return nil
}

// signingTime is UTCTime through 2049, else GeneralizedTime (RFC 5652 section 11.3).
func signingTime(t time.Time) (Attribute, error) {
	t = t.UTC()
	var b cryptobyte.Builder
	if t.Year() >= 1950 && t.Year() < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
	der, err := b.Bytes()
	return NewAttribute(oidSigningTime, der), err
}
