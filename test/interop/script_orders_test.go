package interop

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// order is what an answer about an order says.
type order = struct {
	Status, Finalize, Certificate, Orders, URL string
	Authorizations                             []string
	Challenges                                 []struct{ Type, URL, Token, Status string }
}

func identifiers(names ...string) string {
	var all []string
	for _, n := range names {
		all = append(all, fmt.Sprintf(`{"type":"dns","value":%q}`, n))
	}
	return `{"identifiers":[` + strings.Join(all, ",") + `]}`
}

// ordered opens an order.
func (c *conversation) ordered(by *party, names ...string) (order, string) {
	c.t.Helper()
	r := c.send(by, c.urls["newOrder"], identifiers(names...))
	if r.status != http.StatusCreated {
		c.t.Fatalf("newOrder: %d %s", r.status, r.body)
	}
	return r.object(), r.header.Get("Location")
}

// becomes reads until a status is reached.
func (c *conversation) becomes(by *party, url string, want ...string) order {
	c.t.Helper()
	for range 600 {
		if o := c.send(by, url, "").object(); slices.Contains(want, o.Status) {
			return o
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.t.Fatalf("%s did not become %q: %s", url, want, c.send(by, url, "").body)
	return order{}
}

// proven opens an order and proves its names by http-01, where it must be.
func (c *conversation) proven(by *party, names ...string) (order, string) {
	c.t.Helper()
	o, url := c.ordered(by, names...)
	for _, z := range o.Authorizations {
		a := c.send(by, z, "").object()
		if a.Status == "valid" {
			continue
		}
		method := "http-01"
		if len(a.Challenges) == 1 {
			method = a.Challenges[0].Type
		}
		for _, ch := range a.Challenges {
			if ch.Type == method {
				c.prove(ch.Token, by.keyAuthorization(c.t, ch.Token))
				c.send(by, ch.URL, "{}")
			}
		}
		c.becomes(by, z, "valid")
	}
	return c.becomes(by, url, "ready"), url
}

// ordering opens orders with every sort of content (section 7.4).
func (c *conversation) ordering() {
	c.t.Helper()
	by, url := c.registered(), c.urls["newOrder"]
	many := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("n%d.many.example", i))
		}
		return identifiers(all...)
	}
	label := strings.Repeat("a", 63)
	for _, name := range []string{"a.example", "A.Example", "a.b.c.d.example", "xn--bcher-kva.example", "XN--BCHER-KVA.example", "bücher.example", "a_b.example", "_acme.example", "-a.example", "a-.example",
		"a.example.", ".example", "a..example", ".", "", " ", "a b.example", "a.example\x00", "a.example\n", "example", "localhost", "*.a.example", "*.A.Example", "*", "*.", "*.example", "**.a.example", "a*.a.example", "*a.a.example",
		"a.*.example", "*.*.a.example", "*.127.0.0.1", "127.0.0.1", "::1", "[::1]", "127.1", "1.2.3.4.5", "a.example:443", "https://a.example", "a.example/x", "user@a.example", label + ".example", label + "a.example",
		strings.Join([]string{label, label, label, "example"}, "."), strings.Join([]string{label, label, label, label, "example"}, "."), "a.123", "xn--.example", "xn--a.example", "ab--c.example", "a.local", "a.invalid", "1.0.0.127.in-addr.arpa"} {
		title := fmt.Sprintf("%q", name)
		if len(name) > 60 {
			title = fmt.Sprintf("of %d octets", len(name))
		}
		c.say("new order: dns "+title, by, url, identifiers(name))
	}
	for _, value := range []string{"127.0.0.1", "127.0.0.01", "127.1", "127.0.0.1/32", "127.0.0.1:80", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "[::1]", "fe80::1%eth0", "", "a.example", "*.127.0.0.1", "300.0.0.1"} {
		c.say(fmt.Sprintf("new order: ip %q", value), by, url, fmt.Sprintf(`{"identifiers":[{"type":"ip","value":%q}]}`, value))
	}
	for name, payload := range map[string]string{
		"no payload": "", "empty object": "{}", "array": "[]", "null": "null", "text": `"x"`, "half": "{", "two values": identifiers("two.example") + "{}",
		"no identifiers": `{"identifiers":[]}`, "identifiers null": `{"identifiers":null}`, "identifiers an object": `{"identifiers":{"type":"dns","value":"a.example"}}`,
		"identifiers texts": `{"identifiers":["a.example"]}`, "identifier empty": `{"identifiers":[{}]}`, "identifier null": `{"identifiers":[null]}`,
		"type missing": `{"identifiers":[{"value":"a.example"}]}`, "type empty": `{"identifiers":[{"type":"","value":"a.example"}]}`, "type unknown": `{"identifiers":[{"type":"x","value":"a.example"}]}`,
		"type email": `{"identifiers":[{"type":"email","value":"a@a.example"}]}`, "type in upper case": `{"identifiers":[{"type":"DNS","value":"a.example"}]}`, "type a number": `{"identifiers":[{"type":1,"value":"a.example"}]}`,
		"value missing": `{"identifiers":[{"type":"dns"}]}`, "value a number": `{"identifiers":[{"type":"dns","value":1}]}`, "one good and one bad": `{"identifiers":[{"type":"dns","value":"a.example"},{"type":"x","value":"b.example"}]}`,
		"twice": identifiers("twice.example", "twice.example"), "twice, in another case": identifiers("twice.example", "TWICE.example"),
		"name and wildcard": identifiers("w.example", "*.w.example"), "name and one under its wildcard": identifiers("a.w.example", "*.w.example"), "name and address": `{"identifiers":[{"type":"dns","value":"a.example"},{"type":"ip","value":"127.0.0.1"}]}`,
		"100 names": many(100), "101 names": many(101), "unknown member": `{"unknown":1,` + identifiers("u.example")[1:], "status": `{"status":"valid",` + identifiers("u.example")[1:],
	} {
		c.say("new order: "+name, by, url, payload)
	}
	for name, times := range map[string]string{
		"notBefore now": `"notBefore":"` + time.Now().UTC().Format(time.RFC3339) + `"`, "notAfter next week": `"notAfter":"` + time.Now().Add(7*24*time.Hour).UTC().Format(time.RFC3339) + `"`,
		"notAfter in another zone":  `"notAfter":"` + time.Now().Add(7*24*time.Hour).In(time.FixedZone("", 3600)).Format(time.RFC3339) + `"`,
		"both":                      `"notBefore":"` + time.Now().UTC().Format(time.RFC3339) + `","notAfter":"` + time.Now().Add(7*24*time.Hour).UTC().Format(time.RFC3339) + `"`,
		"notAfter before notBefore": `"notBefore":"` + time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339) + `","notAfter":"` + time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339) + `"`,
		"notAfter in the past":      `"notAfter":"2001-01-01T00:00:00Z"`, "notAfter far away": `"notAfter":"2999-01-01T00:00:00Z"`, "notBefore far away": `"notBefore":"2999-01-01T00:00:00Z"`,
		"year 1": `"notBefore":"0001-01-01T00:00:00Z","notAfter":"0001-01-01T00:00:00Z"`, "notBefore empty": `"notBefore":""`, "notBefore null": `"notBefore":null`, "notBefore text": `"notBefore":"soon"`,
		"notBefore number": `"notBefore":1`, "notBefore a date": `"notBefore":"2030-01-01"`, "notAfter without zone": `"notAfter":"2030-01-01T00:00:00"`,
	} {
		c.say("new order: "+name, by, url, "{"+times+","+identifiers("times.example")[1:])
	}
	for name, extra := range map[string]string{"profile": `"profile":"standard"`, "profile unknown": `"profile":"none"`, "profile empty": `"profile":""`, "profile a number": `"profile":1`,
		"replaces garbage": `"replaces":"garbage"`, "replaces unknown": `"replaces":"AAAA.AAAA"`, "replaces empty": `"replaces":""`, "replaces a number": `"replaces":1`} {
		c.say("new order: "+name, by, url, "{"+extra+","+identifiers("extra.example")[1:])
	}
	c.say("new order: by a key", newParty(c.t, jose.ES256), url, identifiers("a.example"))
}

// authorizing reads, proves and ends authorizations (section 7.5).
func (c *conversation) authorizing() {
	c.t.Helper()
	by, other := c.registered(), c.registered()
	o, url := c.ordered(by, "authorizing.example")
	z := o.Authorizations[0]
	a := c.say("authorization: pending", by, z, "").object()
	c.say("order: pending", by, url, "")
	c.say("order: read with a payload", by, url, "{}")
	c.say("order: another's", other, url, "")
	c.say("order: unknown", by, url+"0", "")
	c.say("order: changed", by, url, `{"status":"deactivated"}`)
	c.say("authorization: another's", other, z, "")
	c.say("authorization: another's, ended", other, z, `{"status":"deactivated"}`)
	c.say("authorization: unknown", by, z+"0", "")
	for _, payload := range []string{`{}`, `[]`, `x`, `{"status":"valid"}`, `{"status":"pending"}`, `{"status":"x"}`, `{"status":1}`, `{"status":"revoked"}`} {
		c.say("authorization, payload "+payload, by, z, payload)
	}
	var types []string
	for _, ch := range a.Challenges {
		types = append(types, ch.Type)
		c.say("challenge: read "+ch.Type, by, ch.URL, "")
	}
	slices.Sort(types)
	c.seen["challenge: types"] = map[string]string{"types": strings.Join(types, " ")}
	ch := c.byHTTP(a)
	c.say("challenge: another's", other, ch.URL, "{}")
	c.say("challenge: unknown", by, ch.URL+"0", "{}")
	for _, payload := range []string{`[]`, `null`, `"x"`, `x`, `{`, `1`} {
		c.say("challenge: begun with "+payload, by, c.challengeOf(by), payload)
	}
	for name, payload := range map[string]string{"{}": "{}", "keyAuthorization": `{"keyAuthorization":"x"}`, "unknown member": `{"resource":"challenge"}`} {
		begun := c.challengeOf(by)
		c.say("challenge: begun with "+name, by, begun, payload)
	}
	c.prove(ch.Token, by.keyAuthorization(c.t, ch.Token))
	c.send(by, ch.URL, "{}")
	c.becomes(by, z, "valid")
	c.say("challenge: valid, read", by, ch.URL, "")
	c.say("challenge: valid, begun again", by, ch.URL, "{}")
	c.say("authorization: valid", by, z, "")
	c.say("order: ready", by, url, "")
	again, _ := c.ordered(by, "authorizing.example")
	c.say("authorization: of a name that was proven", by, again.Authorizations[0], "")
	c.say("authorization: valid, ended", by, z, `{"status":"deactivated"}`)
	c.say("authorization: ended, read", by, z, "")
	c.say("authorization: ended, ended again", by, z, `{"status":"deactivated"}`)
	c.say("order: with an authorization that was ended", by, url, "")
	o, url = c.ordered(by, "ending.example")
	a = c.send(by, o.Authorizations[0], "").object()
	c.say("authorization: pending, ended", by, o.Authorizations[0], `{"status":"deactivated"}`)
	c.say("challenge: of an authorization that was ended", by, c.byHTTP(a).URL, "") // to "{}" Pebble never answers: it keeps a lock
	c.say("order: whose authorization was ended", by, url, "")
	o, _ = c.ordered(by, "wild.authorizing.example", "*.wild.authorizing.example")
	for _, z := range o.Authorizations { // in whatever order
		r := c.send(by, z, "")
		c.keep(map[bool]string{true: "authorization: of a wildcard", false: "authorization: of the name beside it"}[strings.Contains(string(r.body), `"wildcard"`)], r)
	}
}

// challengeOf opens an order for a new name and gives its http-01 challenge, which will succeed.
func (c *conversation) challengeOf(by *party) string {
	c.t.Helper()
	o, _ := c.ordered(by, fmt.Sprintf("c%d.example", len(c.seen)))
	ch := c.byHTTP(c.send(by, o.Authorizations[0], "").object())
	c.prove(ch.Token, by.keyAuthorization(c.t, ch.Token))
	return ch.URL
}

// byHTTP is the http-01 challenge of an authorization, wherever it is.
func (c *conversation) byHTTP(a order) (ch struct{ Type, URL, Token, Status string }) {
	c.t.Helper()
	for _, ch = range a.Challenges {
		if ch.Type == "http-01" {
			return ch
		}
	}
	c.t.Fatalf("no http-01 in %+v", a)
	return ch
}
