package acme

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
)

var (
	required = [][]caller.Method{{caller.ACMEAccount, caller.ExternalAccount}}
	optional = [][]caller.Method{{caller.ACMEAccount}, {caller.ACMEAccount, caller.ExternalAccount}}
)

// external makes a door on the bench's store with other policies and terms.
func (b *bench) external(policies [][]caller.Method, terms string) (*bench, *credential.Registry) {
	b.t.Helper()
	return b.externalWith(further{}, policies, terms)
}

func (b *bench) externalWith(more further, policies [][]caller.Method, terms string) (*bench, *credential.Registry) {
	b.t.Helper()
	keys, err := seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize), b.store)
	if err != nil {
		b.t.Fatal(err)
	}
	registry := credential.NewRegistry(b.store, keys)
	out := *b
	out.policies = policies
	core, _, endpoints := out.core(b.door.Log, more)
	router := chi.NewRouter()
	out.server = httptest.NewTLSServer(router)
	b.t.Cleanup(out.server.Close)
	o := b.door.Options
	o.Own = more.own
	o.BaseURL, o.Endpoints, o.Core, o.External, o.Terms = out.server.URL, endpoints, core, registry, map[string]string{}
	for _, e := range endpoints {
		if terms != "" {
			o.Terms[e.ID] = terms
		}
	}
	if out.door, err = New(o); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { out.door.Close(context.Background()) })
	out.door.Routes(router)
	return &out, registry
}

// made registers an external account's key.
func made(t *testing.T, r *credential.Registry, change func(*credential.Credential)) (id string, key []byte) {
	t.Helper()
	c := credential.Credential{Tenant: "one", Kind: credential.HMACKey, Door: caller.ACME, Granted: 1, Expires: time.Now().Add(time.Hour).Truncate(time.Microsecond)}
	if change != nil {
		change(&c)
	}
	c.Left = c.Granted
	out, secret := core.Register(t, r, c)
	return out.ID, secret.Octets()
}

// binding signs an account's key with an external account's (RFC 8555 section 7.3.4).
func binding(alg, kid, url, payload string, key []byte) string {
	enc := base64.RawURLEncoding
	header := enc.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"kid":%q,"url":%q}`, alg, kid, url))
	body := enc.EncodeToString([]byte(payload))
	mac := hmac.New(map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}[alg], key)
	mac.Write([]byte(header + "." + body))
	return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, header, body, enc.EncodeToString(mac.Sum(nil)))
}

func (c *client) register(binding string) reply {
	c.b.t.Helper()
	payload := `{"termsOfServiceAgreed":true`
	if binding != "" {
		payload += `,"externalAccountBinding":` + binding
	}
	return c.post(c.base+"/new-account", payload+"}")
}

func (c *client) bound(alg, kid string, key []byte) string {
	return binding(alg, kid, c.base+"/new-account", c.jwk(), key)
}

func TestExternalAccount(t *testing.T) {
	b, registry := newBench(t).external(required, "")
	if text := string(b.door.endpoints["one/issuing/privatessl-tls-server"].directory); !strings.Contains(text, `"meta":{"externalAccountRequired":true}`) {
		t.Errorf("directory: %s", text)
	}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		kid, key := made(t, registry, nil)
		c := b.client("one")
		text := c.bound(alg, kid, key)
		r := c.register(text)
		if r.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", alg, r.status, r.body)
		}
		var account accountObject
		r.into(t, &account)
		if string(account.Binding) != text {
			t.Errorf("the account repeats the binding as\n%s, want\n%s", account.Binding, text)
		}
		c.kid = r.header.Get("Location")
		c.issue(fixture.Key(t), "bound.example")
		again := *c
		again.kid = ""
		if r := again.register(text); r.status != http.StatusOK || r.header.Get("Location") != c.kid {
			t.Errorf("the same key again: %d %s", r.status, r.body)
		}
		second := b.client("one")
		if p := second.register(second.bound(alg, kid, key)).problem(t); p.Type != urn+typeUnauthorized || !strings.Contains(p.Detail, "spent") {
			t.Errorf("a second account: %s %s", p.Type, p.Detail)
		}
	}
}

// TestExternalAccountRefusals: nothing is made, and no use is taken.
func TestExternalAccountRefusals(t *testing.T) {
	b, registry := newBench(t).external(required, "")
	kid, key := made(t, registry, nil)
	expired, expiredKey := made(t, registry, func(c *credential.Credential) { c.Expires = time.Now().Add(-time.Minute).Truncate(time.Microsecond) })
	revoked, revokedKey := made(t, registry, nil)
	if err := registry.RevokeCredential(t.Context(), "one", revoked, ca.Audit{Tenant: "one", Event: "credential.revoked", Actor: "x", Detail: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	foreign, foreignKey := made(t, registry, func(c *credential.Credential) { c.Tenant = "two" })
	profile, profileKey := made(t, registry, func(c *credential.Credential) { c.Binding.Profile = "another" })
	endpoint, endpointKey := made(t, registry, func(c *credential.Credential) { c.Endpoints = []string{"acme-two"} })
	code, codeKey := made(t, registry, func(c *credential.Credential) { c.Kind = credential.Code })
	door, doorKey := made(t, registry, func(c *credential.Credential) { c.Door = caller.SCEP })
	c := b.client("one")
	url := c.base + "/new-account"
	enc := base64.RawURLEncoding
	header := func(text string) string {
		protected, body := enc.EncodeToString([]byte(text)), enc.EncodeToString([]byte(c.jwk()))
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(protected + "." + body))
		return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, protected, body, enc.EncodeToString(mac.Sum(nil)))
	}
	for name, test := range map[string]struct {
		binding string
		status  int
		typ     string
	}{
		"none":                {"", 403, typeExternalAccountRequired},
		"null":                {"null", 403, typeExternalAccountRequired},
		"a text":              {`"x"`, 400, typeMalformed},
		"too long":            {`{"x":"` + strings.Repeat("x", maxBinding) + `"}`, 400, typeMalformed},
		"another key":         {c.bound("HS256", kid, bytes.Repeat([]byte{1}, 32)), 401, typeUnauthorized},
		"an empty key":        {c.bound("HS256", kid, nil), 401, typeUnauthorized},
		"an unknown key id":   {c.bound("HS256", "unknown", key), 401, typeUnauthorized},
		"expired":             {c.bound("HS256", expired, expiredKey), 401, typeUnauthorized},
		"revoked":             {c.bound("HS256", revoked, revokedKey), 401, typeUnauthorized},
		"another tenant's":    {c.bound("HS256", foreign, foreignKey), 401, typeUnauthorized},
		"another profile's":   {c.bound("HS256", profile, profileKey), 401, typeUnauthorized},
		"another endpoint's":  {c.bound("HS256", endpoint, endpointKey), 401, typeUnauthorized},
		"another door's":      {c.bound("HS256", door, doorKey), 401, typeUnauthorized},
		"another kind":        {c.bound("HS256", code, codeKey), 401, typeUnauthorized},
		"another account key": {binding("HS256", kid, url, b.client("one").jwk(), key), 400, typeMalformed},
		"no key as payload":   {binding("HS256", kid, url, "{}", key), 400, typeMalformed},
		"another URL":         {binding("HS256", kid, c.base+"/new-order", c.jwk(), key), 400, typeMalformed},
		"a nonce":             {header(fmt.Sprintf(`{"alg":"HS256","kid":%q,"nonce":"AA","url":%q}`, kid, url)), 400, typeMalformed},
		"a signature":         {c.signHeader(fmt.Sprintf(`{"alg":"ES256","kid":%q,"url":%q}`, kid, url), c.jwk()), 400, typeBadSignatureAlgorithm},
		"its own key":         {header(fmt.Sprintf(`{"alg":"HS256","jwk":%s,"url":%q}`, c.jwk(), url)), 400, typeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.register(test.binding)
			if p := r.problem(t); r.status != test.status || p.Type != urn+test.typ {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	if r, err := b.store.Credential(t.Context(), "one", kid); err != nil || r.Left != 1 {
		t.Errorf("%d uses left, %v", r.Left, err)
	}
	if r := c.register(c.bound("HS256", kid, key)); r.status != http.StatusCreated {
		t.Errorf("in the end: %d %s", r.status, r.body)
	}
}

// TestExternalAccountRace: one use makes one account, however many ask at once.
func TestExternalAccountRace(t *testing.T) {
	b, registry := newBench(t).external(required, "")
	kid, key := made(t, registry, nil)
	codes := make([]int, 6)
	var all sync.WaitGroup
	for i := range codes {
		c := b.client("one")
		body := c.sign(c.freshNonce(), c.base+"/new-account", `{"externalAccountBinding":`+c.bound("HS256", kid, key)+`}`)
		all.Go(func() { codes[i] = c.send(c.base+"/new-account", body).status })
	}
	all.Wait()
	won := 0
	for _, code := range codes {
		switch code {
		case http.StatusCreated:
			won++
		case http.StatusUnauthorized:
		default:
			t.Errorf("status %d", code)
		}
	}
	if won != 1 {
		t.Errorf("%d accounts by one use", won)
	}
}

// TestExternalAccountOptional: accounts with and without a binding, and with one
// that is wrong.
func TestExternalAccountOptional(t *testing.T) {
	plain := newBench(t)
	old := plain.registered("one") // before anybody thought of bindings
	b, _ := plain.external(optional, "")
	if strings.Contains(string(b.door.endpoints["one/issuing/privatessl-tls-server"].directory), "meta") {
		t.Error("a binding that is optional is said to be required")
	}
	b.registered("one").order("free.example")
	c := b.client("one")
	if r := c.register(c.bound("HS256", "unknown", []byte("key"))); r.status != http.StatusUnauthorized {
		t.Errorf("a wrong binding where none is needed: %d %s", r.status, r.body)
	}
	ignoring := plain.client("one")
	r := ignoring.register(ignoring.bound("HS256", "unknown", []byte("key")))
	if r.status != http.StatusCreated || strings.Contains(string(r.body), "externalAccountBinding") {
		t.Errorf("where bindings are ignored: %d %s", r.status, r.body)
	}

	strict, _ := plain.external(required, "")
	at := &client{b: strict, base: strict.client("one").base, key: old.key}
	at.kid = at.base + old.kid[strings.LastIndex(old.kid, "/account/"):]
	for _, url := range []string{"/new-order", "/new-authz"} {
		if p := at.post(at.base+url, `{"identifiers":[{"type":"dns","value":"a.example"}],"identifier":{"type":"dns","value":"a.example"}}`).problem(t); p.Type != urn+typeExternalAccountRequired {
			t.Errorf("%s of an account that is not bound: %s", url, p.Type)
		}
	}
	if r := at.post(at.kid, `{"status":"deactivated"}`); r.status != http.StatusOK {
		t.Errorf("it cannot be deactivated: %s", r.body)
	}
}

// TestBoundNames: a credential's patterns hold at newOrder, at newAuthz, and in
// the core when the certificate is decided.
func TestBoundNames(t *testing.T) {
	b, registry := newBench(t).external(required, "")
	kid, key := made(t, registry, func(c *credential.Credential) { c.Binding.Names = []string{"*.unit.example", "host.example"} })
	c := b.client("one")
	c.kid = c.register(c.bound("HS256", kid, key)).header.Get("Location")
	order := func(names ...string) string {
		t.Helper()
		var ids []string
		for _, n := range names {
			ids = append(ids, fmt.Sprintf(`{"type":"dns","value":%q}`, n))
		}
		r := c.post(c.base+"/new-order", `{"identifiers":[`+strings.Join(ids, ",")+`]}`)
		if r.status == http.StatusCreated {
			return ""
		}
		return strings.TrimPrefix(r.problem(t).Type, urn)
	}
	for names, want := range map[string]string{"a.unit.example": "", "host.example b.c.unit.example": "", "unit.example": typeRejectedIdentifier,
		"other.example": typeRejectedIdentifier, "host.example xunit.example": typeRejectedIdentifier, "x.host.example": typeRejectedIdentifier} {
		if got := order(strings.Fields(names)...); got != want {
			t.Errorf("%s: %q, want %q", names, got, want)
		}
	}
	if r := c.post(c.base+"/new-authz", `{"identifier":{"type":"dns","value":"other.example"}}`); r.problem(t).Type != urn+typeRejectedIdentifier {
		t.Errorf("newAuthz: %s", r.body)
	}
	// An order that is there already: the core decides again.
	account := c.kid[strings.LastIndex(c.kid, "/")+1:]
	now := time.Now().UTC().Truncate(time.Microsecond)
	o := &state.Order{Tenant: "one", Endpoint: "acme-one", ID: ca.OrderedID(now), Account: account, Status: state.Pending, CreatedAt: now, Expires: now.Add(time.Hour),
		Identifiers: []state.Identifier{{Type: "dns", Value: "other.example"}}}
	z := &state.Authorization{Tenant: "one", Endpoint: "acme-one", ID: ca.OrderedID(now), Account: account, Identifier: o.Identifiers[0], Status: state.Valid,
		CreatedAt: now, Expires: now.Add(time.Hour), Challenges: []state.Challenge{{Type: "http-01", Status: state.Valid, Validated: now}}}
	o.Authorizations = []string{z.ID}
	nonce := state.Nonce{ID: [16]byte([]byte("0123456789abcdef")), Expires: now.Add(time.Hour)}
	if err := b.store.CreateOrder(t.Context(), o, []*state.Authorization{z}, nonce); err != nil {
		t.Fatal(err)
	}
	r := c.post(c.base+"/order/"+o.ID+"/finalize", `{"csr":"`+c.csr("", "other.example")+`"}`)
	if p := r.problem(t); p.Type != urn+typeRejectedIdentifier {
		t.Errorf("finalize: %d %s", r.status, r.body)
	}
	c.issue(fixture.Key(t), "a.unit.example")
}

// TestBoundKey: a credential for one key certifies no other.
func TestBoundKey(t *testing.T) {
	b, registry := newBench(t).external(optional, "")
	mine := fixture.Key(t)
	spki, err := spkiHash(mine)
	if err != nil {
		t.Fatal(err)
	}
	kid, key := made(t, registry, func(c *credential.Credential) { c.Binding.KeyHash = spki })
	c := b.client("one")
	c.kid = c.register(c.bound("HS256", kid, key)).header.Get("Location")
	if r := c.finalize(fixture.Key(t), "a.example"); r.problem(t).Type != urn+typeBadCSR {
		t.Errorf("another key: %s", r.body)
	}
	c.issue(mine, "b.example")
}

// TestTermsOfService: agreement is asked for at first, and again when the terms
// have another URL (RFC 8555 sections 7.3 and 7.3.3).
func TestTermsOfService(t *testing.T) {
	plain := newBench(t)
	old := plain.registered("one")
	b, _ := plain.external(nil, "https://pki.example/terms-1")
	if text := string(b.door.endpoints["one/issuing/privatessl-tls-server"].directory); !strings.Contains(text, `"meta":{"termsOfService":"https://pki.example/terms-1"}`) {
		t.Errorf("directory: %s", text)
	}
	asked := func(r reply, terms string) {
		t.Helper()
		p := r.problem(t)
		if r.status != http.StatusForbidden || p.Type != urn+typeUserActionRequired || p.Instance != terms {
			t.Errorf("%d %s", r.status, r.body)
		}
		if links := r.header.Values("Link"); len(links) != 2 || links[1] != "<"+terms+`>;rel="terms-of-service"` {
			t.Errorf("links %q", links)
		}
	}
	asked(b.client("one").post(b.client("one").base+"/new-account", `{}`), "https://pki.example/terms-1")
	c := b.registered("one")
	c.order("a.example")
	next, _ := plain.external(nil, "https://pki.example/terms-2")
	move := func(c *client) *client {
		moved := &client{b: next, base: next.client("one").base, key: c.key}
		moved.kid = moved.base + c.kid[strings.LastIndex(c.kid, "/account/"):]
		return moved
	}
	const order = `{"identifiers":[{"type":"dns","value":"a.example"}]}`
	for _, c := range []*client{move(c), move(old)} {
		asked(c.post(c.base+"/new-order", order), "https://pki.example/terms-2")
		asked(c.post(c.base+"/new-authz", `{"identifier":{"type":"dns","value":"a.example"}}`), "https://pki.example/terms-2")
		if r := c.post(c.kid, `{"contact":[]}`); r.status != http.StatusOK {
			t.Errorf("an update: %s", r.body)
		}
		asked(c.post(c.base+"/new-order", order), "https://pki.example/terms-2")
	}
	byUpdate, byAgain := move(c), move(old)
	if r := byUpdate.post(byUpdate.kid, `{"termsOfServiceAgreed":true}`); r.status != http.StatusOK {
		t.Errorf("agreement by an update: %s", r.body)
	}
	again := *byAgain
	again.kid = ""
	if r := again.post(again.base+"/new-account", `{"termsOfServiceAgreed":true}`); r.status != http.StatusOK {
		t.Errorf("agreement by newAccount: %s", r.body)
	}
	for _, c := range []*client{byUpdate, byAgain} {
		if r := c.post(c.base+"/new-order", order); r.status != http.StatusCreated {
			t.Errorf("after agreement: %s", r.body)
		}
	}
}

// TestLibraryExternalAccount registers with x/crypto/acme.
func TestLibraryExternalAccount(t *testing.T) {
	b, registry := newBench(t).external(required, "https://pki.example/terms-1")
	kid, key := made(t, registry, nil)
	c := &acme.Client{Key: fixture.Key(t), HTTPClient: b.server.Client(), DirectoryURL: b.client("one").base + "/directory"}
	directory, err := c.Discover(t.Context())
	if err != nil || !directory.ExternalAccountRequired || directory.Terms == "" || directory.KeyChangeURL == "" || directory.AuthzURL == "" {
		t.Errorf("directory %+v, %v", directory, err)
	}
	if _, err := c.Register(t.Context(), &acme.Account{}, acme.AcceptTOS); err == nil {
		t.Error("registered without a binding")
	}
	account, err := c.Register(t.Context(), &acme.Account{ExternalAccountBinding: &acme.ExternalAccountBinding{KID: kid, Key: key}}, acme.AcceptTOS)
	if err != nil || account.Status != acme.StatusValid {
		t.Fatalf("%v, %v", account, err)
	}
	if _, err := c.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example")); err != nil {
		t.Error(err)
	}
	stored, err := b.store.AccountByKey(t.Context(), "one", "acme-one", thumbprintOf(t, c))
	if err != nil || stored.External == nil || stored.External.Binding.Credential != kid {
		t.Errorf("stored account: %+v, %v", stored, err)
	}
	var jws map[string]string
	if err := json.Unmarshal(stored.External.JWS, &jws); err != nil || jws["signature"] == "" {
		t.Errorf("stored binding: %s, %v", stored.External.JWS, err)
	}
}
