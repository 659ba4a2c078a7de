package admin

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"unicode"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// ProofSubject is the common name that says what a proof of key compromise says.
const ProofSubject = "Proof of key compromise"

// ParseProof reads a proof that a key is compromised: a PKCS #10 request (RFC
// 2986), PEM or DER, signed with that key, whose common name says so: it has the word
// "key" in it, and "compromise", "compromised" or "publicly disclosed". An ordinary
// request proves nothing of the kind: its owner made it, and many see it.
// BadProof for anything else, with how to make one.
func ParseProof(text []byte) (*pkix.CSR, error) {
	const how = "make one with the key: openssl req -new -key KEY -subj \"/CN=" + ProofSubject + "\" -out FILE"
	if i := bytes.Index(text, []byte("-----BEGIN ")); i >= 0 {
		block, _ := pem.Decode(text[i:])
		if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			return nil, ca.Errorf(ca.BadProof, "the proof is PEM, but no certificate request; %s", how)
		}
		text = block.Bytes
	}
	csr, _, err := claim.VerifyCSR(text, false)
	if err != nil {
		return nil, ca.Wrap(ca.BadProof, err, "the proof is not a certificate request that verifies with its own key; "+how)
	}
	rdns, err := pkix.ParseName(csr.Subject)
	if err != nil {
		return nil, ca.Wrap(ca.BadProof, err, "the proof's subject does not parse; "+how)
	}
	if slices.ContainsFunc(pkix.CommonNames(rdns), saysCompromised) {
		return csr, nil
	}
	return nil, ca.Errorf(ca.BadProof, "the request's common name does not say that its key is compromised, so it may be one that the owner made to enroll; %s", how)
}

// saysCompromised reads words: compromise.example and anti-compromise are names.
func saysCompromised(name string) bool {
	name = strings.ToLower(name)
	words := strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",:;!\"'()", r) })
	for i := range words {
		words[i] = strings.TrimRight(words[i], ".")
	}
	said := slices.Contains(words, "compromise") || slices.Contains(words, "compromised") || strings.Contains(name, "publicly disclosed")
	return said && slices.Contains(words, "key")
}
