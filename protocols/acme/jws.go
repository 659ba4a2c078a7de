package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"math/big"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
)

const (
	maxJWS   = 256 << 10 // octets of a whole JWS; the door reads no more than that from a socket
	maxKID   = 2048      // octets of "kid" and of "url", which are URLs of ours
	maxNonce = 256       // octets of "nonce"
)

// message is a JWS in flattened JSON serialization (RFC 7515 section 7.2.2) that
// is well-formed but not verified.
type message struct {
	Alg     string      // one of supportedAlgorithms, or of macAlgorithms in an external account binding
	Key     *accountKey // the key in "jwk"; nil if the key is named by KID
	KID     string      // "kid"; empty if Key is set
	Nonce   string      // "nonce"; empty in an inner JWS
	URL     string      // "url"
	Payload []byte      // decoded; empty for POST-as-GET

	signed    []byte // what the signature covers (RFC 7515 section 5.1)
	signature []byte
}

// algorithm is a row of what a JWS may be signed with (RFC 7518 section 3.1, RFC 8037
// section 3.1).
type algorithm struct {
	name   string
	hash   crypto.Hash // 0 for EdDSA, which hashes by itself
	curve  string      // of an ECDSA key, which the algorithm prescribes
	verify func(a *algorithm, pub crypto.PublicKey, signed, signature []byte) bool
}

var algorithms = []algorithm{
	{"ES256", crypto.SHA256, "P-256", verifyECDSA},
	{"ES384", crypto.SHA384, "P-384", verifyECDSA},
	{"ES512", crypto.SHA512, "P-521", verifyECDSA},
	{"EdDSA", 0, "", verifyEd25519},
	{"RS256", crypto.SHA256, "", verifyRSA},
}

// macAlgorithms sign external account bindings alone (RFC 8555 section 7.3.4).
var macAlgorithms = map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}

// supportedAlgorithms is the member "algorithms" that a problem document of type
// badSignatureAlgorithm carries (RFC 8555 section 6.2).
func supportedAlgorithms() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return names
}

func findAlgorithm(name string) *algorithm {
	for i := range algorithms {
		if algorithms[i].name == name {
			return &algorithms[i]
		}
	}
	return nil
}

// parseJWS reads the body of an ACME request (RFC 8555 section 6.2) of at most
// maxJWS octets. Errors are *ca.Error of kind BadRequest or BadProof whose Field
// is the type token of the problem document: malformed, badNonce, badPublicKey or
// badSignatureAlgorithm.
func parseJWS(body []byte) (*message, error) {
	m, header, err := parseEnvelope(body)
	if err != nil {
		return nil, err
	}
	if err := m.setSignatureAlgorithm(); err != nil {
		return nil, err
	}
	if err := m.setKey(header); err != nil {
		return nil, err
	}
	if err := m.setNonce(header); err != nil {
		return nil, err
	}
	return m, nil
}

// parseInnerJWS reads the inner JWS of a key change, which carries its key and
// whose nonce is ignored (RFC 8555 section 7.3.5). Errors are those of parseJWS.
func parseInnerJWS(body []byte) (*message, error) {
	m, header, err := parseEnvelope(body)
	if err != nil {
		return nil, err
	}
	if err := m.setSignatureAlgorithm(); err != nil {
		return nil, err
	}
	if err := m.setKey(header); err != nil {
		return nil, err
	}
	if m.Key == nil {
		return nil, malformed("the inner JWS must carry its key in \"jwk\" (RFC 8555 section 7.3.5)")
	}
	return m, nil
}

// parseBindingJWS reads an external account binding: a MAC under the key that "kid"
// names, without a nonce (RFC 8555 section 7.3.4). Errors are those of parseJWS.
func parseBindingJWS(body []byte) (*message, error) {
	m, header, err := parseEnvelope(body)
	if err != nil {
		return nil, err
	}
	if _, ok := macAlgorithms[m.Alg]; !ok {
		return nil, refusal(ca.BadRequest, "badSignatureAlgorithm", "an external account binding must be signed with HS256, HS384 or HS512 (RFC 8555 section 7.3.4)")
	}
	if _, ok := header["nonce"]; ok {
		return nil, malformed("an external account binding must not hold a nonce (RFC 8555 section 7.3.4)")
	}
	if err := m.setKey(header); err != nil {
		return nil, err
	}
	if m.Key != nil {
		return nil, malformed("an external account binding must name its key in \"kid\" (RFC 8555 section 7.3.4)")
	}
	return m, nil
}

// verify checks the signature with pub: an *rsa.PublicKey, *ecdsa.PublicKey or
// ed25519.PublicKey. The error is a *ca.Error of kind BadProof.
func (m *message) verify(pub crypto.PublicKey) error {
	a := findAlgorithm(m.Alg)
	if a == nil || !a.fits(pub) {
		return refusal(ca.BadProof, "badSignatureAlgorithm", "the JWS algorithm does not fit the type of the account key; use one of "+strings.Join(supportedAlgorithms(), ", "))
	}
	if !a.verify(a, pub, m.signed, m.signature) {
		return refusal(ca.BadProof, "malformed", "the JWS signature does not verify with the account key")
	}
	return nil
}

// verifyMAC checks an external account binding with its shared key, in constant
// time. The error is a *ca.Error of kind BadProof.
func (m *message) verifyMAC(key []byte) error {
	hash, ok := macAlgorithms[m.Alg]
	if !ok || len(key) == 0 {
		return refusal(ca.BadProof, "unauthorized", "the external account binding cannot be verified")
	}
	mac := hmac.New(hash.New, key)
	mac.Write(m.signed)
	if !hmac.Equal(mac.Sum(nil), m.signature) {
		return refusal(ca.BadProof, "unauthorized", "the MAC of the external account binding does not verify; check its key id and HMAC key")
	}
	return nil
}

// fits tells whether the algorithm is made for the key (RFC 7518 sections 3.3 and
// 3.4: the curve belongs to the name).
func (a *algorithm) fits(pub crypto.PublicKey) bool {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return a.name == "RS256"
	case *ecdsa.PublicKey:
		return a.curve == pub.Curve.Params().Name
	case ed25519.PublicKey:
		return a.name == "EdDSA"
	}
	return false
}

func (a *algorithm) digest(signed []byte) []byte {
	h := a.hash.New()
	h.Write(signed)
	return h.Sum(nil)
}

func verifyRSA(a *algorithm, pub crypto.PublicKey, signed, signature []byte) bool {
	return rsa.VerifyPKCS1v15(pub.(*rsa.PublicKey), a.hash, a.digest(signed), signature) == nil
}

func verifyEd25519(_ *algorithm, pub crypto.PublicKey, signed, signature []byte) bool {
	return ed25519.Verify(pub.(ed25519.PublicKey), signed, signature)
}

// verifyECDSA takes r and s side by side, each as long as the curve's order (RFC
// 7518 section 3.4); no other length is taken.
func verifyECDSA(a *algorithm, pub crypto.PublicKey, signed, signature []byte) bool {
	key := pub.(*ecdsa.PublicKey)
	half := (key.Curve.Params().N.BitLen() + 7) / 8
	if len(signature) != 2*half {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	return ecdsa.Verify(key, a.digest(signed), r, s)
}
