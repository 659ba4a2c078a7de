package attest

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"math/big"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// tpmSignature gives the signature of a statement as the key's kind has it. WebAuthn
// says TPMT_SIGNATURE (part 2 section 11.3.4); deployed clients also send the bare
// one: a DER pair, or the octets of an RSA signature.
func tpmSignature(data []byte, a algorithm) ([]byte, error) {
	wrong := errors.New("sig is neither a TPMT_SIGNATURE of alg nor a signature")
	if len(data) < 4 || len(data) > maxTPM {
		return nil, wrong
	}
	kind := tpm2.TPMAlgID(binary.BigEndian.Uint16(data))
	if kind != tpm2.TPMAlgRSASSA && kind != tpm2.TPMAlgECDSA {
		return data, nil
	}
	s, err := tpm2.Unmarshal[tpm2.TPMTSignature](data)
	if err != nil || !bytes.Equal(tpm2.Marshal(s), data) {
		return data, nil // octets of an RSA signature may begin alike
	}
	if kind == tpm2.TPMAlgRSASSA {
		rsa, err := s.Signature.RSASSA()
		if err != nil || hashOf(rsa.Hash) != a.hash {
			return nil, wrong
		}
		return rsa.Sig.Buffer, nil
	}
	ec, err := s.Signature.ECDSA()
	if err != nil || hashOf(ec.Hash) != a.hash {
		return nil, wrong
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(ec.SignatureR.Buffer))
		b.AddASN1BigInt(new(big.Int).SetBytes(ec.SignatureS.Buffer))
	})
	return b.Bytes()
}

// hashOf gives a hash of the TPM's, zero for one that is not taken.
func hashOf(id tpm2.TPMIAlgHash) crypto.Hash {
	switch id {
	case tpm2.TPMAlgSHA256:
		return crypto.SHA256
	case tpm2.TPMAlgSHA384:
		return crypto.SHA384
	case tpm2.TPMAlgSHA512:
		return crypto.SHA512
	}
	return 0
}
