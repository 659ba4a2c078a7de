package acme

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/protocols/acme/recent"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// routes lists what the router serves, by path below a directory.
func (b *bench) routes() map[string][]string {
	b.t.Helper()
	router := chi.NewRouter()
	b.door.Routes(router)
	all := map[string][]string{}
	err := chi.Walk(router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		path, ok := strings.CutPrefix(route, "/acme/{tenant}/{ca}/{profile}")
		if !ok {
			b.t.Errorf("%s %s lies outside the directories", method, route)
		}
		all[path] = append(all[path], method)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// TestRouterServesTheTable: tests that walk the table of resources walk all that
// the router has.
func TestRouterServesTheTable(t *testing.T) {
	b := newBench(t)
	table := map[string][]string{}
	for _, r := range resources {
		table[r.path] = append(table[r.path], r.method)
	}
	routes := b.routes()
	for path := range routes {
		slices.Sort(routes[path])
		slices.Sort(table[path])
		if !slices.Equal(routes[path], table[path]) {
			t.Errorf("%s: the router serves %q, the table %q", path, routes[path], table[path])
		}
	}
	if len(routes) != len(table) {
		t.Errorf("%d paths in the router, %d in the table", len(routes), len(table))
	}
}

// TestEveryReplyCarriesAFreshNonce (invariant 13) walks every method over every
// route of the router, over paths that are none and over directories that are
// none, with and without a good signature, and takes each reply's nonce for a real
// request.
func TestEveryReplyCarriesAFreshNonce(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	routes := b.routes()
	paths := []string{"/nothing", "/order/a/b/c/d", ""}
	for path := range routes {
		paths = append(paths, strings.NewReplacer("{id}", "X", "{type}", "http-01", "{after}", "X", "{chain}", "1").Replace(path))
	}
	bases := []string{c.base, b.server.URL + "/acme/one/issuing/no-such-profile", b.server.URL + "/acme/ONE/issuing/privatessl-tls-server", b.server.URL + "/acme"}
	seen := map[string]bool{}
	for _, base := range bases {
		for _, path := range paths {
			url := base + path
			bodies := map[string]string{"GET": "", "HEAD": "", "POST": "garbage", "PUT": "garbage", "DELETE": "", "PATCH": "garbage", "OPTIONS": "", "POST, signed": c.sign(c.freshNonce(), url, "")}
			for how, body := range bodies {
				method, _, _ := strings.Cut(how, ",")
				req, err := http.NewRequest(method, url, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/jose+json")
				resp, err := b.server.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				nonce := resp.Header.Get("Replay-Nonce")
				if nonce == "" || seen[nonce] {
					t.Errorf("%s %s: %d with nonce %q", how, url, resp.StatusCode, nonce)
					continue
				}
				seen[nonce] = true
				if r := c.send(c.kid, c.sign(nonce, c.kid, "")); r.status != http.StatusOK {
					t.Errorf("%s %s: its nonce is not accepted: %s", how, url, r.body)
				}
				allow := resp.Header.Get("Allow")
				if (resp.StatusCode == http.StatusMethodNotAllowed) != (allow != "") || strings.Contains(allow, method) { // RFC 9110 section 15.5.6
					t.Errorf("%s %s: %d, Allow %q", how, url, resp.StatusCode, allow)
				}
				index := strings.Contains(resp.Header.Get("Link"), `rel="index"`) // RFC 8555 section 7.1
				if directory := path == "/directory" && resp.StatusCode != http.StatusMethodNotAllowed; base == c.base && index == directory {
					t.Errorf("%s %s: %d with Link %q", how, url, resp.StatusCode, resp.Header.Values("Link"))
				}
			}
		}
	}
	if len(seen) < 500 {
		t.Errorf("%d replies", len(seen))
	}
}

// reads are the signed requests that change nothing; their nonces are struck by
// each replica for itself (docs/divergences.md).
var reads = []string{"/directory", "/new-nonce", "/account/{id}/orders", "/account/{id}/orders/{after}", "/order/{id}", "/certificate/{id}", "/certificate/{id}/{chain}"}

// TestUsedNonceElsewhere (invariant 13): the nonce of a request that changed
// something is refused by every other replica, at every resource that changes
// something, where the request is good in every other way.
func TestUsedNonceElsewhere(t *testing.T) {
	b := newBench(t)
	twin := b.twin()
	c := b.registered("one")
	elsewhere := *c
	elsewhere.b = twin
	orderURL, order := c.order("pending.example")
	var pending authorizationObject
	c.post(order.Authorizations[0], "").into(t, &pending)
	_, second := c.order("second.example")
	readyURL, ready := c.order("ready.example")
	ready = c.prove(readyURL, ready)
	der, _ := c.issue(fixture.Key(t), "issued.example")
	writes := map[string]struct{ url, payload string }{
		"/account/{id}":          {c.kid, `{"contact":["mailto:a@example.com"]}`},
		"/new-authz":             {c.base + "/new-authz", `{"identifier":{"type":"dns","value":"alone.example"}}`},
		"/new-order":             {c.base + "/new-order", `{"identifiers":[{"type":"dns","value":"a.example"}]}`},
		"/order/{id}/finalize":   {ready.Finalize, `{"csr":"` + c.csr("", "ready.example") + `"}`},
		"/authorization/{id}":    {second.Authorizations[0], `{"status":"deactivated"}`},
		"/challenge/{id}/{type}": {pending.Challenges[0].URL, "{}"},
		"/revoke-cert":           {c.base + "/revoke-cert", fmt.Sprintf(`{"certificate":%q}`, encodeDER(der))},
		"/new-account":           {c.base + "/new-account", "{}"},
		"/key-change":            {c.base + "/key-change", ""},
	}
	used := func() string { // by a write through the first replica
		nonce := c.freshNonce()
		if r := c.send(c.base+"/new-order", c.sign(nonce, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"used.example"}]}`)); r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return nonce
	}
	for path, methods := range b.routes() {
		w, known := writes[path]
		if known == slices.Contains(reads, path) && slices.Contains(methods, http.MethodPost) {
			t.Errorf("%s is neither or both of what reads and what changes something", path)
		}
		if !known {
			continue
		}
		t.Run(path, func(t *testing.T) {
			by := elsewhere
			by.b = twin.within(t)
			again := func(nonce string) reply {
				switch path {
				case "/new-account":
					stranger := by.b.client("one")
					stranger.base = c.base
					return by.send(w.url, stranger.sign(nonce, w.url, w.payload))
				case "/key-change":
					next := by
					next.nonce = nonce
					return next.changeKey(c.key, fixture.Key(t), c.kid)
				}
				return by.send(w.url, by.sign(nonce, w.url, w.payload))
			}
			if r := again(used()); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeBadNonce {
				t.Errorf("with a nonce that was used elsewhere: %d %s", r.status, r.body)
			}
			if path == "/key-change" {
				return // the account's other requests need the key that it has
			}
			if r := again(by.freshNonce()); r.status >= 300 {
				t.Errorf("with a fresh nonce: %d %s", r.status, r.body)
			}
		})
	}
	if r := c.post(orderURL, ""); r.status != http.StatusOK {
		t.Errorf("the order: %d %s", r.status, r.body)
	}
}

// twin is another replica on the same store and behind the same address, with a
// memory of its own.
func (b *bench) twin() *bench {
	b.t.Helper()
	o := b.door.Options
	o.Store = recent.New(b.store, time.Now)
	door, err := New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { door.Close(context.Background()) })
	router := chi.NewRouter()
	door.Routes(router)
	server := httptest.NewTLSServer(router)
	b.t.Cleanup(server.Close)
	server.Client().Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	out := *b
	out.door, out.server = door, server
	return &out
}

func (b *bench) within(t *testing.T) *bench {
	out := *b
	out.t = t
	return &out
}

// TestPayloads: what is no object is refused, null included, before anything is done.
func TestPayloads(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	_, a := c.authorization("host.example")
	for _, payload := range []string{"null", " null", "[]", "1", `"x"`, "x", "{", "{}{}"} {
		for _, url := range []string{c.kid, c.base + "/new-order", c.base + "/new-authz", a.Challenges[0].URL, c.base + "/revoke-cert"} {
			if r := c.post(url, payload); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeMalformed {
				t.Errorf("%s to %s: %d %s", payload, url, r.status, r.body)
			}
		}
	}
	if b.validator.count() != 0 {
		t.Error("a challenge was begun")
	}
}

// TestAccountKeyIsNotCertified (RFC 8555 section 11.1).
func TestAccountKeyIsNotCertified(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	url, o := c.order("host.example")
	o = c.prove(url, o)
	if r := c.post(o.Finalize, `{"csr":"`+c.csrWith(c.key, "", "host.example")+`"}`); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeBadCSR {
		t.Errorf("%d %s", r.status, r.body)
	}
	if o = c.settled(url); o.Status != state.Ready {
		t.Errorf("the order is %s", o.Status)
	}
}
