package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/binary"
)

// wrapIV is RFC 3394 section 2.2.3.1.
const wrapIV = 0xa6a6a6a6a6a6a6a6

const wrapBlock = 8 // octets

// wrapOID is AES key wrap with keys of so many octets (RFC 3565 section 2.3.2);
// nil for a length that AES has not.
func wrapOID(key int) asn1.ObjectIdentifier {
	switch key {
	case 16:
		return nistAES(5)
	case 24:
		return nistAES(25)
	case 32:
		return nistAES(45)
	}
	return nil
}

// wrapKeySize reads an AES key wrap algorithm: the octets of its key.
func wrapKeySize(a algorithm) (int, error) {
	for _, size := range []int{16, 24, 32} {
		if a.oid.Equal(wrapOID(size)) && a.empty() {
			return size, nil
		}
	}
	return 0, algorithmf("key wrap %s", a.oid)
}

// wrapKey is AES key wrap (RFC 3394 section 2.2.1).
func wrapKey(kek, cek []byte) ([]byte, error) {
	if len(cek) < 2*wrapBlock || len(cek)%wrapBlock != 0 {
		return nil, algorithmf("AES key wrap of a key of %d octets", len(cek))
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	n := len(cek) / wrapBlock
	out := make([]byte, wrapBlock+len(cek))
	copy(out[wrapBlock:], cek)
	var b [2 * wrapBlock]byte
	binary.BigEndian.PutUint64(b[:], wrapIV)
	for j := range 6 {
		for i := 1; i <= n; i++ {
			r := out[i*wrapBlock : (i+1)*wrapBlock]
			copy(b[wrapBlock:], r)
			block.Encrypt(b[:], b[:])
			binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^uint64(n*j+i))
			copy(r, b[wrapBlock:])
		}
	}
	copy(out, b[:wrapBlock])
	return out, nil
}

// unwrapKey undoes wrapKey (RFC 3394 section 2.2.2). It always gives size
// octets after the same number of block operations; where the integrity check
// or the length fails they are random and ok is 0. size was checked to be one
// that can be wrapped.
func unwrapKey(block cipher.Block, wrapped []byte, size int) (cek []byte, ok int) {
	random := make([]byte, size)
	rand.Read(random) // never fails (crypto/rand)
	in, ok := sized(wrapped, wrapBlock+size)
	n := size / wrapBlock
	var b [2 * wrapBlock]byte
	copy(b[:], in[:wrapBlock])
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			r := in[i*wrapBlock : (i+1)*wrapBlock]
			binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^uint64(n*j+i))
			copy(b[wrapBlock:], r)
			block.Decrypt(b[:], b[:])
			copy(r, b[wrapBlock:])
		}
	}
	var iv [wrapBlock]byte
	binary.BigEndian.PutUint64(iv[:], wrapIV)
	ok &= subtle.ConstantTimeCompare(b[:wrapBlock], iv[:])
	return choose(ok, in[wrapBlock:], random), ok
}

// unwrapperOf unwraps with a key-encryption key that derive gives.
func unwrapperOf(wrapped []byte, derive func() ([]byte, error)) unwrapper {
	return func(size int, blocks blockMaker) ([]byte, int, error) {
		kek, err := derive()
		if err != nil {
			return nil, 0, err
		}
		defer clear(kek)
		block, err := blocks(kindAES, kek)
		if err != nil {
			return nil, 0, err
		}
		if size < 2*wrapBlock { // single DES: known from the outside
			cek, _ := unwrapKey(block, wrapped, 2*wrapBlock)
			return cek[:size], 0, nil
		}
		cek, ok := unwrapKey(block, wrapped, size)
		return cek, ok, nil
	}
}
