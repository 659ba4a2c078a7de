package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/protocols/acme/recent"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/store/sqlite"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// bench is a door over the real core and a real store, with a validator that
// the test commands.
type bench struct {
	t         *testing.T
	door      *Door
	server    *httptest.Server
	store     benchStore
	validator *verdicts
	roots     *x509.CertPool
	policies  [][]caller.Method // of every endpoint; nil: an account
}

// benchStore is a driver of the daemon's.
type benchStore interface {
	ca.Ledger
	state.Store
	credential.Store
	seal.Store
	ca.Renewals
	Counters() ca.StoreCounters
	io.Closer
}

// verdicts is a validator that knows the answers.
type verdicts struct {
	mu    sync.Mutex
	asked []string
	fail  map[string]error
	gate  chan struct{} // where set, every validation waits for it
}

func (v *verdicts) Validate(ctx context.Context, q va.Question) (va.Record, error) {
	v.mu.Lock()
	v.asked = append(v.asked, q.KeyAuthorization)
	gate, err := v.gate, v.fail[q.Identifier]
	v.mu.Unlock()
	if !strings.HasPrefix(q.KeyAuthorization, q.Token+".") {
		return va.Record{}, errors.New("not a key authorization of this token")
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return va.Record{}, ctx.Err()
		}
	}
	return va.Record{}, err
}

func (v *verdicts) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.asked)
}

// tenants each have a CA "issuing".
var tenants = []string{"one", "two"}

func newBench(t *testing.T) *bench { return newBenchOn(t, openSQLite(t)) }

func openSQLite(t *testing.T) benchStore {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Log: slog.New(slog.DiscardHandler), Replica: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// newBenchOn closes the store in the end.
func newBenchOn(t *testing.T, store benchStore) *bench { return newBenchWith(t, store, further{}) }

// further is what a bench has beside an endpoint of each tenant.
type further struct {
	endpoints []ca.Endpoint
	profiles  map[string]*profile.Profile // by endpoint
	own       map[string]Own
	adapt     func(*bench, *ca.Parts) // changes what the core is made of; nil: nothing
	now       func() time.Time        // the door's clock; nil: the real one
}

func newBenchWith(t *testing.T, store benchStore, more further) *bench {
	t.Helper()
	if more.now == nil {
		more.now = time.Now
	}
	log := slog.New(slog.DiscardHandler)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, store: store, validator: &verdicts{fail: map[string]error{}}}
	core, issuers, endpoints := b.core(log, more)
	router := chi.NewRouter()
	b.server = httptest.NewTLSServer(router)
	t.Cleanup(b.server.Close)
	var err error
	b.door, err = New(Options{BaseURL: b.server.URL, Endpoints: endpoints, Core: core, Issuers: issuers, Generations: issuers.All, Windows: store, Certificates: store, Store: recent.New(store, time.Now),
		Callers: caller.NewVerifier(caller.ACME), Claims: claim.NewVerifier(caller.ACME), Validators: map[claim.Method]Validator{claim.HTTP01: b.validator, claim.DNS01: b.validator, claim.TLSALPN01: b.validator}, Log: log, Now: more.now, Own: more.own,
		Schedule: []time.Duration{},
		Nonces: func() (NonceKey, []NonceKey) {
			k := NonceKey{Version: 1, Secret: bytes.Repeat([]byte{7}, 32)}
			return k, []NonceKey{k}
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.door.Close(context.Background()) })
	b.door.Routes(router)
	return b
}

// core binds an endpoint to each tenant's CA.
func (b *bench) core(log *slog.Logger, more further) (*ca.Authority, *issuer.Registry, []ca.Endpoint) {
	b.t.Helper()
	issuers, roots := core.Authorities(b.t)
	b.roots = roots
	var endpoints []ca.Endpoint
	profiles := map[string]*profile.Profile{}
	for id, p := range more.profiles {
		profiles[id] = p
	}
	for _, tenant := range tenants {
		e := ca.Endpoint{ID: "acme-" + tenant, Door: caller.ACME, Tenant: tenant, CA: "issuing", Profile: "privatessl-tls-server",
			Policies: [][]caller.Method{{caller.ACMEAccount}}}
		if b.policies != nil {
			e.Policies = b.policies
		}
		endpoints, profiles[e.ID] = append(endpoints, e), core.Profile(b.t, e.Profile)
	}
	var served []ca.Endpoint
	for _, e := range more.endpoints {
		if e.Of == "" {
			served = append(served, e)
		}
	}
	all := append(slices.Clone(endpoints), more.endpoints...)
	endpoints = append(endpoints, served...)
	parts := ca.Parts{Endpoints: all, Policy: core.Engine(b.t, profiles, b.store), Linter: lint.Linter{}, Issuers: issuers, Ledger: b.store, Log: log, Now: time.Now, Windows: b.store}
	if more.adapt != nil {
		more.adapt(b, &parts)
	}
	return fixture.Must(ca.NewAuthority(parts))(b.t), issuers, endpoints
}

// client signs requests by hand, so that a test can get every part wrong.
type client struct {
	b     *bench
	base  string
	key   *ecdsa.PrivateKey
	kid   string
	nonce string
}

func (b *bench) client(tenant string) *client {
	b.t.Helper()
	return &client{b: b, base: b.server.URL + "/acme/" + tenant + "/issuing/privatessl-tls-server", key: fixture.Key(b.t)}
}

// registered gives a client with an account.
func (b *bench) registered(tenant string) *client {
	c := b.client(tenant)
	r := c.post(c.base+"/new-account", `{"termsOfServiceAgreed":true}`)
	if r.status != http.StatusCreated {
		b.t.Fatalf("newAccount: %d %s", r.status, r.body)
	}
	c.kid = r.header.Get("Location")
	return c
}

func (c *client) jwk() string {
	raw, err := c.key.PublicKey.Bytes()
	if err != nil {
		c.b.t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	return fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, enc.EncodeToString(raw[1:33]), enc.EncodeToString(raw[33:]))
}

func (c *client) freshNonce() string {
	if c.nonce != "" {
		n := c.nonce
		c.nonce = ""
		return n
	}
	r, err := c.b.server.Client().Head(c.base + "/new-nonce")
	if err != nil {
		c.b.t.Fatal(err)
	}
	r.Body.Close()
	return r.Header.Get("Replay-Nonce")
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) problem(t *testing.T) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(r.body, &p); err != nil || r.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("not a problem document: %d %q %s", r.status, r.header.Get("Content-Type"), r.body)
	}
	return p
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
}

// sign makes a flattened JWS with the members given.
func (c *client) sign(nonce, url, payload string) string {
	id := `"jwk":` + c.jwk()
	if c.kid != "" {
		id = `"kid":"` + c.kid + `"`
	}
	return c.signHeader(fmt.Sprintf(`{"alg":"ES256",%s,"nonce":%q,"url":%q}`, id, nonce, url), payload)
}

func (c *client) signHeader(header, payload string) string {
	enc := base64.RawURLEncoding
	protected, body := enc.EncodeToString([]byte(header)), enc.EncodeToString([]byte(payload))
	digest := sha256.Sum256([]byte(protected + "." + body))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, digest[:])
	if err != nil {
		c.b.t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, protected, body, enc.EncodeToString(signature))
}

// post sends a properly signed request.
func (c *client) post(url, payload string) reply {
	c.b.t.Helper()
	return c.send(url, c.sign(c.freshNonce(), url, payload))
}

// send sends any body and keeps the fresh nonce that every reply must carry.
func (c *client) send(url, body string) reply {
	c.b.t.Helper()
	resp, err := c.b.server.Client().Post(url, "application/jose+json", strings.NewReader(body))
	if err != nil {
		c.b.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.b.t.Fatal(err)
	}
	c.nonce = resp.Header.Get("Replay-Nonce")
	if c.nonce == "" {
		c.b.t.Errorf("%s: %d without Replay-Nonce (RFC 8555 section 6.5)", url, resp.StatusCode)
	}
	if after := resp.Header.Get("Retry-After"); strings.Trim(after, "0123456789") != "" {
		c.b.t.Errorf("%s: %d with Retry-After %q, which must be seconds (interop rule 3)", url, resp.StatusCode, after)
	}
	return reply{resp.StatusCode, resp.Header, data}
}

// authorization opens an order and reads its first authorization.
func (c *client) authorization(names ...string) (o orderObject, a authorizationObject) {
	c.b.t.Helper()
	_, o = c.order(names...)
	c.post(o.Authorizations[0], "").into(c.b.t, &a)
	return o, a
}

// begin answers the first challenge of an authorization.
func (c *client) begin(a authorizationObject) (challenge challengeObject) {
	c.b.t.Helper()
	c.post(a.Challenges[0].URL, "{}").into(c.b.t, &challenge)
	return challenge
}

// order opens an order and gives its URL.
func (c *client) order(names ...string) (string, orderObject) {
	c.b.t.Helper()
	var ids []string
	for _, n := range names {
		ids = append(ids, fmt.Sprintf(`{"type":"dns","value":%q}`, n))
	}
	r := c.post(c.base+"/new-order", `{"identifiers":[`+strings.Join(ids, ",")+`]}`)
	if r.status != http.StatusCreated {
		c.b.t.Fatalf("newOrder: %d %s", r.status, r.body)
	}
	var o orderObject
	r.into(c.b.t, &o)
	return r.header.Get("Location"), o
}

// prove starts the http-01 challenge of every authorization and waits until
// the order is settled.
func (c *client) prove(url string, o orderObject) orderObject {
	c.b.t.Helper()
	for _, a := range o.Authorizations {
		var z authorizationObject
		c.post(a, "").into(c.b.t, &z)
		if r := c.post(z.Challenges[0].URL, "{}"); r.status != http.StatusOK {
			c.b.t.Fatalf("challenge: %d %s", r.status, r.body)
		}
	}
	return c.settled(url)
}

func (c *client) settled(url string) (o orderObject) {
	c.b.t.Helper()
	c.b.door.validations.running.Wait()
	c.post(url, "").into(c.b.t, &o)
	return o
}

// csr makes a base64url PKCS#10 request for a fresh key.
func (c *client) csr(cn string, names ...string) string {
	c.b.t.Helper()
	return c.csrWith(fixture.Key(c.b.t), cn, names...)
}

func (c *client) csrWith(key crypto.Signer, cn string, names ...string) string {
	c.b.t.Helper()
	return base64.RawURLEncoding.EncodeToString(fixture.CSR(c.b.t, key, cn, names...))
}

func readAll(r *http.Response) ([]byte, error) { return io.ReadAll(r.Body) }
