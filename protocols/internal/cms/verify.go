package cms

import (
	"bytes"
	"crypto"
	"crypto/subtle"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Verify checks one signer's signature over the content with a public key (RFC
// 5652 sections 5.4 to 5.6): the signature, and with signed attributes that
// message-digest is that of the content and content-type its type.
//
// Old digests are ErrAlgorithm unless the floor grants them, and what does not
// hold is ErrSignature. Whose the key is, and whether it may sign, is the
// caller's to decide.
func (s *SignedData) Verify(signer *SignerInfo, key crypto.PublicKey, floor Floor) error {
	if err := floor.hash(signer.Hash); err != nil {
		return err
	}
	check, err := verifierFor(signer.algorithm, signer.Hash, key)
	if err != nil {
		return err
	}
	if !signer.attributes {
		return s.verifyBare(signer, check)
	}
	if err := s.checkAttributes(signer); err != nil {
		return err
	}
	// Section 5.4: the signature is over the DER of SET OF. Some senders sign
	// the order they send in, which is the same set.
	sorted := resorted(signer.signedSet)
	err = check(asSet(sorted), signer.Signature)
	if err != nil && !bytes.Equal(sorted, signer.signedSet) {
		err = check(asSet(signer.signedSet), signer.Signature)
	}
	if err != nil {
		return signaturef("%v", err)
	}
	return nil
}

// verifyBare is without signed attributes, which only plain data may be (RFC
// 5652 section 5.3). Content that reads as signed attributes is refused: it
// could be those of another message, whose signature would fit.
func (s *SignedData) verifyBare(signer *SignerInfo, check func(message, signature []byte) error) error {
	if !s.ContentType.Equal(OIDData) {
		return signaturef("content of type %s without signed attributes", s.ContentType)
	}
	in := cryptobyte.String(s.Content)
	var set cryptobyte.String
	if in.ReadASN1(&set, cbasn1.SET) && in.Empty() {
		if attributes, err := readAttributes(set); err == nil {
			if _, is := attributes.Find(oidMessageDigest); is {
				return signaturef("the content is the signed attributes of another message")
			}
		}
	}
	if err := check(s.Content, signer.Signature); err != nil {
		return signaturef("%v", err)
	}
	return nil
}

// checkAttributes is RFC 5652 sections 11.1 and 11.2.
func (s *SignedData) checkAttributes(signer *SignerInfo) error {
	if err := checkContentType(signer.Signed, s.ContentType); err != nil {
		return signaturef("%v", err)
	}
	value, ok := signer.Signed.Value(oidMessageDigest)
	in := cryptobyte.String(value)
	var sum cryptobyte.String
	if !ok || !in.ReadASN1(&sum, cbasn1.OCTET_STRING) || !in.Empty() {
		return signaturef("the message-digest attribute is missing or malformed")
	}
	if subtle.ConstantTimeCompare(sum, digest(signer.Hash, s.Content)) != 1 {
		return signaturef("the message-digest attribute is not the digest of the content")
	}
	return nil
}

// asSet gives signed attributes the tag of SET OF, under which they are signed.
func asSet(content []byte) []byte {
	out := make([]byte, 0, len(content)+6)
	return append(appendLength(append(out, byte(cbasn1.SET)), len(content)), content...)
}
