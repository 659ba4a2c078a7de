package acme

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
)

// refusal is an error about a JWS; token is the problem type's last part.
func refusal(kind ca.Kind, token, public string) *ca.Error {
	return &ca.Error{Kind: kind, Field: token, Public: public}
}

func malformed(public string) *ca.Error { return refusal(ca.BadRequest, "malformed", public) }

// parseEnvelope reads what all kinds of JWS here share: the serialization, the
// protected header's form, "alg" and "url". It gives the header for the rest.
func parseEnvelope(body []byte) (*message, map[string]json.RawMessage, error) {
	if len(body) > maxJWS {
		return nil, nil, malformed("the JWS is too long")
	}
	members, err := jsonMembers(body)
	if err != nil {
		return nil, nil, malformed("the body is not one JSON object with each member at most once")
	}
	// RFC 8555 section 6.2: flattened serialization, one signature, nothing unprotected.
	if _, ok := members["header"]; ok {
		return nil, nil, malformed("the JWS must not have an unprotected header (RFC 8555 section 6.2)")
	}
	if _, ok := members["signatures"]; ok {
		return nil, nil, malformed("the JWS must have one signature, in the flattened form (RFC 8555 section 6.2)")
	}
	protected, ok := jsonString(members["protected"])
	if !ok {
		return nil, nil, malformed("the JWS has no text \"protected\"")
	}
	payload, ok := jsonString(members["payload"])
	if !ok {
		return nil, nil, malformed("the JWS has no text \"payload\"; a POST-as-GET carries an empty one (RFC 8555 section 6.3)")
	}
	signature, ok := jsonString(members["signature"])
	if !ok {
		return nil, nil, malformed("the JWS has no text \"signature\"")
	}
	m := &message{signed: []byte(protected + "." + payload)}
	headerJSON, err := decodeBase64URL(protected)
	if err != nil {
		return nil, nil, malformed("the protected header is not base64url without padding")
	}
	if m.Payload, err = decodeBase64URL(payload); err != nil {
		return nil, nil, malformed("the payload is not base64url without padding")
	}
	if m.signature, err = decodeBase64URL(signature); err != nil {
		return nil, nil, malformed("the signature is not base64url without padding")
	}
	header, err := jsonMembers(headerJSON)
	if err != nil {
		return nil, nil, malformed("the protected header is not one JSON object with each member at most once")
	}
	if _, ok := header["crit"]; ok { // RFC 7515 section 4.1.11: no extension is understood here
		return nil, nil, malformed("the protected header demands an extension (\"crit\"), and none is supported")
	}
	if m.Alg, ok = jsonString(header["alg"]); !ok || m.Alg == "" {
		return nil, nil, malformed("the protected header has no \"alg\"")
	}
	if m.URL, ok = jsonString(header["url"]); !ok || m.URL == "" || len(m.URL) > maxKID {
		return nil, nil, malformed("the protected header has no \"url\" (RFC 8555 section 6.4)")
	}
	return m, header, nil
}

func (m *message) setSignatureAlgorithm() error {
	if findAlgorithm(m.Alg) == nil { // RFC 8555 section 6.2
		return refusal(ca.BadRequest, "badSignatureAlgorithm", "the JWS algorithm is not supported; use one of "+strings.Join(supportedAlgorithms(), ", "))
	}
	return nil
}

// setKey takes exactly one of "jwk" and "kid" (RFC 8555 section 6.2).
func (m *message) setKey(header map[string]json.RawMessage) error {
	jwk, hasKey := header["jwk"]
	kid, hasKID := header["kid"]
	if hasKey == hasKID {
		return malformed("the protected header must have exactly one of \"jwk\" and \"kid\" (RFC 8555 section 6.2)")
	}
	if hasKID {
		var ok bool
		if m.KID, ok = jsonString(kid); !ok || m.KID == "" || len(m.KID) > maxKID {
			return malformed("\"kid\" in the protected header is not a usable text")
		}
		return nil
	}
	key, err := parseJWK(jwk)
	if err != nil {
		return err
	}
	m.Key = &key
	return nil
}

// setNonce takes "nonce", which must be base64url (RFC 8555 section 6.5.2). A
// missing one is badNonce, so that the client comes back with the one in the answer.
func (m *message) setNonce(header map[string]json.RawMessage) error {
	raw, present := header["nonce"]
	if !present {
		return refusal(ca.BadProof, "badNonce", "the protected header has no \"nonce\"; use the Replay-Nonce of this answer and try again")
	}
	nonce, ok := jsonString(raw)
	if !ok || nonce == "" || len(nonce) > maxNonce {
		return malformed("\"nonce\" in the protected header is not a usable text")
	}
	if _, err := decodeBase64URL(nonce); err != nil {
		return malformed("\"nonce\" in the protected header is not base64url (RFC 8555 section 6.5.2)")
	}
	m.Nonce = nonce
	return nil
}

// decodeBase64URL is base64url without padding, line breaks or stray bits (RFC 7515
// section 2), so that one value has one spelling.
func decodeBase64URL(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // the decoder would skip them
		return nil, errors.New("line break in base64url")
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}
