package cms

import (
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

const maxCapabilities = 64

// ParseCapabilities reads SMIMECapabilities (RFC 8551 section 2.5.2), DER: the
// algorithms in the order preferred, at most 64. Their parameters are passed
// over.
func ParseCapabilities(der []byte) ([]pkix.OID, error) {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, syntaxf("not SMIMECapabilities")
	}
	var all []pkix.OID
	for !seq.Empty() {
		one, ok := readAlgorithm(&seq, cbasn1.SEQUENCE)
		if !ok {
			return nil, syntaxf("malformed SMIMECapabilities")
		}
		if all = append(all, one.oid); len(all) > maxCapabilities {
			return nil, syntaxf("more than %d capabilities", maxCapabilities)
		}
	}
	return all, nil
}

// PreferredCipher gives the first of the capabilities that is a content cipher
// granted by the floor; false where there is none.
func PreferredCipher(capabilities []pkix.OID, floor Floor) (Cipher, bool) {
	for _, oid := range capabilities {
		if row := cipherRowOf(oid); row != nil && row.id.GrantedBy(floor) {
			return row.id, true
		}
	}
	return 0, false
}
