package cms

import (
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Content types (RFC 5652 sections 4, 5.1 and 6.1, RFC 5083 section 2.1).
var (
	OIDData              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	OIDSignedData        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	OIDEnvelopedData     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	OIDAuthEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23}
)

// tag0, tag1 and tag2 are context-specific and constructed.
var (
	tag0 = cbasn1.Tag(0).ContextSpecific().Constructed()
	tag1 = cbasn1.Tag(1).ContextSpecific().Constructed()
	tag2 = cbasn1.Tag(2).ContextSpecific().Constructed()
)

// ReadContentInfo reads a BER ContentInfo (RFC 5652 section 3) and gives its
// type and its content as DER.
func ReadContentInfo(ber []byte, limits Limits) (contentType pkix.OID, content []byte, err error) {
	der, err := DER(ber, limits)
	if err != nil {
		return nil, nil, err
	}
	in := cryptobyte.String(der)
	var info, explicit, element cryptobyte.String
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() ||
		!info.ReadASN1ObjectIdentifier((*asn1.ObjectIdentifier)(&contentType)) ||
		!info.ReadASN1(&explicit, tag0) || !info.Empty() || !readElement(&explicit, &element) || !explicit.Empty() {
		return nil, nil, syntaxf("not a ContentInfo")
	}
	return contentType, element, nil
}

// MarshalContentInfo wraps the DER of a content (RFC 5652 section 3).
func MarshalContentInfo(contentType pkix.OID, content []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(content)+32))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(contentType)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	})
	return b.Bytes()
}

// readElement reads one element with its tag and length.
func readElement(in, out *cryptobyte.String) bool {
	var tag cbasn1.Tag
	return in.ReadAnyASN1Element(out, &tag)
}

// readOctets reads an implicitly tagged OCTET STRING. Where it came in pieces
// DER could not tell it from a SEQUENCE, and the pieces are joined here.
func readOctets(in *cryptobyte.String, number uint8, out *[]byte) bool {
	tag := cbasn1.Tag(number).ContextSpecific()
	if in.PeekASN1Tag(tag) {
		return in.ReadASN1Bytes(out, tag)
	}
	var pieces cryptobyte.String
	if !in.ReadASN1(&pieces, tag.Constructed()) {
		return false
	}
	joined := make([]byte, 0, len(pieces))
	for !pieces.Empty() {
		var piece []byte
		if !pieces.ReadASN1Bytes(&piece, cbasn1.OCTET_STRING) {
			return false
		}
		joined = append(joined, piece...)
	}
	*out = joined
	return true
}

// algorithm is an AlgorithmIdentifier (RFC 5280 section 4.1.1.2).
type algorithm struct {
	oid    asn1.ObjectIdentifier
	params cryptobyte.String // one element, or nothing
	raw    []byte
}

// readAlgorithm reads one under a tag, SEQUENCE where it is not implicit.
func readAlgorithm(in *cryptobyte.String, tag cbasn1.Tag) (a algorithm, ok bool) {
	var element, body cryptobyte.String
	if !in.ReadASN1Element(&element, tag) {
		return algorithm{}, false
	}
	a.raw = element
	if !element.ReadASN1(&body, tag) || !body.ReadASN1ObjectIdentifier(&a.oid) {
		return algorithm{}, false
	}
	a.params = body
	if !body.Empty() {
		var one cryptobyte.String
		ok = readElement(&body, &one) && body.Empty()
		return a, ok
	}
	return a, true
}

// empty tells whether the parameters are absent or NULL.
func (a algorithm) empty() bool {
	return len(a.params) == 0 || len(a.params) == 2 && a.params[0] == 5 && a.params[1] == 0
}

// addAlgorithm adds an AlgorithmIdentifier; params adds its parameters, nil none.
func addAlgorithm(b *cryptobyte.Builder, tag cbasn1.Tag, oid asn1.ObjectIdentifier, params func(*cryptobyte.Builder)) {
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if params != nil {
			params(b)
		}
	})
}

func null(b *cryptobyte.Builder) { b.AddASN1NULL() }
