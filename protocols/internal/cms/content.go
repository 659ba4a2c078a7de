package cms

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
)

// seal encrypts content. The tag, over the attributes too, is apart, as
// AuthEnvelopedData has it; it is nil for CBC.
func (row *cipherRow) seal(key, content, attributes []byte) (p contentParams, sealed, tag []byte, err error) {
	p = contentParams{nonce: make([]byte, row.nonce), tag: 16}
	rand.Read(p.nonce) // never fails (crypto/rand)
	block, err := newBlock(row.kind, key)
	if err != nil {
		return p, nil, nil, err
	}
	if row.gcm {
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return p, nil, nil, err
		}
		sealed = aead.Seal(nil, p.nonce, content, attributes)
		return p, sealed[:len(content)], sealed[len(content):], nil
	}
	sealed = pad(content, row.block)
	cipher.NewCBCEncrypter(block, p.nonce).CryptBlocks(sealed, sealed)
	return p, sealed, nil, nil
}

// openCBC decrypts content. ok is 1 where its length and padding are right, and
// is found in constant time; every whole block is decrypted before.
func (row *cipherRow) openCBC(block cipher.Block, p contentParams, sealed []byte) (content []byte, ok int) {
	whole := len(sealed) / row.block * row.block
	plain := make([]byte, max(whole, row.block)) // zeros for want of a block
	ok = subtle.ConstantTimeEq(int32(whole), int32(len(sealed))) & subtle.ConstantTimeLessOrEq(row.block, whole)
	copy(plain, sealed[:whole])
	cipher.NewCBCDecrypter(block, p.nonce).CryptBlocks(plain, plain)
	n, padded := unpad(plain, row.block)
	return plain[:n], ok & padded
}

// openGCM decrypts content and checks its tag over it and the attributes.
func openGCM(block cipher.Block, p contentParams, sealed, tag, attributes []byte) (content []byte, ok int) {
	aead, err := cipher.NewGCMWithTagSize(block, p.tag)
	if err != nil {
		return nil, 0
	}
	// A tag of another length than announced is made a wrong one, even where
	// what is left of it is right, so that it fails where those do.
	ok = subtle.ConstantTimeEq(int32(len(tag)), int32(p.tag))
	both := make([]byte, len(sealed)+p.tag)
	copy(both[copy(both, sealed):], tag)
	both[len(both)-1] ^= byte(1 - ok)
	content, err = aead.Open(both[:0], p.nonce, both, attributes)
	if err != nil {
		return nil, 0
	}
	return content, ok
}

// pad is RFC 5652 section 6.3.
func pad(content []byte, block int) []byte {
	n := block - len(content)%block
	out := make([]byte, len(content)+n)
	copy(out, content)
	for i := len(content); i < len(out); i++ {
		out[i] = byte(n)
	}
	return out
}

// unpad finds how much of at least one whole block is content, looking at all
// of the last one whatever is in it. Where the padding is wrong ok is 0.
func unpad(plain []byte, block int) (n, ok int) {
	last := plain[len(plain)-1]
	ok = subtle.ConstantTimeLessOrEq(1, int(last)) & subtle.ConstantTimeLessOrEq(int(last), block)
	for i := range block {
		padding := subtle.ConstantTimeLessOrEq(i+1, int(last))
		same := subtle.ConstantTimeByteEq(plain[len(plain)-1-i], last)
		ok &= same | (padding ^ 1)
	}
	return subtle.ConstantTimeSelect(ok, len(plain)-int(last), 0), ok
}
