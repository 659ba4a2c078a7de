package est

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/keygen"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
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

// kit is a door over the real core and a store in memory.
type kit struct {
	*testing.T
	*core.Core
	door     *Door
	server   *httptest.Server
	seen     *observed
	change   func(*profile.Written) // of the profile signing
	adapt    func(*Options)
	logged   logbook
	archived []ca.Certificate // what the archive has
}

// observed counts replies: "ENDPOINT operation status".
type observed struct{ core.Observed }

func (o *observed) Answered(e *ca.Endpoint, operation string, status int, _ time.Duration) {
	o.Count(e, operation, strconv.Itoa(status))
}

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
	k := &kit{T: t, seen: &observed{}}
	if prepare != nil {
		prepare(k)
	}
	if endpoints == nil {
		endpoints = []ca.Endpoint{endpointOf("one", "issuing", signing), endpointOf("two", "issuing", signing), endpointOf("one", "issuing", other), endpointOf("one", "spare", signing)}
	}
	ra.Do(func() { ra.signatory = newRA(t) })
	log := slog.New(slog.NewTextHandler(&k.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	k.Core = core.New(t, core.Options{Endpoints: endpoints, Changed: signing, Change: k.change, Completions: map[caller.Door]ca.Completion{caller.EST: Completion{}}, Log: log})
	o := Options{Endpoints: endpoints, Default: endpoints[0].ID, Own: map[string]Own{}, Core: k.Authority, Issuers: k.Issuers, Generations: k.Issuers.All, Certificates: k.Store,
		Credentials: k.Registry, Callers: caller.NewVerifier(caller.EST), Claims: claim.NewVerifier(caller.EST), Log: log, Now: k.Now, Observer: k.seen,
		Keys: keygen.New(claim.NewVerifier(caller.EST), 1), Replies: k.Store, Sealing: core.Sealing{Keyring: k.Keyring, Purpose: seal.Reply}, Archive: archive{k}, Signer: registrationAuthority, Waiting: time.Hour}
	if k.adapt != nil {
		k.adapt(&o)
	}
	k.door = fixture.Must(New(o))(t)
	router := chi.NewRouter()
	k.door.Routes(router)
	k.server = httptest.NewUnstartedServer(router)
	k.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true}
	k.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	k.server.StartTLS()
	t.Cleanup(k.server.Close)
	return k
}

// user is a credential with its password.
type user struct {
	*credential.Credential
	password string
}

func (k *kit) user(tenant string, uses int, change ...func(*credential.Credential)) user {
	k.Helper()
	made, secret := k.Register(credential.Credential{Tenant: tenant, Kind: credential.Password, Door: caller.EST, Granted: uses, Left: uses}, change...)
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
	key := fixture.Key(k.T)
	c := k.issued(k.enroll(fixture.CSR(k.T, key, name, name+".example"), u))
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
