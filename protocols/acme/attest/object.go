package attest

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of an attestation object, in octets and elements.
const (
	maxObject      = 48 << 10
	maxCertificate = 8 << 10
	maxChain       = 5
	maxTPM         = 4 << 10 // certInfo, pubArea and sig each
)

// object is an attestation object. Members other than these are ignored, authData
// among them (section 5 of the draft).
type object struct {
	Format    string          `cbor:"fmt"`
	Statement cbor.RawMessage `cbor:"attStmt"`
}

// statement holds the members of all formats.
type statement struct {
	Version  string   `cbor:"ver"`
	Alg      int64    `cbor:"alg"` // COSE algorithm (RFC 9053)
	Chain    [][]byte `cbor:"x5c"`
	Sig      []byte   `cbor:"sig"`
	CertInfo []byte   `cbor:"certInfo"`
	PubArea  []byte   `cbor:"pubArea"`
}

// decoding takes CTAP2's subset of CBOR but for the order of keys (WebAuthn section
// 6.5.4): no duplicates, no indefinite lengths, no tags, and nothing deep or long.
var decoding = cbor.DecOptions{
	DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	MaxNestedLevels: 8, MaxArrayElements: 64, MaxMapPairs: 32, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
}

// parseObject reads an attestation object and its statement.
func parseObject(data []byte) (format string, s *statement, err error) {
	mode, err := decoding.DecMode()
	if err != nil {
		return "", nil, err
	}
	if len(data) == 0 || len(data) > maxObject {
		return "", nil, errors.New("the attestation object is empty or too long")
	}
	var o object
	if err := mode.Unmarshal(data, &o); err != nil || o.Format == "" || len(o.Statement) == 0 {
		return "", nil, errors.New("the attestation object is not a CBOR map with fmt and attStmt, or has a key twice")
	}
	s = &statement{}
	if err := mode.Unmarshal(o.Statement, s); err != nil {
		return "", nil, errors.New("attStmt is not a CBOR map of its format, or has a key twice")
	}
	return o.Format, s, nil
}

// byteString reads a CBOR byte string that fills data.
func byteString(data []byte) ([]byte, error) {
	mode, err := decoding.DecMode()
	if err != nil {
		return nil, err
	}
	var out []byte
	if err := mode.Unmarshal(data, &out); err != nil || len(data) == 0 || data[0]>>5 != 2 {
		return nil, errors.New("sig is not a CBOR byte string")
	}
	return out, nil
}

// attObj reads the attestation object out of the answer to a challenge: {"attObj":
// base64url without padding}. Other members are ignored (section 5 of the draft).
func attObj(response []byte) ([]byte, error) {
	var in struct {
		Object *string `json:"attObj"`
	}
	if err := json.Unmarshal(response, &in); err != nil || in.Object == nil {
		return nil, errors.New("the answer to the challenge is not a JSON object with attObj")
	}
	if len(*in.Object) > base64.RawURLEncoding.EncodedLen(maxObject) {
		return nil, errors.New("the attestation object is empty or too long")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(*in.Object)
	if err != nil {
		return nil, errors.New("attObj is not base64url without padding")
	}
	return data, nil
}
