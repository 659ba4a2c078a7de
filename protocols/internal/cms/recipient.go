package cms

import (
	"crypto/subtle"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxRecipients bounds the recipients of an envelope, each certificate of a key
// agreement counted.
const maxRecipients = 32

// RecipientKind says how a recipient gets at the content-encryption key (RFC
// 5652 section 6.2).
type RecipientKind uint8

const (
	KeyTransportRecipient RecipientKind = iota + 1
	KeyAgreementRecipient
	KEKRecipient
	PasswordRecipient
	OtherRecipient // RFC 5652 section 6.2.5: never opened
)

// RecipientInfo is one way to the content-encryption key.
type RecipientInfo struct {
	Kind         RecipientKind
	Identifier             // of key transport and agreement: whose certificate
	KeyID        []byte    // of KEKRecipient
	algorithm    algorithm // keyEncryptionAlgorithm
	derivation   algorithm // of PasswordRecipient; no oid where it is absent
	originator   []byte    // of KeyAgreementRecipient: the ephemeral public key
	ukm          []byte    // the same, nil without
	encryptedKey []byte
}

// Key opens envelopes: RSAKey, ECKey, *KEK or *Password.
type Key interface {
	// matches tells whether a recipient is this key's, by what it is called.
	matches(r *RecipientInfo) bool
	// prepare checks everything that is public: algorithms, their parameters,
	// the cost. Nothing of the key is used yet.
	prepare(r *RecipientInfo, floor Floor) (unwrapper, error)
}

// unwrapper gets the content-encryption key. What it returns always has size
// octets. ok is 0 where it is known not to be the key; whether it is must not
// show but through the content. An error says that the key could not be asked.
type unwrapper func(size int, blocks blockMaker) (cek []byte, ok int, err error)

// Recipient is somebody to encrypt for: KeyTransport, KeyAgreement, *KEK or
// *Password.
type Recipient interface {
	// wrap gives the DER of the RecipientInfo and the version of it.
	wrap(cek []byte) (info []byte, version int, err error)
}

// choose gives a where ok is 1, and b where it is 0, in constant time. Both
// have the same length.
func choose(ok int, a, b []byte) []byte {
	out := append([]byte(nil), b...)
	subtle.ConstantTimeCopy(ok, out, a)
	return out
}

// sized copies into size octets, zeros for what is missing, and tells whether
// it had that many.
func sized(in []byte, size int) (out []byte, ok int) {
	out = make([]byte, size)
	copy(out, in)
	return out, subtle.ConstantTimeEq(int32(len(in)), int32(size))
}

// readRecipients reads the content of RecipientInfos.
func readRecipients(set cryptobyte.String) (all []RecipientInfo, err error) {
	for n := 0; !set.Empty(); n++ {
		var element, body cryptobyte.String
		var tag cbasn1.Tag
		if n == maxRecipients || len(all) >= maxRecipients {
			return nil, syntaxf("more than %d recipients", maxRecipients)
		}
		if !set.ReadAnyASN1Element(&element, &tag) || !element.ReadASN1(&body, tag) {
			return nil, syntaxf("malformed recipients")
		}
		var some []RecipientInfo
		var ok bool
		switch tag {
		case cbasn1.SEQUENCE:
			some, ok = readKeyTransport(body)
		case tag1:
			some, ok = readKeyAgreement(body)
		case tag2:
			some, ok = readKEK(body)
		case tagPassword:
			some, ok = readPassword(body)
		default:
			some, ok = []RecipientInfo{{Kind: OtherRecipient}}, true
		}
		if !ok {
			return nil, syntaxf("malformed recipient")
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil, syntaxf("no recipients")
	}
	return all, nil
}
