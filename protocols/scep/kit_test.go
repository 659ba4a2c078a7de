package scep

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	gopkix "crypto/x509/pkix"
	"encoding/base64"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/store/memory"
	"github.com/enrollgate/enrollgate/test/harness"
)

const (
	dual  = "scep-digital-signature-key-encipherment"
	other = "scep-digital-signature"
)

var (
	bySecret      = []caller.Method{caller.SCEPSecret}
	byStatic      = []caller.Method{caller.StaticSCEPSecret}
	byCertificate = []caller.Method{caller.Certificate}
	byAddress     = []caller.Method{caller.Unauthenticated}
)

// made is what takes long to make, once a process: a CA "issuing" of each tenant,
// another one of tenant one, and RSA keys.
var made struct {
	sync.Once
	issuers *issuer.Registry
	keys    []*rsa.PrivateKey
	err     error
}

func makeAuthorities(t *testing.T) (*issuer.Registry, error) {
	dir := t.TempDir()
	store := memory.New(memory.Options{Clock: time.Now})
	ring, secret := keys.NewRing(), keys.LiteralSecret("correct horse battery staple")
	var bindings []issuer.Binding
	for _, c := range [][2]string{{"one", "issuing"}, {"one", "spare"}, {"two", "issuing"}} {
		actor, err := caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: c[0], User: "test", At: time.Now()})
		if err != nil {
			return nil, err
		}
		name := filepath.Join(dir, c[0]+c[1])
		harness.Keys(t, "correct horse battery staple", name+"-root.pem", name+".pem")
		if _, err := admin.CreateHierarchy(context.Background(), store, ring, lint.Linter{}, admin.NewHierarchy{Tenant: c[0], CA: c[1], Name: "Test " + c[0] + c[1],
			RootKey: "file:" + name + "-root.pem", IssuingKey: "file:" + name + ".pem", Algorithm: "ecdsa-p256", Secret: secret, RootSecret: secret, Actor: actor, Now: time.Now()}); err != nil {
			return nil, err
		}
		bindings = append(bindings, issuer.Binding{Tenant: c[0], CA: c[1], Secret: secret})
	}
	return issuer.Load(context.Background(), store, ring, bindings, time.Now)
}

// rsaKey is one of four keys: 0 is the registration authority's, the others are clients'.
func rsaKey(t testing.TB, i int) *rsa.PrivateKey {
	t.Helper()
	if made.err != nil {
		t.Fatal(made.err)
	}
	return made.keys[i]
}

func once(t *testing.T) {
	made.Do(func() {
		for range 4 {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				made.err = err
				return
			}
			made.keys = append(made.keys, key)
		}
		made.issuers, made.err = makeAuthorities(t)
	})
	if made.err != nil {
		t.Fatal(made.err)
	}
}

// kit is a door over the real core and a store in memory.
type kit struct {
	testing.TB
	ahead    atomic.Int64 // nanoseconds that every clock is ahead
	store    *memory.Store
	registry *credential.Registry
	core     *ca.Authority
	ra       *authority
	door     *Door
	server   *httptest.Server
	seen     *observed
	reached  reached
	lists    map[string][]byte      // by CA id: what CRL gives
	change   func(*profile.Written) // of the profile dual
	adapt    func(*Options)
}

type sealing struct{ *seal.Keyring }

func (s sealing) Seal(ctx context.Context, tenant, id string, plain []byte) ([]byte, error) {
	return s.Keyring.Seal(ctx, seal.Pending, tenant, id, plain)
}

func (s sealing) Open(ctx context.Context, tenant, id string, sealed []byte) ([]byte, error) {
	return s.Keyring.Open(ctx, seal.Pending, tenant, id, sealed)
}

func (k *kit) now() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }

// late sets every clock ahead.
func (k *kit) late(by time.Duration) { k.ahead.Store(int64(by)) }

// endpointOf is an endpoint of a tenant's CA.
func endpointOf(tenant, authority, profile string, policies ...[]caller.Method) ca.Endpoint {
	if policies == nil {
		policies = [][]caller.Method{bySecret, byCertificate}
	}
	return ca.Endpoint{ID: tenant + "-" + authority + "-" + profile, Door: caller.SCEP, Tenant: tenant, CA: authority, Profile: profile, Policies: policies}
}

// newKit serves the endpoints; none: three that differ in tenant and profile. What
// comes before it is said by prepare.
func newKit(t *testing.T, prepare func(*kit), endpoints ...ca.Endpoint) *kit {
	t.Helper()
	once(t)
	k := &kit{TB: t, seen: &observed{replies: map[string]int{}, legacy: map[string]int{}}, lists: map[string][]byte{}}
	if prepare != nil {
		prepare(k)
	}
	if endpoints == nil {
		endpoints = []ca.Endpoint{endpointOf("one", "issuing", dual), endpointOf("two", "issuing", dual), endpointOf("one", "issuing", other), endpointOf("one", "spare", dual)}
	}
	k.store = memory.New(memory.Options{Clock: k.now})
	t.Cleanup(func() { k.store.Close() })
	ring, err := seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize), k.store)
	if err != nil {
		t.Fatal(err)
	}
	k.registry = credential.NewRegistry(k.store, ring)
	bound := map[string]*profile.Profile{}
	for _, e := range endpoints {
		bound[e.ID] = k.profile(e.Profile)
	}
	engine, err := profile.NewEngine(bound)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range engine.Profiles() {
		if err := k.store.KeepProfile(t.Context(), p.Hash(), p.Text()); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	k.core, err = ca.NewAuthority(ca.Parts{Endpoints: endpoints, Policy: engine, Linter: lint.Linter{}, Issuers: made.issuers, Ledger: k.store, Log: log, Now: k.now,
		Approvals: &ca.Approvals{Store: k.store, Leases: k.store, Sealing: sealing{ring}, Lifetime: time.Hour, Completions: map[caller.Door]ca.Completion{caller.SCEP: Completion{}}}})
	if err != nil {
		t.Fatal(err)
	}
	key := rsaKey(t, 0)
	k.ra = &authority{key: key, der: certificateOf(t, key, "RA", big.NewInt(77))}
	if k.ra.own, err = cms.ReadCertificate(k.ra.der); err != nil {
		t.Fatal(err)
	}
	o := Options{Endpoints: endpoints, Own: map[string]Own{}, Core: k.core, Issuers: made.issuers, Generations: made.issuers.All, RAs: func(string, string) RA { return k.ra },
		CRL:          func(i ca.Issuer) ([]byte, bool) { der, ok := k.lists[i.Facts().CA]; return der, ok },
		Certificates: k.store, Credentials: k.registry, Callers: caller.NewVerifier(caller.SCEP), Claims: claim.NewVerifier(caller.SCEP), Log: log, Now: k.now, Observer: k.seen}
	k.reached.watch(&o)
	if k.adapt != nil {
		k.adapt(&o)
	}
	if k.door, err = New(o); err != nil {
		t.Fatal(err)
	}
	k.reached.count(&k.door.verifying)
	router := chi.NewRouter()
	k.door.Routes(router)
	k.door.AdminRoutes(router)
	k.server = httptest.NewServer(router)
	t.Cleanup(k.server.Close)
	return k
}

func (k *kit) profile(id string) *profile.Profile {
	k.Helper()
	w, ok, err := profile.BuiltinByID(id)
	if err != nil || !ok {
		k.Fatal(ok, err)
	}
	if k.change != nil && id == dual {
		k.change(&w)
	}
	p, err := profile.Compile(w)
	if err != nil {
		k.Fatal(err)
	}
	return p
}

// secret is a one-time secret for tenant one, or another credential.
func (k *kit) secret(change ...func(*credential.Credential)) string {
	k.Helper()
	c := credential.Credential{Tenant: "one", Kind: credential.OneTime, Door: caller.SCEP, Granted: 1, Left: 1, Expires: k.now().Add(time.Hour)}
	for _, f := range change {
		f(&c)
	}
	_, secret, err := k.registry.Create(k.Context(), c, "", ca.Audit{Tenant: c.Tenant, Event: "credential.created", Actor: "operator:x", Detail: []byte("{}")})
	if err != nil {
		k.Fatal(err)
	}
	return secret.Text()
}

func (k *kit) operator() caller.Caller {
	k.Helper()
	c, err := caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: "one", User: "test", At: k.now()})
	if err != nil {
		k.Fatal(err)
	}
	return c
}

// certificateOf is a certificate that a key signs for itself.
func certificateOf(t testing.TB, key crypto.Signer, cn string, serial *big.Int) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: serial, Subject: gopkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// answer is what came back by HTTP.
type answer struct {
	status int
	header http.Header
	body   []byte
}

const at = Prefix + "/one/issuing/" + dual

func (k *kit) get(path string, header ...string) answer {
	k.Helper()
	return k.do(http.MethodGet, path, nil, header...)
}

func (k *kit) do(method, path string, body []byte, header ...string) answer {
	k.Helper()
	q, err := http.NewRequestWithContext(k.Context(), method, k.server.URL+path, bytes.NewReader(body))
	if err != nil {
		k.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	r, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		k.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		k.Fatal(err)
	}
	if r.Header.Get("Content-Length") != strconv.Itoa(len(text)) {
		k.Errorf("%s %s: Content-Length %q of %d", method, path, r.Header.Get("Content-Length"), len(text))
	}
	return answer{r.StatusCode, r.Header, text}
}

// post sends a message; inAddress does so by GET.
func (k *kit) post(path string, message []byte) answer {
	return k.do(http.MethodPost, path+"?operation=PKIOperation", message)
}

func (k *kit) inAddress(path string, message []byte) answer {
	return k.get(path + "?operation=PKIOperation&message=" + url.QueryEscape(base64.StdEncoding.EncodeToString(message)))
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// revoke revokes a certificate of tenant one's CA issuing.
func (k *kit) revoke(serial []byte, reason ca.Reason) {
	k.Helper()
	if _, err := k.store.Revoke(k.Context(), &ca.Revocation{Tenant: "one", CA: "issuing", Serial: ca.Serial(serial), Reason: reason,
		Audit: ca.Audit{Tenant: "one", Event: "certificate.revoked", Actor: "operator:x", Detail: []byte("{}")}}); err != nil {
		k.Fatal(err)
	}
}
