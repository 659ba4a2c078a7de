package cms

import (
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Encrypt makes a ContentInfo with the content encrypted for recipients, at
// least one: an EnvelopedData for ciphers in CBC mode, an AuthEnvelopedData for
// AES-GCM. OpenSSL before the releases of July 2026 cannot read AES-GCM with
// content of another type than OIDData: it takes the attributes that RFC 5083
// section 2.1 demands there for something else. The cipher must be granted by the floor, else the error is
// ErrAlgorithm, as it is for a recipient whose key is of the wrong type.
func Encrypt(contentType pkix.OID, content []byte, c Cipher, floor Floor, recipients ...Recipient) ([]byte, error) {
	envelopeType, data, err := EncryptData(contentType, content, c, floor, recipients...)
	if err != nil {
		return nil, err
	}
	return MarshalContentInfo(envelopeType, data)
}

// EncryptData is Encrypt without the ContentInfo around it; envelopeType is the
// type that it would have said.
func EncryptData(contentType pkix.OID, content []byte, c Cipher, floor Floor, recipients ...Recipient) (envelopeType pkix.OID, data []byte, err error) {
	row := c.row()
	if row == nil || !c.GrantedBy(floor) {
		return nil, nil, algorithmf("cipher %v is not granted here", c)
	}
	if len(recipients) == 0 {
		return nil, nil, algorithmf("an envelope for nobody")
	}
	cek := row.newKey()
	defer clear(cek)
	infos, version, err := wrapAll(cek, recipients)
	if err != nil {
		return nil, nil, err
	}
	attributes, err := row.authenticated(contentType)
	if err != nil {
		return nil, nil, err
	}
	var over []byte
	if attributes != nil {
		over = asSet(attributes)
	}
	params, sealed, tag, err := row.seal(cek, content, over)
	if err != nil {
		return nil, nil, err
	}
	envelopeType = OIDEnvelopedData
	if row.gcm {
		envelopeType, version = OIDAuthEnvelopedData, 0 // RFC 5083 section 2.1
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, len(sealed)+1024))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(version)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(sortedSet(infos)) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(contentType)
			row.add(b, params)
			b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(sealed) })
		})
		if attributes != nil {
			b.AddASN1(tag1, func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
		}
		if row.gcm {
			b.AddASN1OctetString(tag)
		}
	})
	data, err = b.Bytes()
	return envelopeType, data, err
}

// wrapAll wraps the key for each recipient and gives the version of the
// EnvelopedData (RFC 5652 section 6.1).
func wrapAll(cek []byte, recipients []Recipient) (infos [][]byte, version int64, err error) {
	for _, r := range recipients {
		info, v, err := r.wrap(cek)
		if err != nil {
			return nil, 0, err
		}
		infos = append(infos, info)
		if _, password := r.(*Password); password {
			version = 3
		} else if v != 0 {
			version = max(version, 2)
		}
	}
	return infos, version, nil
}

// authenticated gives the content of authAttrs, which are there where the
// content is not plain data (RFC 5083 section 2.1).
func (row *cipherRow) authenticated(contentType pkix.OID) ([]byte, error) {
	if !row.gcm || contentType.Equal(OIDData) {
		return nil, nil
	}
	typed, err := contentTypeAttribute(contentType)
	if err != nil {
		return nil, err
	}
	return Attributes{typed}.marshal()
}
