package cms

import (
	"crypto"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// deriveX963 is the key derivation of X9.63 (SEC 1 section 3.6.1) over
// ECC-CMS-SharedInfo (RFC 5753 section 7.2) with the wrap algorithm as it came.
func deriveX963(hash crypto.Hash, z, wrapAlgorithm, ukm []byte, size int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(wrapAlgorithm)
		if ukm != nil {
			b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
		}
		b.AddASN1(tag2, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(binary.BigEndian.AppendUint32(nil, uint32(8*size)))
		})
	})
	info, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	var out []byte
	for counter := uint32(1); len(out) < size; counter++ {
		h := hash.New()
		h.Write(z)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		h.Write(info)
		out = h.Sum(out)
	}
	return out[:size], nil
}
