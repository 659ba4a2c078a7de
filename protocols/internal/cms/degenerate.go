package cms

import (
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Degenerate is a SignedData of certificates, and maybe CRLs, alone, without
// content and signers (RFC 5652 section 5.2: "certs-only", as EST and SCEP answer).
// Both are DER and stay in their order, which certificates-only readers rely on.
func Degenerate(certificates, crls [][]byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SET, func(*cryptobyte.Builder) {}) // digestAlgorithms
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(OIDData) })
		addAll(b, 0, certificates)
		addAll(b, 1, crls)
		b.AddASN1(cbasn1.SET, func(*cryptobyte.Builder) {}) // signerInfos
	})
	data, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return MarshalContentInfo(OIDSignedData, data)
}

// ReadDegenerate gives the certificates and CRLs of a SignedData that carries
// them alone, each DER, in their order. One with signers is ErrSyntax: its
// reader has to ask whether they hold. Content without a signer is passed over.
func ReadDegenerate(ber []byte, limits Limits) (certificates, crls [][]byte, err error) {
	s, err := ReadSigned(ber, limits)
	if err != nil {
		return nil, nil, err
	}
	if len(s.Signers) > 0 {
		return nil, nil, syntaxf("%d signers where certificates come alone", len(s.Signers))
	}
	return s.Certificates, s.CRLs, nil
}

// addAll adds an implicitly tagged SET OF what is DER already; nothing for none.
func addAll(b *cryptobyte.Builder, tag uint8, all [][]byte) {
	if len(all) == 0 {
		return
	}
	b.AddASN1(cbasn1.Tag(tag).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
		for _, der := range all {
			b.AddBytes(der)
		}
	})
}
