package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the table
	_ "crypto/sha512"
	"errors"
)

// algorithm is a row of the COSE algorithms that attestations are signed with.
type algorithm struct {
	hash crypto.Hash // zero: the message itself is signed
	key  string
}

// algorithms are those of RFC 9053 and RFC 8812 without SHA-1.
var algorithms = map[int64]algorithm{
	-7: {crypto.SHA256, "ec"}, -35: {crypto.SHA384, "ec"}, -36: {crypto.SHA512, "ec"},
	-257: {crypto.SHA256, "rsa"}, -258: {crypto.SHA384, "rsa"}, -259: {crypto.SHA512, "rsa"},
	-8: {0, "ed25519"},
}

func findAlgorithm(alg int64) (algorithm, error) {
	a, ok := algorithms[alg]
	if !ok {
		return a, errors.New("alg is not a signature algorithm that is taken here; SHA-1 is not")
	}
	return a, nil
}

func (a algorithm) digest(message []byte) []byte {
	if a.hash == 0 {
		return message
	}
	h := a.hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// verify checks a signature over a message with a key of the algorithm's kind.
func (a algorithm) verify(key crypto.PublicKey, message, sig []byte) error {
	var good bool
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		good = a.key == "ec" && ecdsa.VerifyASN1(k, a.digest(message), sig)
	case *rsa.PublicKey:
		good = a.key == "rsa" && rsa.VerifyPKCS1v15(k, a.hash, a.digest(message), sig) == nil
	case ed25519.PublicKey:
		good = a.key == "ed25519" && ed25519.Verify(k, message, sig)
	}
	if !good {
		return errors.New("sig does not verify with the key of the attesting certificate: what was signed is not the key authorization of this challenge, or alg is another")
	}
	return nil
}
