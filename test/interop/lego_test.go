package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	stdlog "log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-acme/lego/v4/certcrypto"
	"github.com/go-acme/lego/v4/certificate"
	"github.com/go-acme/lego/v4/challenge/dns01"
	legohttp "github.com/go-acme/lego/v4/challenge/http01"
	"github.com/go-acme/lego/v4/lego"
	"github.com/go-acme/lego/v4/log"
	"github.com/go-acme/lego/v4/registration"
)

// legoClient uses lego's packages as a program with lego inside does.
type legoClient struct {
	door *door
	user legoUser
	got  map[string]*certificate.Resource // by method: what lego's own user would keep
}

// legoUser is lego's view of an account.
type legoUser struct {
	key          crypto.PrivateKey
	registration *registration.Resource
}

func (u legoUser) GetEmail() string                        { return "ops@host.example" }
func (u legoUser) GetRegistration() *registration.Resource { return u.registration }
func (u legoUser) GetPrivateKey() crypto.PrivateKey        { return u.key }

func newLego(t *testing.T, d *door) client {
	legoTurn.Lock()
	defer legoTurn.Unlock()
	c := &legoClient{door: d, user: legoUser{key: newKey(t)}, got: map[string]*certificate.Resource{}}
	account, err := c.client(t, c.user).Registration.Register(registration.RegisterOptions{TermsOfServiceAgreed: true})
	if err != nil {
		t.Fatal(err)
	}
	c.user.registration = account
	return c
}

// legoTurn is held while lego works: its logger and its list of DNS servers are one to
// a process, and each use sets them.
var legoTurn sync.Mutex

// client makes a lego client; its log goes to the test's. The caller holds legoTurn.
func (c *legoClient) client(t *testing.T, user legoUser) *lego.Client {
	t.Helper()
	log.Logger = stdlog.New(t.Output(), "lego ", 0)
	config := lego.NewConfig(user)
	config.CADirURL = c.door.directory
	config.HTTPClient = trusting(t, c.door.root)
	config.Certificate.KeyType = certcrypto.EC256
	client, err := lego.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// proving is a client that proves names by one method.
func (c *legoClient) proving(t *testing.T, method string) *lego.Client {
	t.Helper()
	client := c.client(t, c.user)
	var err error
	if method == "dns-01" {
		// lego looks for its records before it asks for validation. What it would ask
		// is the authoritative server on port 53; the test's server is another port.
		err = client.Challenge.SetDNS01Provider(legoZone{c.door.zone}, dns01.AddRecursiveNameservers([]string{c.door.dns.Addr()}),
			dns01.DisableAuthoritativeNssPropagationRequirement(), dns01.RecursiveNSsPropagationRequirement())
	} else {
		err = client.Challenge.SetHTTP01Provider(legohttp.NewProviderServer("127.0.0.1", fmt.Sprint(c.door.port)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (c *legoClient) obtain(t *testing.T, method string, names ...string) product {
	legoTurn.Lock()
	defer legoTurn.Unlock()
	got, err := c.proving(t, method).Certificate.Obtain(certificate.ObtainRequest{Domains: names, Bundle: true})
	if err != nil {
		t.Fatal(err)
	}
	return c.keep(t, method, names, got)
}

// renew keeps the key, as lego does unless told otherwise.
func (c *legoClient) renew(t *testing.T, p product) product {
	legoTurn.Lock()
	defer legoTurn.Unlock()
	got, err := c.proving(t, p.method).Certificate.RenewWithOptions(*c.got[p.method], &certificate.RenewOptions{Bundle: true})
	if err != nil {
		t.Fatal(err)
	}
	return c.keep(t, p.method, p.names, got)
}

// revoke by the certificate's key is done by a user that has this key and no
// account. A second time is refused, and says why.
func (c *legoClient) revoke(t *testing.T, p product, signer signer, why reason) {
	legoTurn.Lock()
	defer legoTurn.Unlock()
	user := c.user
	if signer == byCertificate {
		key, err := certcrypto.ParsePEMPrivateKey(c.got[p.method].PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		user = legoUser{key: key.(*ecdsa.PrivateKey)}
	}
	certifier, code := c.client(t, user).Certificate, uint(why.code)
	if err := certifier.RevokeWithReason(c.got[p.method].Certificate, &code); err != nil {
		t.Fatal(err)
	}
	err := certifier.RevokeWithReason(c.got[p.method].Certificate, &code)
	if err == nil || !strings.Contains(err.Error(), "urn:ietf:params:acme:error:alreadyRevoked") {
		t.Errorf("revoked twice: %v", err)
	}
}

func (c *legoClient) keep(t *testing.T, method string, names []string, got *certificate.Resource) product {
	t.Helper()
	c.got[method] = got
	return written(t, product{method: method, names: names}, got.Certificate, got.PrivateKey)
}

// legoZone is a DNS provider for lego.
type legoZone struct{ zone *zone }

func (z legoZone) Present(domain, _, keyAuthorization string) error {
	info := dns01.GetChallengeInfo(domain, keyAuthorization)
	z.zone.add(info.EffectiveFQDN, info.Value)
	return nil
}

func (z legoZone) CleanUp(domain, _, keyAuthorization string) error {
	info := dns01.GetChallengeInfo(domain, keyAuthorization)
	z.zone.remove(info.EffectiveFQDN, info.Value)
	return nil
}

// Timeout says how long to wait for a record, and how long between looks.
func (z legoZone) Timeout() (timeout, interval time.Duration) {
	return 20 * time.Second, 10 * time.Millisecond
}

// written puts PEM text into files: a chain, whose first certificate is the leaf, and its key.
func written(t *testing.T, p product, chain, key []byte) product {
	t.Helper()
	dir := t.TempDir()
	p.certificate, p.key = filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "key.pem")
	p.chain = p.certificate
	for file, text := range map[string][]byte{p.certificate: chain, p.key: key} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// trusting makes an HTTP client that trusts the roots in a PEM file.
func trusting(t *testing.T, root string) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(read(t, root))) {
		t.Fatalf("no certificate in %s", root)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
