package pkix

import (
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MarshalRequestInfo encodes the part of a PKCS#10 request that is signed (RFC
// 2986 section 4.1), asking for extensions (RFC 2985 section 5.4.2). Assemble
// puts its signature to it.
func MarshalRequestInfo(subject RawName, key PublicKey, extensions []Extension) ([]byte, error) {
	return sequence(func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(subject)
		b.AddBytes(key.Raw())
		b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(OIDExtensionRequest)
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { addExtensions(b, extensions) })
			})
		})
	})
}
