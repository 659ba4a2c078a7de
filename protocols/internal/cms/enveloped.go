package cms

import (
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Envelope is an EnvelopedData (RFC 5652 section 6.1) or an AuthEnvelopedData
// (RFC 5083 section 2.1) that was read and not decrypted.
type Envelope struct {
	ContentType   pkix.OID // of what is inside
	Cipher        Cipher
	Recipients    []RecipientInfo
	Authenticated Attributes // of an AuthEnvelopedData; they hold once Decrypt succeeded
	Unprotected   Attributes // attributes that nothing protects
	params        contentParams
	sealed        []byte // encryptedContent
	tag           []byte // mac
	attributes    []byte // authAttrs as the DER of SET OF, nil without
}

// ReadEnveloped reads a ContentInfo with an EnvelopedData or an
// AuthEnvelopedData in it.
func ReadEnveloped(ber []byte, limits Limits) (*Envelope, error) {
	contentType, content, err := ReadContentInfo(ber, limits)
	if err != nil {
		return nil, err
	}
	return parseEnveloped(contentType, content)
}

// ReadEnvelopedData reads one of both without a ContentInfo around it, as the
// EncryptedKey of CMP has it (RFC 9810 section 5.2.2); contentType tells which.
func ReadEnvelopedData(contentType pkix.OID, ber []byte, limits Limits) (*Envelope, error) {
	der, err := DER(ber, limits)
	if err != nil {
		return nil, err
	}
	return parseEnveloped(contentType, der)
}

func parseEnveloped(contentType pkix.OID, der []byte) (*Envelope, error) {
	authenticated := contentType.Equal(OIDAuthEnvelopedData)
	if !authenticated && !contentType.Equal(OIDEnvelopedData) {
		return nil, syntaxf("content type %s instead of EnvelopedData", contentType)
	}
	in := cryptobyte.String(der)
	var seq, recipients, content, attributes cryptobyte.String
	var version int
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) || version < 0 || version > 4 ||
		!seq.SkipOptionalASN1(tag0) || // originatorInfo
		!seq.ReadASN1(&recipients, cbasn1.SET) || !seq.ReadASN1(&content, cbasn1.SEQUENCE) {
		return nil, syntaxf("not an EnvelopedData")
	}
	e := &Envelope{}
	var err error
	if e.Recipients, err = readRecipients(recipients); err != nil {
		return nil, err
	}
	if err := e.readContent(content, authenticated); err != nil {
		return nil, err
	}
	unprotected := tag1
	if authenticated {
		unprotected = tag2
		if err := e.readAuthenticated(&seq); err != nil {
			return nil, err
		}
	}
	if !seq.ReadOptionalASN1(&attributes, nil, unprotected) || !seq.Empty() {
		return nil, syntaxf("malformed end of an EnvelopedData")
	}
	e.Unprotected, err = readAttributes(attributes)
	return e, err
}

// readContent reads EncryptedContentInfo (RFC 5652 section 6.1).
func (e *Envelope) readContent(in cryptobyte.String, authenticated bool) error {
	if !in.ReadASN1ObjectIdentifier((*pkix.OID)(&e.ContentType)) {
		return syntaxf("malformed type of the encrypted content")
	}
	a, ok := readAlgorithm(&in, cbasn1.SEQUENCE)
	if !ok {
		return syntaxf("malformed content-encryption algorithm")
	}
	if !readOctets(&in, 0, &e.sealed) || !in.Empty() {
		return syntaxf("the encrypted content is missing or malformed")
	}
	row := cipherRowOf(a.oid)
	if row == nil || row.gcm != authenticated {
		return algorithmf("content encryption %s", a.oid)
	}
	e.Cipher = row.id
	var err error
	e.params, err = row.readParams(a.params)
	return err
}

// readAuthenticated reads authAttrs and mac (RFC 5083 section 2.1). What the
// tag is over is the DER of SET OF (section 2.2).
func (e *Envelope) readAuthenticated(seq *cryptobyte.String) error {
	var set cryptobyte.String
	var has bool
	if !seq.ReadOptionalASN1(&set, &has, tag1) || !seq.ReadASN1Bytes(&e.tag, cbasn1.OCTET_STRING) {
		return syntaxf("malformed mac of an AuthEnvelopedData")
	}
	if !has {
		return nil
	}
	var err error
	if e.Authenticated, err = readAttributes(set); err != nil {
		return err
	}
	e.attributes = asSet(resorted(set))
	// Some senders leave content-type out.
	if _, has := e.Authenticated.Find(oidContentType); has {
		return checkContentType(e.Authenticated, e.ContentType)
	}
	return nil
}
