package scep

import (
	"bytes"
	"crypto"
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
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
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

// rsaKeys are made once, as they take long.
var rsaKeys = sync.OnceValues(func() (made []*rsa.PrivateKey, err error) {
	for range 4 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		made = append(made, key)
	}
	return made, nil
})

// rsaKey is one of four keys: 0 is the registration authority's, the others are clients'.
func rsaKey(t testing.TB, i int) *rsa.PrivateKey {
	t.Helper()
	return fixture.Must(rsaKeys())(t)[i]
}

// kit is a door over the real core and a store in memory.
type kit struct {
	testing.TB
	*core.Core
	ra      *authority
	door    *Door
	server  *httptest.Server
	seen    *observed
	reached reached
	lists   map[string][]byte      // by CA id: what CRL gives
	change  func(*profile.Written) // of the profile dual
	adapt   func(*Options)
}

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
	k := &kit{TB: t, seen: &observed{legacy: map[string]int{}}, lists: map[string][]byte{}}
	if prepare != nil {
		prepare(k)
	}
	if endpoints == nil {
		endpoints = []ca.Endpoint{endpointOf("one", "issuing", dual), endpointOf("two", "issuing", dual), endpointOf("one", "issuing", other), endpointOf("one", "spare", dual)}
	}
	log := slog.New(slog.DiscardHandler)
	k.Core = core.New(t, core.Options{Endpoints: endpoints, Changed: dual, Change: k.change, Completions: map[caller.Door]ca.Completion{caller.SCEP: Completion{}}, Log: log})
	key := rsaKey(t, 0)
	k.ra = &authority{key: key, der: certificateOf(t, key, "RA", big.NewInt(77))}
	k.ra.own = fixture.Must(cms.ReadCertificate(k.ra.der))(t)
	o := Options{Endpoints: endpoints, Own: map[string]Own{}, Core: k.Authority, Issuers: k.Issuers, Generations: k.Issuers.All, RAs: func(string, string) RA { return k.ra },
		CRL:          func(i ca.Issuer) ([]byte, bool) { der, ok := k.lists[i.Facts().CA]; return der, ok },
		Certificates: k.Store, Credentials: k.Registry, Callers: caller.NewVerifier(caller.SCEP), Claims: claim.NewVerifier(caller.SCEP), Log: log, Now: k.Now, Observer: k.seen}
	k.reached.watch(&o)
	if k.adapt != nil {
		k.adapt(&o)
	}
	k.door = fixture.Must(New(o))(t)
	k.reached.count(&k.door.verifying)
	router := chi.NewRouter()
	k.door.Routes(router)
	k.door.AdminRoutes(router)
	k.server = httptest.NewServer(router)
	t.Cleanup(k.server.Close)
	return k
}

// secret is a one-time secret for tenant one, or another credential.
func (k *kit) secret(change ...func(*credential.Credential)) string {
	k.Helper()
	_, secret := k.Register(credential.Credential{Tenant: "one", Kind: credential.OneTime, Door: caller.SCEP, Granted: 1, Left: 1}, change...)
	return secret.Text()
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

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
