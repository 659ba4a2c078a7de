package est

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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
	"github.com/enrollgate/enrollgate/ca/keygen"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/memory"
	"github.com/enrollgate/enrollgate/test/harness"
)

const (
	signing = "est-digital-signature"
	other   = "est-non-repudiation"
)

var (
	byPassword    = []caller.Method{caller.Password}
	byCertificate = []caller.Method{caller.Certificate}
	byDevice      = []caller.Method{caller.DeviceCertificate}
)

// authorities are made once: each tenant has a CA "issuing", tenant one another one.
var authorities struct {
	sync.Once
	issuers *issuer.Registry
	ra      *Signatory
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
		if _, err := admin.CreateHierarchy(context.Background(), store, ring, lint.Linter{}, admin.NewHierarchy{Tenant: c[0], CA: c[1], Name: "Test " + c[0],
			RootKey: "file:" + name + "-root.pem", IssuingKey: "file:" + name + ".pem", Algorithm: "ecdsa-p256", Secret: secret, RootSecret: secret, Actor: actor, Now: time.Now()}); err != nil {
			return nil, err
		}
		bindings = append(bindings, issuer.Binding{Tenant: c[0], CA: c[1], Secret: secret})
	}
	return issuer.Load(context.Background(), store, ring, bindings, time.Now)
}

// kit is a door over the real core and a store in memory.
type kit struct {
	*testing.T
	ahead    atomic.Int64 // nanoseconds that every clock is ahead
	store    *memory.Store
	registry *credential.Registry
	core     *ca.Authority
	door     *Door
	server   *httptest.Server
	seen     *observed
	change   func(*profile.Written) // of the profile signing
	adapt    func(*Options)
	logged   logbook
	archived []ca.Certificate // what the archive has
}

// observed counts replies.
type observed struct {
	mu      sync.Mutex
	replies map[string]int // "ENDPOINT operation status"
	panics  int
}

func (o *observed) Answered(e *ca.Endpoint, operation string, status int, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := "none"
	if e != nil {
		id = e.ID
	}
	o.replies[id+" "+operation+" "+strconv.Itoa(status)]++
}

func (o *observed) Panicked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.panics++
}

// count tells how many replies of a kind there were.
func (o *observed) count(reply string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.replies[reply]
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
		policies = [][]caller.Method{byPassword, byCertificate}
	}
	return ca.Endpoint{ID: tenant + "-" + authority + "-" + profile, Door: caller.EST, Tenant: tenant, CA: authority, Profile: profile, Policies: policies}
}

// newKit serves the endpoints; none: three that differ in tenant and profile. What
// comes before it is said by prepare.
func newKit(t *testing.T, prepare func(*kit), endpoints ...ca.Endpoint) *kit {
	t.Helper()
	k := &kit{T: t, seen: &observed{replies: map[string]int{}}}
	if prepare != nil {
		prepare(k)
	}
	if endpoints == nil {
		endpoints = []ca.Endpoint{endpointOf("one", "issuing", signing), endpointOf("two", "issuing", signing), endpointOf("one", "issuing", other), endpointOf("one", "spare", signing)}
	}
	authorities.Do(func() {
		authorities.issuers, authorities.err = makeAuthorities(t)
		authorities.ra = newRA(t)
	})
	issuers, err := authorities.issuers, authorities.err
	if err != nil {
		t.Fatal(err)
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
	log := slog.New(slog.NewTextHandler(&k.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	k.core, err = ca.NewAuthority(ca.Parts{Endpoints: endpoints, Policy: engine, Linter: lint.Linter{}, Issuers: issuers, Ledger: k.store, Log: log, Now: k.now,
		Approvals: &ca.Approvals{Store: k.store, Leases: k.store, Sealing: sealing{ring}, Lifetime: time.Hour, Completions: map[caller.Door]ca.Completion{caller.EST: Completion{}}}})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Endpoints: endpoints, Default: endpoints[0].ID, Own: map[string]Own{}, Core: k.core, Issuers: issuers, Generations: issuers.All, Certificates: k.store,
		Credentials: k.registry, Callers: caller.NewVerifier(caller.EST), Claims: claim.NewVerifier(caller.EST), Log: log, Now: k.now, Observer: k.seen,
		Keys: keygen.New(claim.NewVerifier(caller.EST), 1), Replies: k.store, Sealing: replySealing{ring}, Archive: archive{k}, Signer: registrationAuthority, Waiting: time.Hour}
	if k.adapt != nil {
		k.adapt(&o)
	}
	if k.door, err = New(o); err != nil {
		t.Fatal(err)
	}
	router := chi.NewRouter()
	k.door.Routes(router)
	k.server = httptest.NewUnstartedServer(router)
	k.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true}
	k.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	k.server.StartTLS()
	t.Cleanup(k.server.Close)
	return k
}

func (k *kit) profile(id string) *profile.Profile {
	k.Helper()
	w, ok, err := profile.BuiltinByID(id)
	if err != nil || !ok {
		k.Fatal(ok, err)
	}
	if k.change != nil && id == signing {
		k.change(&w)
	}
	p, err := profile.Compile(w)
	if err != nil {
		k.Fatal(err)
	}
	return p
}

// user is a credential with its password.
type user struct {
	*credential.Credential
	password string
}

func (k *kit) user(tenant string, uses int, change ...func(*credential.Credential)) user {
	k.Helper()
	c := credential.Credential{Tenant: tenant, Kind: credential.Password, Door: caller.EST, Granted: uses, Left: uses, Expires: k.now().Add(time.Hour)}
	for _, f := range change {
		f(&c)
	}
	made, secret, err := k.registry.Create(k.Context(), c, "", ca.Audit{Tenant: tenant, Event: "credential.created", Actor: "operator:x", Detail: []byte("{}")})
	if err != nil {
		k.Fatal(err)
	}
	return user{made, secret.Text()}
}

// sent is a request to the door.
type sent struct {
	method, path string
	body         []byte
	mediaType    string
	user         user
	certificate  *tls.Certificate
	version      uint16 // of TLS; 0: any
	header       http.Header
	chunked      bool
}

type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request over a connection of its own.
func (k *kit) do(s sent) reply {
	k.Helper()
	var body io.Reader = bytes.NewReader(s.body)
	if s.chunked {
		body = struct{ io.Reader }{body}
	}
	q, err := http.NewRequestWithContext(k.Context(), s.method, k.server.URL+Prefix+s.path, body)
	if err != nil {
		k.Fatal(err)
	}
	q.Header = s.header.Clone()
	if q.Header == nil {
		q.Header = http.Header{}
	}
	if s.mediaType != "" {
		q.Header.Set("Content-Type", s.mediaType)
	}
	if s.user.Credential != nil {
		q.SetBasicAuth(s.user.ID, s.user.password)
	}
	roots := x509.NewCertPool()
	roots.AddCert(k.server.Certificate())
	config := &tls.Config{RootCAs: roots, MinVersion: s.version, MaxVersion: s.version}
	if s.certificate != nil { // whatever CAs the server names
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(q)
	if err != nil {
		k.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		k.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(text)}
}

const at = "/one/issuing/" + signing // the first endpoint

// enroll posts a CSR in the usual form.
func (k *kit) enroll(csr []byte, u user) reply {
	return k.do(sent{method: "POST", path: at + "/simpleenroll", body: []byte(base64.StdEncoding.EncodeToString(csr)), mediaType: "application/pkcs10", user: u})
}

// reenroll posts a CSR over a connection with a client certificate.
func (k *kit) reenroll(csr []byte, with *tls.Certificate) reply {
	return k.do(sent{method: "POST", path: at + "/simplereenroll", body: []byte(base64.StdEncoding.EncodeToString(csr)), mediaType: "application/pkcs10", certificate: with})
}

// issued reads the one certificate of a reply.
func (k *kit) issued(r reply) *x509.Certificate {
	k.Helper()
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/pkcs7-mime; smime-type=certs-only" {
		k.Fatalf("%d %v %s", r.status, r.header, r.body)
	}
	all := k.certificates(r)
	if len(all) != 1 {
		k.Fatalf("%d certificates", len(all))
	}
	return all[0]
}

func (k *kit) certificates(r reply) []*x509.Certificate {
	k.Helper()
	der, err := base64.StdEncoding.DecodeString(r.body)
	if err != nil {
		k.Fatal(err)
	}
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	var inner struct {
		Version      int
		Digests      []asn1.RawValue `asn1:"set"`
		Content      asn1.RawValue
		Certificates asn1.RawValue   `asn1:"tag:0"`
		Signers      []asn1.RawValue `asn1:"set"`
	}
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 {
		k.Fatal(rest, err)
	}
	if rest, err := asn1.Unmarshal(outer.Content.Bytes, &inner); err != nil || len(rest)+len(inner.Signers)+len(inner.Digests) > 0 {
		k.Fatal(rest, err)
	}
	all, err := x509.ParseCertificates(inner.Certificates.Bytes)
	if err != nil {
		k.Fatal(err)
	}
	return all
}

// holder is a certificate with its key, as a device has it.
func (k *kit) holder(name string, u user) *tls.Certificate {
	k.Helper()
	key := newKey(k.T)
	c := k.issued(k.enroll(newCSR(k.T, key, name, name+".example"), u))
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

// refused fails where a reply is none with this status, a sentence and a trace id.
func (k *kit) refused(what string, r reply, status int, text string) {
	k.Helper()
	if r.status != status || !strings.Contains(r.body, text) || !traced.MatchString(r.body) || r.header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		r.header.Get("Content-Length") != strconv.Itoa(len(r.body)) {
		k.Errorf("%s: %d %v %q, want %d %q", what, r.status, r.header, r.body, status, text)
	}
}

var traced = regexp.MustCompile(` \[trace [0-9A-HJKMNP-TV-Z]{10}\]\n$`)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCSR(t *testing.T, key crypto.Signer, cn string, names ...string) []byte {
	t.Helper()
	subject := pkix.Name{}
	if cn != "" {
		subject.CommonName = cn
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject, DNSNames: names}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
