package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/enrollgate/enrollgate/ca"
)

const (
	minRSABits     = 2048
	maxRSABits     = 8192 // the cost of one verification grows with the square
	minRSAExponent = 65537
	maxRSAExponent = 1<<31 - 1 // what crypto/rsa can use
)

// accountKey is the public key of an account.
type accountKey struct {
	Public     crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	Thumbprint [32]byte         // SHA-256 of Canonical (RFC 7638)
	Canonical  []byte           // the JWK's required members alone, in the form of RFC 7638 section 3; parseJWK reads it back
}

// parseJWK reads a public JWK (RFC 7517) of type RSA, EC on P-256, P-384 or P-521
// (RFC 7518 section 6) or OKP with Ed25519 (RFC 8037 section 2). Members that do not
// belong to the key type's public part are ignored, those of a private or symmetric
// key are refused. Errors are *ca.Error of kind BadRequest with Field malformed or
// badPublicKey.
func parseJWK(raw []byte) (accountKey, error) {
	members, err := jsonMembers(raw)
	if err != nil {
		return accountKey{}, malformed("\"jwk\" is not one JSON object with each member at most once")
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, ok := members[private]; ok {
			return accountKey{}, badKey("the JWK holds secret key material; send the public part alone, and replace the key")
		}
	}
	kind, ok := jsonString(members["kty"])
	if !ok {
		return accountKey{}, badKey("the JWK has no text \"kty\"")
	}
	switch kind {
	case "RSA":
		return parseRSA(members)
	case "EC":
		return parseEC(members)
	case "OKP":
		return parseOKP(members)
	default:
		return accountKey{}, badKey("the JWK's key type is not supported; use RSA, EC or OKP")
	}
}

func badKey(public string) *ca.Error { return refusal(ca.BadRequest, "badPublicKey", public) }

// jwkOctets decodes a base64url member.
func jwkOctets(members map[string]json.RawMessage, name string) ([]byte, error) {
	text, ok := jsonString(members[name])
	if !ok {
		return nil, badKey(fmt.Sprintf("the JWK has no text %q", name))
	}
	value, err := decodeBase64URL(text)
	if err != nil || len(value) == 0 {
		return nil, badKey(fmt.Sprintf("%q in the JWK is not base64url without padding", name))
	}
	return value, nil
}

// jwkInteger decodes a Base64urlUInt, which has no leading zero octet (RFC 7518
// section 2): otherwise one key would have several thumbprints.
func jwkInteger(members map[string]json.RawMessage, name string) (*big.Int, error) {
	value, err := jwkOctets(members, name)
	if err != nil {
		return nil, err
	}
	if value[0] == 0 {
		return nil, badKey(fmt.Sprintf("%q in the JWK starts with a zero octet (RFC 7518 section 2)", name))
	}
	return new(big.Int).SetBytes(value), nil
}

func parseRSA(members map[string]json.RawMessage) (accountKey, error) {
	n, err := jwkInteger(members, "n")
	if err != nil {
		return accountKey{}, err
	}
	e, err := jwkInteger(members, "e")
	if err != nil {
		return accountKey{}, err
	}
	switch {
	case n.BitLen() < minRSABits || n.BitLen() > maxRSABits:
		return accountKey{}, badKey(fmt.Sprintf("the RSA key has %d bits; use %d to %d", n.BitLen(), minRSABits, maxRSABits))
	case n.Bit(0) == 0:
		return accountKey{}, badKey("the RSA modulus is even")
	case e.Cmp(big.NewInt(minRSAExponent)) < 0 || e.Cmp(big.NewInt(maxRSAExponent)) > 0 || e.Bit(0) == 0:
		return accountKey{}, badKey(fmt.Sprintf("the RSA exponent must be odd and from %d to %d", minRSAExponent, maxRSAExponent))
	}
	return newAccountKey(&rsa.PublicKey{N: n, E: int(e.Int64())}, members, "e", "kty", "n"), nil
}

func parseEC(members map[string]json.RawMessage) (accountKey, error) {
	var curve elliptic.Curve
	switch name, _ := jsonString(members["crv"]); name {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return accountKey{}, badKey("the JWK's curve is not supported; use P-256, P-384 or P-521")
	}
	x, err := jwkOctets(members, "x")
	if err != nil {
		return accountKey{}, err
	}
	y, err := jwkOctets(members, "y")
	if err != nil {
		return accountKey{}, err
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) != size || len(y) != size { // RFC 7518 section 6.2.1.2
		return accountKey{}, badKey(fmt.Sprintf("the coordinates of a %s key must have %d octets each", curve.Params().Name, size))
	}
	point := append(append([]byte{4}, x...), y...) // SEC 1 section 2.3.3
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return accountKey{}, badKey("the JWK's point is not on its curve")
	}
	return newAccountKey(pub, members, "crv", "kty", "x", "y"), nil
}

func parseOKP(members map[string]json.RawMessage) (accountKey, error) {
	if name, _ := jsonString(members["crv"]); name != "Ed25519" {
		return accountKey{}, badKey("the JWK's curve is not supported; use Ed25519")
	}
	x, err := jwkOctets(members, "x")
	if err != nil {
		return accountKey{}, err
	}
	if len(x) != ed25519.PublicKeySize {
		return accountKey{}, badKey(fmt.Sprintf("an Ed25519 key must have %d octets", ed25519.PublicKeySize))
	}
	return newAccountKey(ed25519.PublicKey(x), members, "crv", "kty", "x"), nil
}

// newAccountKey writes the canonical form from the members of names, which are the
// key type's required ones in the order of RFC 7638 section 3.3. Their texts have
// been checked to hold nothing that JSON escapes.
func newAccountKey(pub crypto.PublicKey, members map[string]json.RawMessage, names ...string) accountKey {
	canonical := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			canonical = append(canonical, ',')
		}
		text, _ := jsonString(members[name])
		canonical = append(canonical, `"`+name+`":"`+text+`"`...)
	}
	canonical = append(canonical, '}')
	return accountKey{Public: pub, Thumbprint: sha256.Sum256(canonical), Canonical: canonical}
}
