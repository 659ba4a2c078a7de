package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// sealKeySize is the length of the key-encryption key, in octets.
const sealKeySize = 32

// SealKey reads the key-encryption key out of what Config.Seal resolves to: 32
// octets as base64 (with or without padding), as hexadecimal, or raw. The
// caller clears content. Errors do not repeat it.
func SealKey(content []byte) ([sealKeySize]byte, error) {
	var key [sealKeySize]byte
	text := string(content)
	switch len(content) {
	case sealKeySize:
		if printable(content) {
			return key, errors.New("seal.key: 32 characters are no key of 256 bits; make one with `openssl rand -base64 32`")
		}
		copy(key[:], content)
		return key, nil
	case hex.EncodedLen(sealKeySize):
		if n, err := hex.Decode(key[:], content); err == nil && n == sealKeySize {
			return key, nil
		}
	case base64.StdEncoding.EncodedLen(sealKeySize):
		if raw, err := base64.StdEncoding.Strict().DecodeString(text); err == nil && len(raw) == sealKeySize {
			copy(key[:], raw)
			clear(raw)
			return key, nil
		}
	case base64.RawStdEncoding.EncodedLen(sealKeySize):
		if raw, err := base64.RawStdEncoding.Strict().DecodeString(text); err == nil && len(raw) == sealKeySize {
			copy(key[:], raw)
			clear(raw)
			return key, nil
		}
	}
	clear(key[:])
	return key, errors.New("seal.key: 32 octets are wanted, as base64, hexadecimal or raw; make them with `openssl rand -base64 32`")
}

// printable tells whether all octets are ASCII characters: random ones are not.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
