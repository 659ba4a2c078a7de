package cms

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
)

// pwriSize is the octets of a wrapped key: count, three check octets, key and
// padding to whole blocks, two at least (RFC 3211 section 2.3.1).
func pwriSize(size, block int) int { return max(2, (4+size+block-1)/block) * block }

// wrapPWRI is RFC 3211 section 2.3.1: CBC twice, the second time with the last
// block for the IV.
func wrapPWRI(block cipher.Block, iv, cek []byte) []byte {
	out := make([]byte, pwriSize(len(cek), block.BlockSize()))
	rand.Read(out) // never fails (crypto/rand)
	out[0] = byte(len(cek))
	for i := range 3 {
		out[1+i] = ^cek[i]
	}
	copy(out[4:], cek)
	mode := cipher.NewCBCEncrypter(block, iv)
	mode.CryptBlocks(out, out)
	mode.CryptBlocks(out, out)
	return out
}

// unwrapPWRI is RFC 3211 section 2.3.2. It always gives size octets after the
// same operations for that size; where count, check octets or length are wrong
// they are random and ok is 0.
func unwrapPWRI(block cipher.Block, iv, wrapped []byte, size int) (cek []byte, ok int) {
	random := make([]byte, size)
	rand.Read(random) // never fails (crypto/rand)
	bs := block.BlockSize()
	out, ok := sized(wrapped, pwriSize(size, bs))
	last := len(out) - bs
	// The last block first: as plaintext of the second pass it is the IV that
	// the others were encrypted under.
	cipher.NewCBCDecrypter(block, out[last-bs:last]).CryptBlocks(out[last:], out[last:])
	cipher.NewCBCDecrypter(block, out[last:]).CryptBlocks(out[:last], out[:last])
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, out)
	ok &= subtle.ConstantTimeByteEq(out[0], byte(size))
	for i := range 3 {
		ok &= subtle.ConstantTimeByteEq(out[1+i], ^out[4+i])
	}
	return choose(ok, out[4:4+size], random), ok
}
