package interop

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// newParty makes a key without an account.
func newParty(t *testing.T, alg jose.SignatureAlgorithm) *party {
	t.Helper()
	p := &party{alg: alg}
	var err error
	switch alg {
	case jose.RS256:
		p.key, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.EdDSA:
		_, p.key, err = ed25519.GenerateKey(rand.Reader)
	default:
		curve := map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()}[alg]
		p.key, err = ecdsa.GenerateKey(curve, rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// registered makes an account that agrees to the terms.
func (c *conversation) registered() *party {
	c.t.Helper()
	p := newParty(c.t, jose.ES256)
	r := c.send(p, c.urls["newAccount"], `{"termsOfServiceAgreed":true}`)
	if p.kid = r.header.Get("Location"); r.status != http.StatusCreated {
		c.t.Fatalf("newAccount: %d %s", r.status, r.body)
	}
	return p
}

func set(name jose.HeaderKey, value any) fault { return func(d *draft) { d.header[name] = value } }

func drop(name jose.HeaderKey) fault { return func(d *draft) { delete(d.header, name) } }

func body(text string) fault { return func(d *draft) { d.body = func(string) string { return text } } }

func media(text string) fault { return func(d *draft) { d.media = text } }

func method(text string) fault { return func(d *draft) { d.method = text } }

func flat(change func(map[string]any)) fault { return func(d *draft) { d.flat = change } }

func member(name string, value any) fault {
	return flat(func(m map[string]any) { m[name] = value })
}

func suffix(name, text string) fault {
	return flat(func(m map[string]any) { m[name] = m[name].(string) + text })
}

// named is a fault with its name.
type namedFault struct {
	name  string
	fault fault
}

// faults are what can be wrong, or unusual, about any signed request.
func (c *conversation) faults(other *party, used string) []namedFault {
	stranger := newParty(c.t, jose.ES256)
	secret := []byte(strings.Repeat("k", 32))
	return []namedFault{
		{"garbage", body("garbage")},
		{"empty body", body("")},
		{"empty object", body("{}")},
		{"array", body("[]")},
		{"null", body("null")},
		{"two objects", func(d *draft) { d.body = func(s string) string { return s + s } }},
		{"oversize", body(strings.Repeat("x", 2<<20))},
		{"compact serialization", func(d *draft) {
			d.flat = func(m map[string]any) {
				text := m["protected"].(string) + "." + m["payload"].(string) + "." + m["signature"].(string)
				d.body = func(string) string { return text }
			}
		}},
		{"general serialization", flat(func(m map[string]any) {
			m["signatures"] = []any{map[string]any{"protected": m["protected"], "signature": m["signature"]}}
			delete(m, "protected")
			delete(m, "signature")
		})},
		{"signatures beside one", flat(func(m map[string]any) { m["signatures"] = []any{} })},
		{"unprotected header", flat(func(m map[string]any) { m["header"] = map[string]any{"kid": "x"} })},
		{"unknown member", member("extra", 1)},
		{"no payload", flat(func(m map[string]any) { delete(m, "payload") })},
		{"payload null", member("payload", nil)},
		{"payload object", member("payload", map[string]any{})},
		{"no protected", flat(func(m map[string]any) { delete(m, "protected") })},
		{"no signature", flat(func(m map[string]any) { delete(m, "signature") })},
		{"empty signature", member("signature", "")},
		{"short signature", member("signature", "AAAA")},
		{"signature not base64url", member("signature", "+/+/")},
		{"padded payload", suffix("payload", "=")},
		{"padded protected", suffix("protected", "=")},
		{"padded signature", suffix("signature", "==")},
		{"changed payload", member("payload", "e30x")},
		{"another's signature", func(d *draft) { d.signer.Key = stranger.key }},
		{"media type missing", media("")},
		{"media type json", media("application/json")},
		{"media type jose", media("application/jose")},
		{"media type with charset", media("application/jose+json; charset=utf-8")},
		{"media type upper case", media("Application/JOSE+JSON")},
		{"no nonce", drop("nonce")},
		{"empty nonce", set("nonce", "")},
		{"unknown nonce", set("nonce", "bm9uY2U")},
		{"used nonce", set("nonce", used)},
		{"nonce not base64url", set("nonce", "not base64url!")},
		{"nonce a number", set("nonce", 1)},
		{"no url", drop("url")},
		{"empty url", set("url", "")},
		{"url a number", set("url", 1)},
		{"url of another resource", set("url", c.urls["directory"])},
		{"url of another host", set("url", "https://other.example/x")},
		{"url with http", func(d *draft) { d.header["url"] = "http" + strings.TrimPrefix(d.url, "https") }},
		{"url relative", func(d *draft) {
			_, path, _ := strings.Cut(strings.TrimPrefix(d.url, "https://"), "/")
			d.header["url"] = "/" + path
		}},
		{"url with a query", func(d *draft) { d.header["url"] = d.url + "?x" }},
		{"query in the request", func(d *draft) { d.url += "?x" }},
		{"kid unknown", func(d *draft) { d.header["kid"], d.embed = other.kid+"0", false }},
		{"kid of another", func(d *draft) { d.header["kid"], d.embed = other.kid, false }},
		{"kid elsewhere", func(d *draft) { d.header["kid"], d.embed = "https://other.example/1", false }},
		{"kid empty", func(d *draft) { d.header["kid"], d.embed = "", false }},
		{"kid a number", func(d *draft) { d.header["kid"], d.embed = 1, false }},
		{"kid and jwk", func(d *draft) { d.header["kid"], d.embed = other.kid, true }},
		{"neither kid nor jwk", func(d *draft) { delete(d.header, "kid"); d.embed = false }},
		{"alg none", set("alg", "none")},
		{"alg of a MAC", set("alg", "HS256")},
		{"alg PS256", set("alg", "PS256")},
		{"alg of another key type", set("alg", "RS256")},
		{"alg of another curve", set("alg", "ES384")},
		{"alg unknown", set("alg", "XX999")},
		{"alg in lower case", set("alg", "es256")},
		{"a MAC", func(d *draft) { d.signer, d.embed = jose.SigningKey{Algorithm: jose.HS256, Key: secret}, false }},
		{"crit", set("crit", []string{"exp"})},
		{"unknown header", set("x-unknown", "x")},
		{"typ", set("typ", "JOSE")},
	}
}

// everywhere sends each fault to each resource that takes signed requests.
func (c *conversation) everywhere() {
	c.t.Helper()
	owner, other := c.registered(), c.registered()
	order, url := c.ordered(owner, "everywhere.example")
	z := c.send(owner, order.Authorizations[0], "").object()
	used := c.fresh()
	c.send(owner, owner.kid, "", set("nonce", used))
	byKey := newParty(c.t, jose.ES256)
	resources := []struct {
		name, url, payload string
		by                 *party
	}{
		{"account", owner.kid, "", owner},
		{"orders", c.send(owner, owner.kid, "").object().Orders, "", owner},
		{"newAccount", c.urls["newAccount"], `{"onlyReturnExisting":true}`, byKey},
		{"newOrder", c.urls["newOrder"], `{"identifiers":[]}`, owner},
		{"order", url, "", owner},
		{"authorization", order.Authorizations[0], "", owner},
		{"challenge", c.byHTTP(z).URL, "", owner},
		{"finalize", order.Finalize, `{}`, owner},
		{"keyChange", c.urls["keyChange"], `{}`, owner},
		{"revokeCert", c.urls["revokeCert"], `{}`, owner},
	}
	for _, r := range resources {
		c.say(r.name+": as it should be", r.by, r.url, r.payload)
		for _, f := range c.faults(other, used) {
			c.say(r.name+": "+f.name, r.by, r.url, r.payload, f.fault)
		}
		for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
			c.say(r.name+": "+m, r.by, r.url, r.payload, method(m))
		}
	}
}
