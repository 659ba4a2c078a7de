package acme

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/enrollgate/enrollgate/ca"
)

// Keys with published thumbprints: RFC 7638 section 3.1 and RFC 8037 appendix A.3.
const (
	rfcRSA     = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
	rfcEd25519 = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

func TestJWKThumbprints(t *testing.T) {
	for jwk, want := range map[string]string{
		rfcRSA:     "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		rfcEd25519: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
		// escapes, order and further members change nothing
		`{"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","crv":"Ed\u00325519","kty":"OKP","y":"ignored"}`: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
	} {
		key, err := parseJWK([]byte(jwk))
		if err != nil {
			t.Errorf("%s: %v", jwk, err)
			continue
		}
		if got := base64.RawURLEncoding.EncodeToString(key.Thumbprint[:]); got != want {
			t.Errorf("%s: thumbprint %s, want %s", jwk, got, want)
		}
	}
}

func TestJWKFromGoJose(t *testing.T) {
	for alg, private := range testKeys() {
		text, err := json.Marshal(jose.JSONWebKey{Key: private.Public(), KeyID: "k", Algorithm: string(alg), Use: "sig"})
		if err != nil {
			t.Fatal(err)
		}
		key, err := parseJWK(text)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if !key.Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(private.Public()) {
			t.Errorf("%s: another key", alg)
		}
		again, err := parseJWK(key.Canonical)
		if err != nil || !bytes.Equal(again.Canonical, key.Canonical) || again.Thumbprint != key.Thumbprint {
			t.Errorf("%s: the canonical form %s does not read back: %v", alg, key.Canonical, err)
		}
		secret, err := json.Marshal(jose.JSONWebKey{Key: private})
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseJWK(secret)
		wantRefusal(t, err, ca.BadRequest, "badPublicKey", "secret key material")
	}
}

func TestJWKRefuses(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	rsaKey := func(n *big.Int, e []byte) string {
		return `{"kty":"RSA","n":"` + b64(n.Bytes()) + `","e":"` + b64(e) + `"}`
	}
	bits := func(n uint) *big.Int { // an odd number of n bits
		return new(big.Int).SetBit(big.NewInt(1), int(n)-1, 1)
	}
	f4 := []byte{1, 0, 1}
	point := elliptic.P256().Params()
	ec := func(crv string, x, y []byte) string {
		return `{"kty":"EC","crv":"` + crv + `","x":"` + b64(x) + `","y":"` + b64(y) + `"}`
	}
	gx, gy := point.Gx.FillBytes(make([]byte, 32)), point.Gy.FillBytes(make([]byte, 32))
	off := append(bytes.Clone(gy[:31]), gy[31]^1)

	for name, good := range map[string]string{
		"2048 bits": rsaKey(bits(2048), f4), "8192 bits": rsaKey(bits(8192), f4), "2^31-1": rsaKey(bits(2048), []byte{0x7f, 0xff, 0xff, 0xff}), "P-256": ec("P-256", gx, gy),
	} {
		if _, err := parseJWK([]byte(good)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ jwk, token, text string }{
		"not an object":       {`"x"`, "malformed", "one JSON object"},
		"member twice":        {`{"kty":"OKP",` + rfcEd25519[1:], "malformed", "at most once"},
		"no kty":              {`{"crv":"Ed25519"}`, "badPublicKey", "kty"},
		"kty a number":        {`{"kty":1}`, "badPublicKey", "kty"},
		"kty unknown":         {`{"kty":"AKP"}`, "badPublicKey", "not supported"},
		"kty lower case":      {`{"kty":"rsa"}`, "badPublicKey", "not supported"},
		"symmetric":           {`{"kty":"oct","k":"AAAA"}`, "badPublicKey", "secret"},
		"symmetric, empty":    {`{"kty":"oct"}`, "badPublicKey", "not supported"},
		"private null":        {strings.Replace(rfcEd25519, "{", `{"d":null,`, 1), "badPublicKey", "secret"},
		"RSA 2047":            {rsaKey(bits(2047), f4), "badPublicKey", "2047 bits"},
		"RSA 8193":            {rsaKey(bits(8193), f4), "badPublicKey", "8193 bits"},
		"RSA 1024":            {rsaKey(bits(1024), f4), "badPublicKey", "1024 bits"},
		"RSA even":            {rsaKey(new(big.Int).Lsh(big.NewInt(1), 2047), f4), "badPublicKey", "even"},
		"exponent 1":          {rsaKey(bits(2048), []byte{1}), "badPublicKey", "exponent"},
		"exponent 3":          {rsaKey(bits(2048), []byte{3}), "badPublicKey", "exponent"},
		"exponent even":       {rsaKey(bits(2048), []byte{1, 0, 2}), "badPublicKey", "exponent"},
		"exponent 2^31+1":     {rsaKey(bits(2048), []byte{0x80, 0, 0, 1}), "badPublicKey", "exponent"},
		"exponent 2^64+1":     {rsaKey(bits(2048), []byte{1, 0, 0, 0, 0, 0, 0, 0, 1}), "badPublicKey", "exponent"},
		"exponent zero led":   {rsaKey(bits(2048), []byte{0, 1, 0, 1}), "badPublicKey", "zero octet"},
		"exponent missing":    {`{"kty":"RSA","n":"` + b64(bits(2048).Bytes()) + `"}`, "badPublicKey", `"e"`},
		"modulus zero led":    {`{"kty":"RSA","e":"AQAB","n":"` + b64(append([]byte{0}, bits(2048).Bytes()...)) + `"}`, "badPublicKey", "zero octet"},
		"modulus empty":       {`{"kty":"RSA","e":"AQAB","n":""}`, "badPublicKey", `"n"`},
		"modulus padded":      {strings.Replace(rsaKey(bits(2048), f4), `","e"`, `=","e"`, 1), "badPublicKey", `"n"`},
		"EC off curve":        {ec("P-256", gx, off), "badPublicKey", "not on its curve"},
		"EC zero":             {ec("P-256", make([]byte, 32), make([]byte, 32)), "badPublicKey", "not on its curve"},
		"EC beyond the field": {ec("P-256", bytes.Repeat([]byte{0xff}, 32), gy), "badPublicKey", "not on its curve"},
		"EC short":            {ec("P-256", gx[1:], gy), "badPublicKey", "32 octets"},
		"EC long":             {ec("P-256", append([]byte{0}, gx...), gy), "badPublicKey", "32 octets"},
		"EC other size":       {ec("P-384", gx, gy), "badPublicKey", "48 octets"},
		"EC P-224":            {ec("P-224", gx, gy), "badPublicKey", "curve"},
		"EC secp256k1":        {ec("secp256k1", gx, gy), "badPublicKey", "curve"},
		"EC without y":        {`{"kty":"EC","crv":"P-256","x":"` + b64(gx) + `"}`, "badPublicKey", `"y"`},
		"EC without x":        {`{"kty":"EC","crv":"P-256","y":"` + b64(gx) + `"}`, "badPublicKey", `"x"`},
		"OKP X25519":          {strings.Replace(rfcEd25519, "Ed25519", "X25519", 1), "badPublicKey", "Ed25519"},
		"OKP Ed448":           {strings.Replace(rfcEd25519, "Ed25519", "Ed448", 1), "badPublicKey", "Ed25519"},
		"OKP short":           {`{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`, "badPublicKey", "32 octets"},
		"OKP without x":       {`{"kty":"OKP","crv":"Ed25519"}`, "badPublicKey", `"x"`},
	} {
		_, err := parseJWK([]byte(c.jwk))
		t.Run(name, func(t *testing.T) { wantRefusal(t, err, ca.BadRequest, c.token, c.text) })
	}
}

func FuzzParseJWK(f *testing.F) {
	f.Add([]byte(rfcRSA))
	f.Add([]byte(rfcEd25519))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`))
	f.Add([]byte(`{"kty":"oct","k":"AAAA"}`))
	f.Add([]byte(`{"kty":"RSA","n":"AQAB","e":"AQAB","\u0064":""}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, err := parseJWK(raw)
		if err != nil {
			if e := ca.AsError(err); e.Field == "" || e.Kind != ca.BadRequest || key.Public != nil {
				t.Errorf("refused with %#v", e)
			}
			return
		}
		again, err := parseJWK(key.Canonical)
		if err != nil || !bytes.Equal(again.Canonical, key.Canonical) {
			t.Errorf("the canonical form %s does not read back: %v", key.Canonical, err)
		}
		// The same key has the same thumbprint for a reader we did not write.
		var other jose.JSONWebKey
		if err := other.UnmarshalJSON(key.Canonical); err != nil {
			t.Fatalf("go-jose refuses %s: %v", key.Canonical, err)
		}
		thumbprint, err := other.Thumbprint(crypto.SHA256)
		if err != nil || !bytes.Equal(thumbprint, key.Thumbprint[:]) {
			t.Errorf("thumbprint %x, go-jose says %x, %v", key.Thumbprint, thumbprint, err)
		}
	})
}
