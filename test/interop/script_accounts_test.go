package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// directory reads the directory and keeps what it says.
func (c *conversation) directory() {
	c.t.Helper()
	r := c.ask(http.MethodGet, c.urls["directory"], "", "")
	c.keep("directory: GET", r)
	var all map[string]any
	if err := json.Unmarshal(r.body, &all); err != nil {
		c.t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	for name, value := range all {
		if url, ok := value.(string); ok {
			c.urls[name] = url
		}
	}
}

// public asks what needs no account.
func (c *conversation) public() {
	c.t.Helper()
	for _, m := range []string{http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		c.keep("directory: "+m, c.ask(m, c.urls["directory"], "", ""))
	}
	for _, m := range []string{http.MethodHead, http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		c.keep("newNonce: "+m, c.ask(m, c.urls["newNonce"], "", ""))
	}
	by := c.registered()
	for _, name := range []string{"directory", "newNonce"} {
		c.say(name+": POST-as-GET", by, c.urls[name], "")
		c.say(name+": POST", by, c.urls[name], "{}")
		c.say(name+": POST by a key without account", newParty(c.t, jose.ES256), c.urls[name], "")
	}
	c.keep("nothing: GET", c.ask(http.MethodGet, c.urls["directory"]+"/no/such", "", ""))
	c.say("nothing: POST", by, c.urls["directory"]+"/no/such", "")
	c.say("an account that never was", by, by.kid+"0", "")
}

// accounts makes accounts, finds them, changes and ends them (RFC 8555 section 7.3).
func (c *conversation) accounts() {
	c.t.Helper()
	url := c.urls["newAccount"]
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA} {
		p := newParty(c.t, alg)
		c.say("new account: "+string(alg), p, url, `{"termsOfServiceAgreed":true,"contact":["mailto:a@enrollgate.dev"]}`)
		c.say("new account: again, "+string(alg), p, url, `{"termsOfServiceAgreed":true,"contact":["mailto:b@enrollgate.dev"]}`)
		c.say("new account: found, "+string(alg), p, url, `{"onlyReturnExisting":true}`)
	}
	for _, payload := range []string{
		`{}`, `{"termsOfServiceAgreed":false}`, `{"termsOfServiceAgreed":"true"}`, ``, `[]`, `null`, `"x"`, `{`, `{}{}`, `{"onlyReturnExisting":true}`,
		`{"onlyReturnExisting":true,"termsOfServiceAgreed":true}`, `{"onlyReturnExisting":"true"}`, `{"onlyReturnExisting":false,"termsOfServiceAgreed":true}`,
		`{"termsOfServiceAgreed":true,"unknown":{"a":[1]}}`, `{"termsOfServiceAgreed":true,"status":"valid"}`, `{"termsOfServiceAgreed":true,"status":"deactivated"}`,
		`{"termsOfServiceAgreed":true,"orders":"https://other.example/"}`, `{"termsOfServiceAgreed":true,"externalAccountBinding":{}}`,
	} {
		c.say("new account, payload "+payload, newParty(c.t, jose.ES256), url, payload)
	}
	owner := c.registered()
	for _, contact := range contacts {
		c.say("new account: contact "+contact, newParty(c.t, jose.ES256), url, `{"termsOfServiceAgreed":true,"contact":`+contact+`}`)
		c.say("account: contact "+contact, owner, owner.kid, `{"contact":`+contact+`}`)
	}
	for name, jwk := range c.keys() {
		c.say("new account: "+name, newParty(c.t, jose.ES256), url, `{"termsOfServiceAgreed":true}`, func(d *draft) { d.embed, d.header["jwk"] = false, jwk })
	}
	for _, payload := range []string{`{}`, `[]`, `null`, `"x"`, `{`, `{"status":"valid"}`, `{"status":"revoked"}`, `{"status":"x"}`, `{"status":1}`, `{"unknown":1}`,
		`{"termsOfServiceAgreed":true}`, `{"termsOfServiceAgreed":false}`, `{"orders":"https://other.example/"}`, `{"onlyReturnExisting":true}`} {
		c.say("account, payload "+payload, owner, owner.kid, payload)
	}
	other := c.registered()
	c.say("account: another's", other, owner.kid, "")
	c.say("account: another's, changed", other, owner.kid, `{"contact":[]}`)
	c.say("account: another's, ended", other, owner.kid, `{"status":"deactivated"}`)
	c.say("orders: another's", other, c.send(owner, owner.kid, "").object().Orders, "")
	c.say("orders: with a payload", owner, c.send(owner, owner.kid, "").object().Orders, "{}")
	c.say("account: ended", owner, owner.kid, `{"status":"deactivated"}`)
	c.say("account: ended, read", owner, owner.kid, "")
	c.say("account: ended, ended again", owner, owner.kid, `{"status":"deactivated"}`)
	c.say("account: ended, orders", owner, c.urls["newOrder"], `{"identifiers":[{"type":"dns","value":"ended.example"}]}`)
	ended := &party{alg: owner.alg, key: owner.key}
	c.say("account: ended, made again", ended, url, `{"termsOfServiceAgreed":true}`)
	c.say("account: ended, looked for", ended, url, `{"onlyReturnExisting":true}`)
}

var contacts = []string{`[]`, `null`, `["mailto:a@enrollgate.dev"]`, `["mailto:a@enrollgate.dev","mailto:b@enrollgate.dev"]`, `["MAILTO:a@enrollgate.dev"]`,
	`["mailto:a@enrollgate.dev","mailto:b@enrollgate.dev","mailto:c@enrollgate.dev"]`, `["mailto:a@enrollgate.dev","mailto:a@enrollgate.dev"]`,
	`["tel:+15550100"]`, `["https://enrollgate.dev"]`, `["a@enrollgate.dev"]`, `[""]`, `["mailto:"]`, `["mailto:nobody"]`, `["mailto:a@enrollgate.dev?subject=x"]`,
	`["mailto:a@enrollgate.dev,b@enrollgate.dev"]`, `["mailto:Name <a@enrollgate.dev>"]`, `["mailto:@enrollgate.dev"]`, `["mailto:a@"]`, `["mailto:ä@enrollgate.dev"]`,
	`["mailto:a@enrollgate.dev","tel:+15550100"]`, `"mailto:a@enrollgate.dev"`, `[1]`, `{}`, `["mailto:` + strings.Repeat("a", 400) + `@enrollgate.dev"]`}

// keys are no public keys to account with.
func (c *conversation) keys() map[string]any {
	good := c.jwk(newParty(c.t, jose.ES256))
	change := func(name string, value any) map[string]any {
		out := map[string]any{}
		for n, v := range good {
			out[n] = v
		}
		out[name] = value
		return out
	}
	return map[string]any{"jwk text": "x", "jwk empty": map[string]any{}, "jwk of no type": map[string]any{"x": good["x"], "y": good["y"], "crv": "P-256"}, "jwk null": nil,
		"jwk of an unknown type": change("kty", "XX"), "jwk on no curve": change("crv", "P-999"), "jwk off its curve": change("x", good["y"]), "jwk without y": change("y", ""),
		"jwk of a secret": map[string]any{"kty": "oct", "k": "AAAA"}, "jwk of RSA without e": map[string]any{"kty": "RSA", "n": good["x"]},
		"jwk of short RSA":    map[string]any{"kty": "RSA", "n": strings.Repeat("_", 170) + "w", "e": "AQAB"},
		"jwk that is private": change("d", good["x"])}
}

// jwk is a public key as JSON has it.
func (c *conversation) jwk(p *party) (out map[string]any) {
	c.t.Helper()
	text, err := (&jose.JSONWebKey{Key: p.key.Public()}).MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// changesKey asks to change an account's key, rightly and wrongly (section 7.3.5).
func (c *conversation) changesKey() {
	c.t.Helper()
	url, other := c.urls["keyChange"], c.registered()
	try := func(name string, change func(inner *draft, payload map[string]any, next *party)) (owner, next *party) {
		owner, next = c.registered(), newParty(c.t, jose.ES256)
		inner := &draft{embed: true, signer: jose.SigningKey{Algorithm: next.alg, Key: next.key}, header: map[jose.HeaderKey]any{"url": url}}
		payload := map[string]any{"account": owner.kid, "oldKey": c.jwk(owner)}
		change(inner, payload, next)
		if inner.payload == "" {
			inner.payload = compact(c.t, payload)
		}
		c.say("key change: "+name, owner, url, c.sign(inner))
		return owner, next
	}
	nothing := func(*draft, map[string]any, *party) {}
	owner, next := try("as it should be", nothing)
	c.say("key change: the old key after it", owner, owner.kid, "")
	c.say("key change: the new key after it", &party{next.alg, next.key, owner.kid}, owner.kid, "")
	c.say("key change: the new key finds the account", next, c.urls["newAccount"], `{"onlyReturnExisting":true}`)
	c.say("key change: the old key finds no account", &party{alg: owner.alg, key: owner.key}, c.urls["newAccount"], `{"onlyReturnExisting":true}`)
	for name, change := range map[string]func(*draft, map[string]any, *party){
		"inner nonce":       func(d *draft, _ map[string]any, _ *party) { d.header["nonce"] = c.fresh() },
		"inner url missing": func(d *draft, _ map[string]any, _ *party) { delete(d.header, "url") },
		"inner url another": func(d *draft, _ map[string]any, _ *party) { d.header["url"] = c.urls["newOrder"] },
		"inner kid":         func(d *draft, p map[string]any, _ *party) { d.embed, d.header["kid"] = false, p["account"] },
		"inner neither":     func(d *draft, _ map[string]any, _ *party) { d.embed = false },
		"inner signature": func(d *draft, _ map[string]any, _ *party) {
			d.flat = func(m map[string]any) { m["signature"] = "AAAA" }
		},
		"inner by another key": func(d *draft, _ map[string]any, _ *party) { d.embed, d.header["jwk"] = false, c.jwk(other) },
		"inner alg":            func(d *draft, _ map[string]any, _ *party) { d.header["alg"] = "HS256" },
		"inner header": func(d *draft, _ map[string]any, _ *party) {
			d.flat = func(m map[string]any) { m["header"] = map[string]any{} }
		},
		"inner garbage":         func(d *draft, _ map[string]any, _ *party) { d.body = func(string) string { return "garbage" } },
		"inner empty":           func(d *draft, _ map[string]any, _ *party) { d.body = func(string) string { return "" } },
		"inner payload garbage": func(d *draft, _ map[string]any, _ *party) { d.payload = "garbage" },
		"account missing":       func(_ *draft, p map[string]any, _ *party) { delete(p, "account") },
		"account another":       func(_ *draft, p map[string]any, _ *party) { p["account"] = other.kid },
		"account a number":      func(_ *draft, p map[string]any, _ *party) { p["account"] = 1 },
		"oldKey missing":        func(_ *draft, p map[string]any, _ *party) { delete(p, "oldKey") },
		"oldKey another":        func(_ *draft, p map[string]any, _ *party) { p["oldKey"] = c.jwk(other) },
		"oldKey the new one":    func(_ *draft, p map[string]any, next *party) { p["oldKey"] = c.jwk(next) },
		"oldKey garbage":        func(_ *draft, p map[string]any, _ *party) { p["oldKey"] = "x" },
		"unknown member":        func(_ *draft, p map[string]any, _ *party) { p["unknown"] = 1 },
		"to another's key":      func(d *draft, _ map[string]any, _ *party) { d.signer.Key = other.key },
	} {
		try(name, change)
	}
	self := c.registered()
	inner := &draft{embed: true, signer: jose.SigningKey{Algorithm: self.alg, Key: self.key}, header: map[jose.HeaderKey]any{"url": url},
		payload: compact(c.t, map[string]any{"account": self.kid, "oldKey": c.jwk(self)})}
	c.say("key change: to the same key", self, url, c.sign(inner))
	for i, payload := range []string{"", "{}", "[]", "x", `{"account":"` + self.kid + `"}`} {
		c.say(fmt.Sprintf("key change: payload %d", i), self, url, payload)
	}
	c.say("key change: by a key", newParty(c.t, jose.ES256), url, "{}")
}
