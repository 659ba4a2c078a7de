package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/test/harness"
)

// twoTenants is an installation whose tenants one and two have a CA and a profile
// of the same ids. Tenant one also has a CA of its own, a certificate and a refusal.
type twoTenants struct {
	*testing.T
	*daemon
	brief   bool // leaves out what another store shows as well
	file    string
	client  *http.Client
	serial  string    // of tenant one's certificate
	issued  string    // its trace id
	refused string    // trace id of a refusal
	parked  string    // id of a request that waits
	proofs  [2]string // files: that the key of tenant one's certificate is compromised, and that nobody's is

	credential string   // id of tenant one's
	facts      []string // of tenant one, which nobody who asks about another may read

	rootName, above                   string // of the root above tenant one's CA "issuing", and of its list
	rootList, laterList, strangerList string // files: the imported one, the next one, and one that names the same root
}

// The CAs sign OCSP answers themselves: tenants have no certificates but those of the tests.
const twoTenantsConfig = `
listen: {https: "127.0.0.1:%[1]d", http: "127.0.0.1:%[2]d", admin: "127.0.0.1:%[3]d", est: "127.0.0.1:%[5]d"}
base_url: {https: "https://localhost:%[1]d", http: "http://localhost:%[2]d", est: "https://localhost:%[5]d"}
tls: {issue: {tenant: one, ca: issuing, names: [localhost]}, store: %[4]s/tls}
seal: {key: "file:%[4]s/seal.key"}
admin: {socket: %[4]s/socket}
log: {level: error}
tenants: [{id: one}, {id: two}]
cas:
  - {id: issuing, tenant: one, key: "file:%[4]s/one.pem", key_password: "file:%[4]s/password", ocsp: {signer: direct}}
  - {id: alpha, tenant: one, key: "file:%[4]s/alpha.pem", key_password: "file:%[4]s/password", ocsp: {signer: direct}, ra: {enabled: true}}
  - {id: issuing, tenant: two, key: "file:%[4]s/two.pem", key_password: "file:%[4]s/password", ocsp: {signer: direct}}
endpoints:
  - {id: acme-one, protocol: acme, tenant: one, ca: issuing, profile: privatessl-tls-server, authentication: [[acme-account], [acme-account, eab]]}
  - {id: acme-two, protocol: acme, tenant: two, ca: issuing, profile: privatessl-tls-server, authentication: [[acme-account]]}
  - {id: est-one, protocol: est, tenant: one, ca: issuing, profile: est-digital-signature, authentication: [[password], [certificate]]}
  - {id: est-alpha, protocol: est, tenant: one, ca: alpha, profile: est-digital-signature, authentication: [[password], [certificate]]}
  - {id: est-two, protocol: est, tenant: two, ca: issuing, profile: est-digital-signature, authentication: [[password], [certificate]]}
  - {id: scep-alpha, protocol: scep, tenant: one, ca: alpha, profile: scep-digital-signature, authentication: [[scep-secret], [certificate]]}
`

// tenantStores give the lines of a configuration that say where the store is.
var tenantStores = map[string]func(t *testing.T, dir string) string{
	"sqlite": func(_ *testing.T, dir string) string {
		return fmt.Sprintf("store: {url: \"sqlite://%s/enrollgate.db\"}\n", dir)
	},
	"postgres": func(t *testing.T, dir string) string {
		owner, runtime := harness.Postgres(t).Database(t)
		return harness.StoreLines(t, owner, runtime)
	},
}

// command carries out a command line in this process.
func (s *twoTenants) command(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = run(append(args, "--config", s.file), console{&out, &errs})
	return out.String(), errs.String(), code
}

// must is command where it ends well.
func (s *twoTenants) must(args ...string) string {
	s.Helper()
	out, errs, code := s.command(args...)
	if code != exitOK {
		s.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

func installTenants(t *testing.T, storeLines func(*testing.T, string) string) *twoTenants {
	t.Helper()
	dir, err := os.MkdirTemp("", "eg") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &twoTenants{T: t, file: filepath.Join(dir, "enrollgate.yaml")}
	write(t, s.file, fmt.Sprintf(twoTenantsConfig, harness.FreePort(t), harness.FreePort(t), harness.FreePort(t), dir, harness.FreePort(t))+storeLines(t, dir))
	write(t, filepath.Join(dir, "seal.key"), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	write(t, filepath.Join(dir, "password"), "correct horse battery staple")
	s.must("migrate")
	for _, key := range []string{"one", "alpha", "two", "oneissuing-root", "onealpha-root", "twoissuing-root"} {
		harness.Keys(t, "correct horse battery staple", filepath.Join(dir, key+".pem"))
	}
	for _, c := range [][2]string{{"one", "issuing"}, {"one", "alpha"}, {"two", "issuing"}} {
		s.must("ca", "create", "--tenant", c[0], "--ca", c[1], "--name", "Of "+c[0], "--root-key", "file:"+filepath.Join(dir, c[0]+c[1]+"-root.pem"))
	}
	serve := &serveCmd{source{Config: s.file}}
	cfg, err := serve.load()
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	level.Set(slog.LevelError)
	if s.daemon, err = serve.start(t.Context(), cfg, newLogAt(cfg.Log, level, t.Output()), level); err != nil {
		t.Fatal(err)
	}
	s.own()
	return s
}

// own finds out what tenant one has.
func (s *twoTenants) own() {
	s.Helper()
	issuer, err := s.issuers.Issuer("one", "issuing")
	if err != nil {
		s.Fatal(err)
	}
	root, err := x509.ParseCertificate(issuer.Facts().Root)
	if err != nil {
		s.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	var l struct {
		Certificates []struct {
			Serial, Trace string
			KeyID         string `json:"key_id"`
		}
	}
	if err := json.Unmarshal([]byte(s.must("cert", "list", "--tenant", "one", "--profile", "gateway-tls-server", "--json")), &l); err != nil || len(l.Certificates) != 1 {
		s.Fatalf("tenant one has %+v, %v", l, err)
	}
	var all []struct {
		Tenant string
		KeyID  string `json:"key_id"`
		Key    string
	}
	if err := json.Unmarshal([]byte(s.must("ca", "list", "--tenant", "one", "--json")), &all); err != nil || len(all) != 2 {
		s.Fatalf("tenant one has CAs %+v, %v", all, err)
	}
	s.serial, s.issued = l.Certificates[0].Serial, l.Certificates[0].Trace
	s.facts = []string{l.Certificates[0].KeyID, "service:tls", "Of one", all[0].KeyID, all[1].KeyID, all[0].Key, all[1].Key}
	var made describedCredential
	if err := json.Unmarshal([]byte(s.must("credential", "create", "--tenant", "one", "--protocol", "acme", "--endpoint", "acme-one", "--subject", "Unit of one", "--json")), &made); err != nil {
		s.Fatal(err)
	}
	s.credential, s.facts = made.ID, append(s.facts, made.HMAC, "Unit of one")
	s.ownLists(root)
	s.refused = s.refuse()
	s.parked = ca.OrderedID(time.Now())
	if _, err := s.daemon.store.Park(s.Context(), &ca.Parking{Lifetime: 24 * time.Hour, Request: ca.PendingRequest{Tenant: "one", ID: s.parked, Door: "acme", Endpoint: "acme-one",
		CA: "issuing", Profile: "privatessl-tls-server", Requester: "acme-account:of-one", Operation: ca.Enroll, Trace: ca.NewTrace(), Names: []string{"dns:parked.one"}, Sealed: []byte("x")},
		Audit: ca.Audit{Tenant: "one", Event: "request.parked", Actor: "acme-account:of-one", Trace: ca.NewTrace(), Detail: []byte("{}")}}); err != nil {
		s.Fatal(err)
	}
	s.facts = append(s.facts, "acme-account:of-one", "parked.one")
	own, err := s.daemon.tls.Certificate(&tls.ClientHelloInfo{})
	if err != nil {
		s.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	for i, key := range []any{own.PrivateKey, other} {
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: core.ProofSubject}}, key)
		if err != nil {
			s.Fatal(err)
		}
		s.proofs[i] = filepath.Join(s.TempDir(), strconv.Itoa(i)+".csr")
		write(s.T, s.proofs[i], string(csr))
	}
}

// refuse has a request of tenant one refused and gives its trace id, once it can be found.
func (s *twoTenants) refuse() string {
	s.Helper()
	actor, err := localOperator("one")
	if err != nil {
		s.Fatal(err)
	}
	trace := ca.NewTrace()
	_, err = s.policy.Load().authority.Revoke(s.Context(), &ca.RevokeRequest{Trace: trace, Tenant: "one", CA: "issuing",
		Serial: ca.NewSerial(time.Now()), Reason: ca.Superseded, Caller: actor})
	if !ca.IsKind(err, ca.NotFound) {
		s.Fatal(err)
	}
	for range 1000 { // 10 s, reached only where it never comes
		rows, err := s.store.AuditByTrace(s.Context(), "one", trace)
		if err != nil {
			s.Fatal(err)
		}
		if len(rows) > 0 {
			return trace
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Fatal("the refusal was never written")
	return ""
}

// untouched fails where anything of tenant one's changed.
func (s *twoTenants) untouched(what string) {
	s.Helper()
	serial, err := ca.ParseSerial(s.serial)
	if err != nil {
		s.Fatal(err)
	}
	out, errs, code := s.command("explain", s.serial, "--tenant", "one", "--json")
	var e struct {
		Certificate struct{ Serial, State string }
		Audit       []struct{ Event string }
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || code != exitOK || e.Certificate.Serial != serial.String() || e.Certificate.State != "issued" || len(e.Audit) != 1 {
		s.Fatalf("after %s tenant one's certificate is %+v, %v\n%s", what, e, err, errs)
	}
	for tenant, want := range map[string]int{"one": 2, "two": 1} {
		var all []any
		if err := json.Unmarshal([]byte(s.must("ca", "list", "--tenant", tenant, "--json")), &all); err != nil || len(all) != want {
			s.Fatalf("after %s tenant %s has CAs %v, %v", what, tenant, all, err)
		}
	}
	var credentials []describedCredential
	if err := json.Unmarshal([]byte(s.must("credential", "list", "--json")), &credentials); err != nil || len(credentials) != 1 || credentials[0].State != credential.Live {
		s.Fatalf("after %s there are credentials %+v, %v", what, credentials, err)
	}
	s.listsStand(what)
}

// leaks fails where a text tells something of tenant one's.
func (s *twoTenants) leaks(what, text string) {
	s.Helper()
	for _, fact := range s.facts {
		if strings.Contains(text, fact) {
			s.Errorf("%s tells %q:\n%s", what, fact, text)
		}
	}
}
