package cms

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// KEK is a key-encryption key that both sides have, under AES key wrap (RFC
// 5652 section 6.2.3, RFC 3565 section 2.3). It encrypts and opens.
type KEK struct {
	ID  []byte // by which both sides know it
	Key []byte // 16, 24 or 32 octets
}

// readKEK reads KEKRecipientInfo.
func readKEK(in cryptobyte.String) ([]RecipientInfo, bool) {
	r := RecipientInfo{Kind: KEKRecipient}
	var version int
	var id cryptobyte.String
	// date and other of KEKIdentifier are passed over.
	ok := in.ReadASN1Integer(&version) && in.ReadASN1(&id, cbasn1.SEQUENCE) && id.ReadASN1Bytes(&r.KeyID, cbasn1.OCTET_STRING)
	if !ok {
		return nil, false
	}
	if r.algorithm, ok = readAlgorithm(&in, cbasn1.SEQUENCE); !ok {
		return nil, false
	}
	ok = in.ReadASN1Bytes(&r.encryptedKey, cbasn1.OCTET_STRING) && in.Empty()
	return []RecipientInfo{r}, ok
}

func (k *KEK) wrap(cek []byte) ([]byte, int, error) {
	oid := wrapOID(len(k.Key))
	if oid == nil {
		return nil, 0, algorithmf("a key-encryption key of %d octets", len(k.Key))
	}
	wrapped, err := wrapKey(k.Key, cek)
	if err != nil {
		return nil, 0, err
	}
	var b cryptobyte.Builder
	b.AddASN1(tag2, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(4)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString(k.ID) })
		addAlgorithm(b, cbasn1.SEQUENCE, oid, nil)
		b.AddASN1OctetString(wrapped)
	})
	der, err := b.Bytes()
	return der, 4, err
}

func (k *KEK) matches(r *RecipientInfo) bool {
	return r.Kind == KEKRecipient && bytes.Equal(r.KeyID, k.ID)
}

func (k *KEK) prepare(r *RecipientInfo, _ Floor) (unwrapper, error) {
	size, err := wrapKeySize(r.algorithm)
	if err != nil {
		return nil, err
	}
	if size != len(k.Key) {
		return nil, algorithmf("key wrap of %d octets with a key of %d", size, len(k.Key))
	}
	return unwrapperOf(r.encryptedKey, func() ([]byte, error) { return bytes.Clone(k.Key), nil }), nil
}
