package acme

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/fixture"
)

func spkiHash(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	sum := sha256.Sum256(der)
	return sum[:], err
}

// thumbprintOf is the SHA-256 thumbprint of a library client's key.
func thumbprintOf(t *testing.T, c *acme.Client) (out [32]byte) {
	t.Helper()
	text, err := acme.JWKThumbprint(c.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(sum)
}

// ordersOf reads every page of the list of an account's orders.
func (c *client) ordersOf() (urls []string, pages int) {
	c.b.t.Helper()
	var account accountObject
	c.post(c.kid, "").into(c.b.t, &account)
	for next := account.Orders; next != ""; pages++ {
		r := c.post(next, "")
		var out struct {
			Orders []string `json:"orders"`
		}
		if r.into(c.b.t, &out); out.Orders == nil {
			c.b.t.Fatalf("no list: %s", r.body)
		}
		urls, next = append(urls, out.Orders...), ""
		for _, link := range r.header.Values("Link") {
			if url, ok := strings.CutSuffix(link, `>;rel="next"`); ok {
				next = strings.TrimPrefix(url, "<")
			}
		}
	}
	return urls, pages
}

// TestOrders: the list has every order that is not invalid, a page at a time
// (RFC 8555 section 7.1.2.1).
func TestOrders(t *testing.T) {
	b := newBench(t)
	c, other := b.registered("one"), b.registered("one")
	if urls, pages := c.ordersOf(); len(urls) != 0 || pages != 1 {
		t.Errorf("no orders: %d in %d pages", len(urls), pages)
	}
	c.issue(fixture.Key(t), "done.example")
	want, _ := c.ordersOf()
	id := c.kid[strings.LastIndex(c.kid, "/")+1:]
	for i := range 2*ordersPage + 5 { // past the door, which is slower
		now := time.Now().UTC().Truncate(time.Microsecond)
		o := &state.Order{Tenant: "one", Endpoint: "acme-one", ID: ca.OrderedID(now), Account: id, Status: state.Pending, CreatedAt: now, Expires: now.Add(time.Hour)}
		if i == 7 {
			o.Status = state.Invalid
		} else {
			want = append(want, c.base+"/order/"+o.ID)
		}
		var nonce state.Nonce
		rand.Read(nonce.ID[:])
		nonce.Expires = o.Expires
		z := &state.Authorization{Tenant: "one", Endpoint: "acme-one", ID: ca.OrderedID(now), Account: id, Status: state.Pending, CreatedAt: now, Expires: o.Expires}
		o.Authorizations = []string{z.ID}
		if err := b.store.CreateOrder(t.Context(), o, []*state.Authorization{z}, nonce); err != nil {
			t.Fatal(err)
		}
	}
	other.order("other.example")
	slices.Sort(want)
	got, pages := c.ordersOf()
	if !slices.Equal(got, want) || pages != 3 {
		t.Errorf("%d orders in %d pages, want %d in 3", len(got), pages, len(want))
	}
	for _, url := range []string{c.kid + "/orders", c.kid + "/orders/" + id} {
		if r := other.post(url, ""); r.status != http.StatusNotFound {
			t.Errorf("another's list: %d", r.status)
		}
		if r := c.post(url, "{}"); r.status != http.StatusBadRequest {
			t.Errorf("a list with a payload: %d", r.status)
		}
	}
}

// TestPreauthorization: a name that was proven before the order need not be
// proven in it, as long as the proof counts (RFC 8555 section 7.4.1).
func TestPreauthorization(t *testing.T) {
	b := newBench(t)
	c, other := b.registered("one"), b.registered("one")
	open := func(name string) (url string, a authorizationObject) {
		t.Helper()
		r := c.post(c.base+"/new-authz", fmt.Sprintf(`{"identifier":{"type":"dns","value":%q}}`, name))
		if r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.body)
		}
		r.into(t, &a)
		return r.header.Get("Location"), a
	}
	statuses := func(o orderObject) (out []state.Status) {
		t.Helper()
		for _, url := range o.Authorizations {
			var a authorizationObject
			c.post(url, "").into(t, &a)
			out = append(out, a.Status)
		}
		return out
	}
	url, a := open("A.example")
	if a.Status != state.Pending || a.Identifier.Value != "a.example" || len(a.Challenges) == 0 {
		t.Fatalf("%+v", a)
	}
	if _, o := c.order("a.example"); o.Status != state.Pending {
		t.Errorf("an order is %s by a pending proof", o.Status)
	}
	if c.begin(a); b.validator.count() != 1 {
		t.Fatal("not validated")
	}
	_, o := c.order("a.example", "b.example", "*.a.example")
	if got := statuses(o); o.Status != state.Pending || !slices.Equal(got, []state.Status{state.Valid, state.Pending, state.Pending}) {
		t.Errorf("order %s, authorizations %v", o.Status, got)
	}
	_, o = c.order("a.example")
	if o.Status != state.Ready || b.validator.count() != 1 {
		t.Errorf("the order is %s", o.Status)
	}
	if r := c.post(o.Finalize, `{"csr":"`+c.csr("", "a.example")+`"}`); r.status != http.StatusOK {
		t.Errorf("finalize: %s", r.body)
	}
	if _, o := other.order("a.example"); o.Status != state.Pending {
		t.Errorf("another account's order is %s", o.Status)
	}
	if r := c.post(url, `{"status":"deactivated"}`); r.status != http.StatusOK {
		t.Errorf("deactivate: %s", r.body)
	}
	if _, o := c.order("a.example"); o.Status != state.Pending {
		t.Errorf("an order is %s by a deactivated proof", o.Status)
	}
	for identifier, want := range map[string]string{`{"type":"dns","value":"*.a.example"}`: typeRejectedIdentifier, `{"type":"dns","value":"192.0.2.1"}`: typeRejectedIdentifier,
		`{"type":"x","value":"a.example"}`: typeUnsupportedIdentifier, `{}`: typeUnsupportedIdentifier} {
		if p := c.post(c.base+"/new-authz", `{"identifier":`+identifier+`}`).problem(t); p.Type != urn+want {
			t.Errorf("%s: %s, want %s", identifier, p.Type, want)
		}
	}
}

// TestRevokeByAuthorizations: whoever has proven every name of a certificate may
// revoke it (RFC 8555 section 7.6), and nobody with one name less.
func TestRevokeByAuthorizations(t *testing.T) {
	b := newBench(t)
	owner, c := b.registered("one"), b.registered("one")
	key := fixture.Key(t)
	url, o := owner.order("a.example", "b.example")
	o = owner.prove(url, o)
	owner.post(o.Finalize, `{"csr":"`+owner.csrWith(key, "", "a.example", "b.example")+`"}`).into(t, &o)
	der := decodePEM(owner.post(o.Certificate, "").body)[0]
	refused := func(when string) {
		t.Helper()
		if r := c.revoke(der, `,"reason":1`); r.status != http.StatusForbidden || r.problem(t).Type != urn+typeUnauthorized {
			t.Errorf("%s: %d %s", when, r.status, r.body)
		}
	}
	refused("without any authorization")
	url, o = c.order("a.example")
	c.prove(url, o)
	refused("with one of two")
	c.order("*.b.example")
	refused("with an authorization that is pending")
	_, o = c.order("b.example")
	var z authorizationObject
	c.post(o.Authorizations[0], "").into(t, &z)
	c.begin(z)
	if r := c.post(o.Authorizations[0], `{"status":"deactivated"}`); r.status != http.StatusOK {
		t.Fatal(r.status)
	}
	refused("with one that was deactivated")
	var alone authorizationObject
	c.post(c.base+"/new-authz", `{"identifier":{"type":"dns","value":"b.example"}}`).into(t, &alone)
	c.begin(alone)
	if r := c.revoke(der, `,"reason":1`); r.status != http.StatusOK {
		t.Errorf("with both: %d %s", r.status, r.body)
	}
	if got := b.revocations(); len(got) != 1 || !strings.HasSuffix(got[0], "revoked keyCompromise") {
		t.Errorf("feed %q", got)
	}
	// The word of somebody who holds the names is not the key's: it blocks nothing.
	if r := owner.finalize(key, "a.example"); r.status != http.StatusOK {
		t.Errorf("the key was blocked: %s", r.body)
	}
}

// TestEveryResourceChecksItsRequest sends, to every resource that takes a signed
// request, each thing that is wrong about one (invariant 13). A new resource is
// tried by itself; TestRouterServesTheTable says that none is missing.
func TestEveryResourceChecksItsRequest(t *testing.T) {
	b := newBench(t)
	c, other := b.registered("one"), b.registered("one")
	tried := 0
	for _, res := range resources {
		if res.method != http.MethodPost {
			continue
		}
		url := c.base + strings.NewReplacer("{id}", "X", "{type}", "http-01", "{chain}", "1", "{after}", "X").Replace(res.path)
		byKey := res.path == "/new-account"
		member := fmt.Sprintf(`"kid":%q`, c.kid)
		if byKey {
			member = `"jwk":` + c.jwk()
		}
		header := func(alg, member, nonce, url string) string {
			return fmt.Sprintf(`{"alg":%q,%s,"nonce":%q,"url":%q}`, alg, member, nonce, url)
		}
		good := func(c *client) string { return c.signHeader(header("ES256", member, c.freshNonce(), url), "{}") }
		used := c.freshNonce()
		c.send(c.kid, c.signHeader(header("ES256", fmt.Sprintf(`"kid":%q`, c.kid), used, c.kid), ""))
		cases := map[string]struct {
			body   string
			status int
			typ    string
		}{
			"garbage":            {"garbage", 400, typeMalformed},
			"oversize":           {strings.Repeat("x", maxBody+1), 413, typeMalformed},
			"wrong signature":    {good(other), 400, typeMalformed},
			"wrong URL":          {c.signHeader(header("ES256", member, c.freshNonce(), c.base+"/else"), "{}"), 401, typeUnauthorized},
			"made-up nonce":      {c.signHeader(header("ES256", member, "bm9uY2U", url), "{}"), 400, typeBadNonce},
			"used nonce":         {c.signHeader(header("ES256", member, used, url), "{}"), 400, typeBadNonce},
			"no nonce":           {c.signHeader(fmt.Sprintf(`{"alg":"ES256",%s,"url":%q}`, member, url), "{}"), 400, typeBadNonce},
			"no URL":             {c.signHeader(fmt.Sprintf(`{"alg":"ES256",%s,"nonce":%q}`, member, c.freshNonce()), "{}"), 400, typeMalformed},
			"another algorithm":  {c.signHeader(header("RS256", member, c.freshNonce(), url), "{}"), 400, typeBadSignatureAlgorithm},
			"a MAC":              {c.signHeader(header("HS256", member, c.freshNonce(), url), "{}"), 400, typeBadSignatureAlgorithm},
			"kid and jwk":        {c.signHeader(header("ES256", fmt.Sprintf(`"kid":%q,"jwk":%s`, c.kid, c.jwk()), c.freshNonce(), url), "{}"), 400, typeMalformed},
			"neither":            {c.signHeader(fmt.Sprintf(`{"alg":"ES256","nonce":%q,"url":%q}`, c.freshNonce(), url), "{}"), 400, typeMalformed},
			"unprotected header": {strings.Replace(good(c), `{"protected"`, `{"header":{},"protected"`, 1), 400, typeMalformed},
		}
		for name, kid := range map[string]string{"wrong kid": c.base + "/account/NOBODY", "kid of another directory": b.server.URL + "/acme/two/issuing/privatessl-tls-server/account/NOBODY", "another's kid": other.kid} {
			typ := typeAccountDoesNotExist
			if byKey || kid == other.kid { // it wants a key, or it finds one that did not sign
				typ = typeMalformed
			}
			cases[name] = struct {
				body   string
				status int
				typ    string
			}{c.signHeader(header("ES256", fmt.Sprintf(`"kid":%q`, kid), c.freshNonce(), url), "{}"), 400, typ}
		}
		for name, test := range cases {
			tried++
			r := c.send(url, test.body)
			if p := r.problem(t); r.status != test.status || p.Type != urn+test.typ {
				t.Errorf("%s, %s: %d %s", res.path, name, r.status, r.body)
			}
		}
		resp, err := b.server.Client().Post(url, "application/json", strings.NewReader(good(c)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(string(text), typeMalformed) || resp.Header.Get("Replay-Nonce") == "" {
			t.Errorf("%s as application/json: %d %s", res.path, resp.StatusCode, text)
		}
	}
	if tried < 150 {
		t.Errorf("%d requests were tried", tried)
	}
	for _, path := range []string{"/directory", "/new-nonce"} { // RFC 8555 section 6.3
		if r := c.post(c.base+path, ""); r.status >= 300 || r.header.Get("Replay-Nonce") == "" {
			t.Errorf("POST-as-GET of %s: %d %s", path, r.status, r.body)
		}
		if r := c.post(c.base+path, "{}"); r.status != http.StatusBadRequest {
			t.Errorf("POST of %s with a payload: %d", path, r.status)
		}
	}
}

// TestCoreRevokesByNames: the core counts the caller's own proofs of the very
// names, as long as they hold.
func TestCoreRevokesByNames(t *testing.T) {
	b := newBench(t)
	owner, c := b.registered("one"), b.registered("one")
	der, _ := owner.issue(fixture.Key(t), "a.example")
	id := "acme-account:" + c.kid[strings.LastIndex(c.kid, "/")+1:]
	who, err := caller.FromAccountSignature(b.door.Callers, caller.AccountSignature{Tenant: "one", Endpoint: "acme-one", Account: strings.TrimPrefix(id, "acme-account:"),
		Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	proof := func(owner, name string, wildcard bool, lasts time.Duration) claim.Claim {
		now := time.Now().Add(lasts).Add(-time.Hour)
		c, err := claim.FromAuthorization(b.door.Claims, claim.ValidatedAuthorization{ID: "z", Owner: owner, Identifier: name, Wildcard: wildcard, Challenge: claim.DNS01,
			Status: "valid", Validated: now, Expires: now.Add(time.Hour), Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	revoke := func(claims ...claim.Claim) error {
		_, err := b.door.Core.Revoke(t.Context(), &ca.RevokeRequest{Trace: ca.NewTrace(), Tenant: "one", CA: "issuing", Serial: serialOf(t, der),
			Certificate: der, Reason: ca.Superseded, Caller: who, Claims: claims})
		return err
	}
	for what, claims := range map[string][]claim.Claim{"nothing": nil, "the zero claim": {{}}, "another's proof": {proof("acme-account:other", "a.example", false, time.Minute)},
		"another name": {proof(id, "b.example", false, time.Minute)}, "the wildcard below": {proof(id, "a.example", true, time.Minute)},
		"the wildcard above": {proof(id, "example", true, time.Minute)}, "an expired proof": {proof(id, "a.example", false, -time.Minute)}} {
		if err := revoke(claims...); !ca.IsKind(err, ca.Denied) {
			t.Errorf("by %s: %v", what, err)
		}
	}
	if err := revoke(proof(id, "a.example", false, time.Minute)); err != nil {
		t.Error(err)
	}
}
