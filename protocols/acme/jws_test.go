package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

// testKeys are one key an algorithm, made once.
var testKeys = sync.OnceValue(func() map[jose.SignatureAlgorithm]crypto.Signer {
	keys := make(map[jose.SignatureAlgorithm]crypto.Signer)
	add := func(alg jose.SignatureAlgorithm, key crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		keys[alg] = key
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	add(jose.RS256, rsaKey, err)
	for alg, curve := range map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(alg, key, err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	add(jose.EdDSA, edKey, err)
	return keys
})

type staticNonce string

func (n staticNonce) Nonce() (string, error) { return string(n), nil }

// joseSign signs as go-jose does for its users: a JWS we did not make.
func joseSign(t testing.TB, alg jose.SignatureAlgorithm, key any, o jose.SignerOptions, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o.WithHeader("url", "https://gate.example/acme/t/c/p/new-order"))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return jws.FullSerialize()
}

// wantRefusal checks kind and token of an error.
func wantRefusal(t *testing.T, err error, kind ca.Kind, token, text string) {
	t.Helper()
	var e *ca.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Field != token || !strings.Contains(e.Public, text) {
		t.Errorf("got %#v, want %s, %s and %q", err, kind, token, text)
	}
}

func TestJWSFromGoJose(t *testing.T) {
	for alg, key := range testKeys() {
		t.Run(string(alg), func(t *testing.T) {
			for _, payload := range []string{`{"identifiers":[]}`, ""} {
				m, err := parseJWS([]byte(joseSign(t, alg, key, jose.SignerOptions{EmbedJWK: true, NonceSource: staticNonce("bm9uY2U")}, payload)))
				if err != nil {
					t.Fatal(err)
				}
				if m.Alg != string(alg) || m.Nonce != "bm9uY2U" || m.URL != "https://gate.example/acme/t/c/p/new-order" || m.KID != "" || string(m.Payload) != payload {
					t.Errorf("message %+v", m)
				}
				if err := m.verify(m.Key.Public); err != nil {
					t.Error(err)
				}
				if err := m.verify(key.Public()); err != nil {
					t.Error(err)
				}
				thumbprint, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
				if err != nil || string(thumbprint) != string(m.Key.Thumbprint[:]) {
					t.Errorf("thumbprint %x, go-jose says %x, %v", m.Key.Thumbprint, thumbprint, err)
				}
			}
			named := jose.JSONWebKey{Key: key, KeyID: "https://gate.example/acme/t/c/p/account/1"}
			m, err := parseJWS([]byte(joseSign(t, alg, named, jose.SignerOptions{NonceSource: staticNonce("bm9uY2U")}, "x")))
			if err != nil || m.Key != nil || m.KID != named.KeyID {
				t.Fatalf("with kid: %+v, %v", m, err)
			}
			for other, otherKey := range testKeys() {
				err := m.verify(otherKey.Public())
				if other == alg {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				wantRefusal(t, err, ca.BadProof, "badSignatureAlgorithm", "does not fit")
			}
			for i := range m.signature {
				m.signature[i] ^= 1
				wantRefusal(t, m.verify(key.Public()), ca.BadProof, "malformed", "does not verify")
				m.signature[i] ^= 1
				if i > 4 {
					break
				}
			}
			for _, signature := range [][]byte{nil, m.signature[1:], append([]byte{0}, m.signature...), append(m.signature[:len(m.signature):len(m.signature)], 0), make([]byte, len(m.signature))} {
				broken := *m
				broken.signature = signature
				wantRefusal(t, broken.verify(key.Public()), ca.BadProof, "malformed", "does not verify")
			}
			m.signed[len(m.signed)-1] ^= 1
			wantRefusal(t, m.verify(key.Public()), ca.BadProof, "malformed", "does not verify")
		})
	}
}

// Appendix A.2 to A.4 of RFC 7515 and A.4 of RFC 8037 are signatures of nobody's library.
func TestVerifyStandardExamples(t *testing.T) {
	for name, c := range map[string]struct{ alg, jwk, protected, payload, signature string }{
		"RFC 7515 A.3": {
			"ES256", `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
			"eyJhbGciOiJFUzI1NiJ9", "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
			"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
		},
		"RFC 8037 A.4": {
			"EdDSA", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
			"eyJhbGciOiJFZERTQSJ9", "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
			"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
		},
	} {
		key, err := parseJWK([]byte(c.jwk))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		signature, err := decodeBase64URL(c.signature)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m := &message{Alg: c.alg, signed: []byte(c.protected + "." + c.payload), signature: signature}
		if err := m.verify(key.Public); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const goodHeader = `{"alg":"ES256","kid":"https://gate.example/1","nonce":"bm9uY2U","url":"https://gate.example/x"}`

// jws puts a protected header into an otherwise good body.
func jws(header string) string {
	return `{"protected":"` + base64.RawURLEncoding.EncodeToString([]byte(header)) + `","payload":"e30","signature":"AAAA"}`
}

func TestParseJWSAccepts(t *testing.T) {
	for name, body := range map[string]string{
		"good":                  jws(goodHeader),
		"unknown members":       strings.Replace(jws(goodHeader), "{", `{"extra":[{}],`, 1),
		"unknown header":        jws(strings.Replace(goodHeader, "{", `{"typ":"JOSE","b64":1,`, 1)),
		"white space":           " \n" + jws(" "+goodHeader+"\r\n") + "\n",
		"escaped name":          jws(strings.Replace(goodHeader, `"alg"`, `"\u0061lg"`, 1)),
		"other case is another": jws(strings.Replace(goodHeader, "{", `{"ALG":"none","Crit":[],`, 1)),
	} {
		m, err := parseJWS([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Alg != "ES256" || m.KID != "https://gate.example/1" || m.Nonce != "bm9uY2U" || m.URL != "https://gate.example/x" || string(m.Payload) != "{}" {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestParseJWSRefuses(t *testing.T) {
	without := func(member string) string {
		var all map[string]any
		if err := json.Unmarshal([]byte(goodHeader), &all); err != nil {
			t.Fatal(err)
		}
		delete(all, member)
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return jws(string(text))
	}
	with := func(old, new string) string { return jws(strings.Replace(goodHeader, old, new, 1)) }
	body := func(old, new string) string { return strings.Replace(jws(goodHeader), old, new, 1) }
	for name, c := range map[string]struct {
		body, token, text string
	}{
		"empty":                     {"", "malformed", "one JSON object"},
		"not JSON":                  {"x", "malformed", "one JSON object"},
		"array":                     {"[" + jws(goodHeader) + "]", "malformed", "one JSON object"},
		"null":                      {"null", "malformed", "one JSON object"},
		"compact serialization":     {"eyJhbGciOiJFUzI1NiJ9.e30.AAAA", "malformed", "one JSON object"},
		"open":                      {strings.TrimSuffix(jws(goodHeader), "}"), "malformed", "one JSON object"},
		"trailing text":             {jws(goodHeader) + "x", "malformed", "one JSON object"},
		"two objects":               {jws(goodHeader) + jws(goodHeader), "malformed", "one JSON object"},
		"not UTF-8":                 {body("{", "{\"\xff\":1,"), "malformed", "one JSON object"},
		"member twice":              {body("{", `{"payload":"",`), "malformed", "one JSON object"},
		"member twice, escaped":     {body("{", `{"\u0070ayload":"",`), "malformed", "one JSON object"},
		"too deep":                  {body("{", `{"x":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+","), "malformed", "one JSON object"},
		"too long":                  {body("{", `{"x":"`+strings.Repeat("x", maxJWS)+`",`), "malformed", "too long"},
		"unprotected header":        {body("{", `{"header":{"kid":"x"},`), "malformed", "unprotected"},
		"unprotected header, empty": {body("{", `{"header":null,`), "malformed", "unprotected"},
		"general serialization":     {body("{", `{"signatures":[],`), "malformed", "one signature"},
		"no protected":              {body("protected", "protect"), "malformed", `"protected"`},
		"no payload":                {body("payload", "pay"), "malformed", `"payload"`},
		"payload null":              {body(`"e30"`, "null"), "malformed", `"payload"`},
		"payload an object":         {body(`"e30"`, "{}"), "malformed", `"payload"`},
		"no signature":              {body("signature", "sign"), "malformed", `"signature"`},
		"payload padded":            {body(`"e30"`, `"e30="`), "malformed", "payload is not base64url"},
		"payload standard base64":   {body(`"e30"`, `"+/+/"`), "malformed", "payload is not base64url"},
		"payload with a line break": {body(`"e30"`, `"e3\n0"`), "malformed", "payload is not base64url"},
		"payload with stray bits":   {body(`"e30"`, `"e31"`), "malformed", "payload is not base64url"},
		"signature padded":          {body(`"AAAA"`, `"AAA="`), "malformed", "signature is not base64url"},
		"protected padded":          {body(`","payload`, `=","payload`), "malformed", "protected header is not base64url"},
		"header not JSON":           {jws("x"), "malformed", "protected header is not one JSON object"},
		"header twice alg":          {with("{", `{"alg":"none",`), "malformed", "protected header is not one JSON object"},
		"header twice unknown":      {with("{", `{"x":1,"x":1,`), "malformed", "protected header is not one JSON object"},
		"header trailing":           {jws(goodHeader + "{}"), "malformed", "protected header is not one JSON object"},
		"crit":                      {with("{", `{"crit":["exp"],"exp":1,`), "malformed", "crit"},
		"crit empty":                {with("{", `{"crit":[],`), "malformed", "crit"},
		"no alg":                    {without("alg"), "malformed", "alg"},
		"alg a number":              {with(`"ES256"`, "1"), "malformed", "alg"},
		"alg none":                  {with("ES256", "none"), "badSignatureAlgorithm", "ES256, ES384, ES512, EdDSA, RS256"},
		"alg HS256":                 {with("ES256", "HS256"), "badSignatureAlgorithm", "not supported"},
		"alg PS256":                 {with("ES256", "PS256"), "badSignatureAlgorithm", "not supported"},
		"alg lower case":            {with("ES256", "es256"), "badSignatureAlgorithm", "not supported"},
		"no url":                    {without("url"), "malformed", "url"},
		"url empty":                 {with("https://gate.example/x", ""), "malformed", "url"},
		"no nonce":                  {without("nonce"), "badNonce", "no \"nonce\""},
		"nonce empty":               {with("bm9uY2U", ""), "malformed", "nonce"},
		"nonce not base64url":       {with("bm9uY2U", "a+b="), "malformed", "nonce"},
		"nonce a number":            {with(`"bm9uY2U"`, "1"), "malformed", "nonce"},
		"nonce too long":            {with("bm9uY2U", strings.Repeat("A", 260)), "malformed", "nonce"},
		"neither kid nor jwk":       {without("kid"), "malformed", "exactly one"},
		"kid and jwk":               {with("{", `{"jwk":{},`), "malformed", "exactly one"},
		"kid empty":                 {with("https://gate.example/1", ""), "malformed", "kid"},
		"kid null":                  {with(`"https://gate.example/1"`, "null"), "malformed", "kid"},
		"jwk null":                  {with(`"kid":"https://gate.example/1"`, `"jwk":null`), "malformed", "jwk"},
		"jwk bad":                   {with(`"kid":"https://gate.example/1"`, `"jwk":{"kty":"oct","k":"AAAA"}`), "badPublicKey", "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := parseJWS([]byte(c.body))
			kind := ca.BadRequest
			if c.token == "badNonce" {
				kind = ca.BadProof
			}
			wantRefusal(t, err, kind, c.token, c.text)
			if m != nil {
				t.Errorf("a message comes with the error: %+v", m)
			}
		})
	}
}

func TestParseInnerJWS(t *testing.T) {
	key := testKeys()[jose.ES256]
	m, err := parseInnerJWS([]byte(joseSign(t, jose.ES256, key, jose.SignerOptions{EmbedJWK: true}, `{"account":"x"}`)))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.verify(m.Key.Public); err != nil || m.Nonce != "" {
		t.Errorf("%v, %+v", err, m)
	}
	_, err = parseInnerJWS([]byte(jws(goodHeader)))
	wantRefusal(t, err, ca.BadRequest, "malformed", "must carry its key")
	_, err = parseInnerJWS([]byte(jws(strings.Replace(goodHeader, "ES256", "HS256", 1))))
	wantRefusal(t, err, ca.BadRequest, "badSignatureAlgorithm", "not supported")
	_, err = parseInnerJWS([]byte("x"))
	wantRefusal(t, err, ca.BadRequest, "malformed", "one JSON object")
}

func TestParseBindingJWS(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
		m, err := parseBindingJWS([]byte(joseSign(t, alg, secret, *new(jose.SignerOptions).WithHeader("kid", "eab-1"), "{}")))
		if err != nil || m.KID != "eab-1" {
			t.Fatalf("%+v, %v", m, err)
		}
		if err := m.verifyMAC(secret); err != nil {
			t.Error(err)
		}
		for _, wrong := range [][]byte{nil, secret[1:]} {
			wantRefusal(t, m.verifyMAC(wrong), ca.BadProof, "unauthorized", "external account binding")
		}
		wantRefusal(t, m.verify(testKeys()[jose.ES256].Public()), ca.BadProof, "badSignatureAlgorithm", "does not fit")
	}
	for name, c := range map[string]struct{ header, token, text string }{
		"signature":  {`{"alg":"ES256","kid":"1","url":"u"}`, "badSignatureAlgorithm", "HS256"},
		"none":       {`{"alg":"none","kid":"1","url":"u"}`, "badSignatureAlgorithm", "HS256"},
		"with nonce": {`{"alg":"HS256","kid":"1","url":"u","nonce":"AAAA"}`, "malformed", "must not hold a nonce"},
		"no kid":     {`{"alg":"HS256","url":"u"}`, "malformed", "exactly one"},
		"jwk":        {`{"alg":"HS256","url":"u","jwk":` + rfcEd25519 + `}`, "malformed", "must name its key"},
	} {
		_, err := parseBindingJWS([]byte(jws(c.header)))
		t.Run(name, func(t *testing.T) { wantRefusal(t, err, ca.BadRequest, c.token, c.text) })
	}
	signed, err := parseJWS([]byte(jws(goodHeader)))
	if err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, signed.verifyMAC(secret), ca.BadProof, "unauthorized", "cannot be verified")
}

func TestSupportedAlgorithms(t *testing.T) {
	if diff := cmp.Diff([]string{"ES256", "ES384", "ES512", "EdDSA", "RS256"}, supportedAlgorithms()); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseJWS(f *testing.F) {
	f.Add([]byte(jws(goodHeader)))
	f.Add([]byte(jws(`{"alg":"EdDSA","jwk":` + rfcEd25519 + `,"nonce":"AAAA","url":"u"}`)))
	f.Add([]byte(jws(`{"alg":"HS256","kid":"1","url":"u"}`)))
	f.Add([]byte(jws(strings.Replace(goodHeader, "{", `{"crit":[],"\u0061lg":1,`, 1))))
	f.Add([]byte(`{"protected":"","payload":"","signature":"","header":{}}`))
	for alg, key := range testKeys() {
		f.Add([]byte(joseSign(f, alg, key, jose.SignerOptions{EmbedJWK: true, NonceSource: staticNonce("bm9uY2U")}, "{}")))
	}
	strangers := testKeys()
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseJWS(body)
		if err != nil {
			if e := ca.AsError(err); e.Field == "" || e.Kind == ca.Internal || m != nil {
				t.Errorf("refused with %#v", e)
			}
		} else {
			if (m.Key == nil) == (m.KID == "") || m.URL == "" || m.Nonce == "" || findAlgorithm(m.Alg) == nil {
				t.Errorf("accepted %+v", m)
			}
			if m.Key != nil {
				m.verify(m.Key.Public)
			}
			if m.verify(strangers[jose.SignatureAlgorithm(m.Alg)].Public()) == nil && m.Key == nil {
				t.Errorf("a key nobody signed with verifies %+v", m)
			}
		}
		parseInnerJWS(body)
		parseBindingJWS(body)
	})
}

func BenchmarkParseJWS(b *testing.B) {
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.RS256} {
		key := testKeys()[alg]
		body := []byte(joseSign(b, alg, jose.JSONWebKey{Key: key, KeyID: "https://gate.example/1"}, jose.SignerOptions{NonceSource: staticNonce("bm9uY2U")}, "{}"))
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, err := parseJWS(body)
				if err != nil {
					b.Fatal(err)
				}
				if err := m.verify(key.Public()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	body := []byte(jws(goodHeader))
	b.Run("parse alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parseJWS(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
