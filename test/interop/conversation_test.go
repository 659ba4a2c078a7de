package interop

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// conversation is one server's half of the differential test: it sends what the
// script says and keeps what is seen of each answer.
type conversation struct {
	t     *testing.T
	http  *http.Client
	urls  map[string]string            // of the directory
	prove func(token, key string)      // makes a challenge succeed
	ours  bool                         // the other server is Pebble
	nonce string                       // the last answer's
	seen  map[string]map[string]string // by request, by what is looked at
}

// party is who signs, with or without an account.
type party struct {
	alg jose.SignatureAlgorithm
	key crypto.Signer
	kid string
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// object reads what an answer says.
func (r reply) object() (o struct {
	Status, Finalize, Certificate, Orders, URL string
	Authorizations                             []string
	Challenges                                 []struct{ Type, URL, Token, Status string }
}) {
	_ = json.Unmarshal(r.body, &o) // what is no such object has none of these
	return o
}

// draft is a request before it is sent, so that a case can get any part of it wrong.
type draft struct {
	method, url, media, payload string
	signer                      jose.SigningKey
	header                      map[jose.HeaderKey]any // protected
	embed                       bool
	flat                        func(map[string]any) // changes the serialized JWS
	body                        func(string) string  // changes the body
}

// fault makes something of a request wrong, or only different.
type fault func(*draft)

// say sends a POST that is signed by somebody and keeps the answer under a name.
func (c *conversation) say(name string, by *party, url, payload string, faults ...fault) reply {
	c.t.Helper()
	r := c.send(by, url, payload, faults...)
	c.keep(name, r)
	return r
}

// send is say for what only leads to the next request.
func (c *conversation) send(by *party, url, payload string, faults ...fault) reply {
	c.t.Helper()
	d := &draft{method: http.MethodPost, url: url, media: "application/jose+json", payload: payload, embed: by.kid == "",
		signer: jose.SigningKey{Algorithm: by.alg, Key: by.key}, header: map[jose.HeaderKey]any{"url": url, "nonce": c.fresh()}}
	if by.kid != "" {
		d.header["kid"] = by.kid
	}
	for _, f := range faults {
		f(d)
	}
	return c.ask(d.method, d.url, d.media, c.sign(d))
}

// sign serializes a draft.
func (c *conversation) sign(d *draft) string {
	c.t.Helper()
	signer, err := jose.NewSigner(d.signer, &jose.SignerOptions{EmbedJWK: d.embed, ExtraHeaders: d.header})
	if err != nil {
		c.t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(d.payload))
	if err != nil {
		c.t.Fatal(err)
	}
	text := signed.FullSerialize()
	if d.flat != nil {
		var members map[string]any
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			c.t.Fatal(err)
		}
		d.flat(members)
		text = compact(c.t, members)
	}
	if d.body != nil {
		text = d.body(text)
	}
	return text
}

// ask sends any body. The nonce of the answer is the next request's.
func (c *conversation) ask(method, url, media, body string) reply {
	c.t.Helper()
	q, err := http.NewRequestWithContext(c.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if media != "" {
		q.Header.Set("Content-Type", media)
	}
	answer, err := c.http.Do(q)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nonce = answer.Header.Get("Replay-Nonce")
	return reply{answer.StatusCode, answer.Header, text}
}

// fresh gives a nonce that was not used.
func (c *conversation) fresh() string {
	c.t.Helper()
	if c.nonce == "" {
		c.ask(http.MethodHead, c.urls["newNonce"], "", "")
	}
	n := c.nonce
	c.nonce = ""
	return n
}

// keep notes what both servers should say alike. What a server chooses freely
// (ids, tokens, times, texts for people) is noted as being there.
func (c *conversation) keep(name string, r reply) {
	c.t.Helper()
	if c.seen[name] != nil {
		c.t.Fatalf("two requests are called %q", name)
	}
	o := map[string]string{"status": strconv.Itoa(r.status), "nonce": present(r.header.Get("Replay-Nonce")), "location": present(r.header.Get("Location")),
		"cache-control": r.header.Get("Cache-Control"), "retry-after": r.header.Get("Retry-After"), "link": relations(r.header), "allow": sorted(r.header.Get("Allow"))}
	media, parameters, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if o["content-type"] = media; err != nil && r.header.Get("Content-Type") != "" {
		o["content-type"] = "broken"
	}
	o["charset"] = strings.ToLower(parameters["charset"])
	if after := o["retry-after"]; after != "" { // ours must be seconds (interop rule 3); Pebble's are a date at times
		o["retry-after"] = "there"
		if _, err := strconv.Atoi(after); err != nil && c.ours {
			c.t.Errorf("%s: Retry-After %q", name, after)
		}
	}
	var body any
	if json.Unmarshal(r.body, &body) == nil {
		if object, ok := body.(map[string]any); ok {
			kind, _ := object["type"].(string)
			if o["type"] = ""; strings.HasSuffix(media, "problem+json") {
				o["type"] = strings.TrimPrefix(kind, "urn:ietf:params:acme:error:")
			} else if state, ok := object["status"].(string); ok {
				o["state"] = state
			}
			members(o, "", object)
		}
	} else if len(r.body) > 0 {
		o["body"] = "text"
	}
	c.seen[name] = o
}

// members notes the names and kinds of everything in an object.
func members(o map[string]string, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if path == ".error" || path == ".meta.profiles" || path == ".externalAccountBinding" || path == ".subproblems[]" {
				name, inner = "*", "" // the server's own words
			}
			members(o, path+"."+name, inner)
		}
	case []any:
		for _, inner := range v {
			members(o, path+"[]", inner)
		}
		o["member "+path+"[]"] = "list"
	case nil:
		o["member "+path] = "null"
	default:
		o["member "+path] = fmt.Sprintf("%T", v)
	}
}

func present(text string) string {
	if text == "" {
		return ""
	}
	return "there"
}

// sorted puts a list into one order.
func sorted(list string) string {
	all := strings.Split(list, ", ")
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// relations lists the rel of each Link header.
func relations(h http.Header) string {
	var all []string
	for _, link := range h.Values("Link") {
		_, rel, _ := strings.Cut(link, "rel=")
		all = append(all, strings.Trim(strings.TrimSpace(rel), `"`))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func compact(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// keyAuthorization is that of RFC 8555 section 8.1.
func (p *party) keyAuthorization(t *testing.T, token string) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: p.key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil || len(sum) != sha256.Size {
		t.Fatal(err)
	}
	return token + "." + b64(sum)
}
