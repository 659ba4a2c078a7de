package cms

import (
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

const maxCapabilities = 64

// OIDs that EST clients ask for a key's encryption with (RFC 7030 sections
// 4.4.1.1 and 4.4.1.2) beside the SMIMECapabilities of RFC 8551 section 2.5.2.
var (
	OIDDecryptKeyID           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 37}
	OIDAsymmetricDecryptKeyID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 54}
)

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
