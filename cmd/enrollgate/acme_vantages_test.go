package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/test/harness"
)

const keyAuthorizationOfTest = "token.thumbprint"

// responder answers http-01 at 127.0.0.1 and gives its port.
func responder(t *testing.T) uint16 {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(keyAuthorizationOfTest)) }))
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(server.Listener.Addr().String()).Port()
}

func onlyEndpoint(t *testing.T, of config.ACMEEndpoint, a config.ACME) acme.Own {
	t.Helper()
	cfg := &config.Config{ACME: a, BaseURL: config.BaseURL{HTTPS: "https://pki.example"}, ACMEOf: map[string]config.ACMEEndpoint{"e": of}}
	own, err := ownOf(cfg, []ca.Endpoint{{ID: "e", Door: caller.ACME, Tenant: "t", CA: "c", Profile: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	return own["e"]
}

// TestVantages: of three vantage points two must agree. One that lies or fails
// changes nothing, in any way to prove a name and for CAA records; two do.
func TestVantages(t *testing.T) {
	digest := sha256.Sum256([]byte(keyAuthorizationOfTest))
	text := base64.RawURLEncoding.EncodeToString(digest[:])
	const account = "https://pki.example/acme/t/c/p/account/1"
	q := va.Question{Identifier: "host.example", Type: "dns", Token: "token", KeyAuthorization: keyAuthorizationOfTest, Account: account, Thumbprints: []string{"thumbprint"}}
	persistent := "ca.example; accounturi=" + va.PersistURI("https://pki.example/acme/t/c/p/account-hash/", "host.example", "thumbprint", account)
	labelled := va.AccountLabel(account) + "._acme-challenge.host.example"
	var servers []*harness.DNSServer
	var points [][]string
	for range 3 {
		s := harness.DNS(t)
		servers, points = append(servers, s), append(points, []string{s.Addr()})
	}
	own := onlyEndpoint(t, config.ACMEEndpoint{Vantages: points, Quorum: 2, CAA: []string{"ca.example"}, PersistIssuers: []string{"ca.example"},
		Drafts: map[claim.Method]string{claim.DNSAccount01: "draft-03", claim.DNSPersist01: "draft-02"}},
		config.ACME{AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, HTTP01: config.HTTP01{Port: responder(t)}})
	honest := func(s *harness.DNSServer) {
		s.SetRcode("host.example", 0)
		s.SetA("host.example", netip.MustParseAddr("127.0.0.1"))
		s.SetTXT("_acme-challenge.host.example", text)
		s.SetTXT(labelled, text)
		s.SetTXT("_validation-persist.host.example", persistent)
		s.SetCAA("host.example", "ca.example")
	}
	liar := func(s *harness.DNSServer) {
		s.SetA("host.example", netip.MustParseAddr("127.0.0.9"))
		s.SetTXT("_acme-challenge.host.example", "x")
		s.SetTXT(labelled)
		s.SetTXT("_validation-persist.host.example", "other.example")
		s.SetCAA("host.example", "other.example")
	}
	ask := func(what string, want bool) {
		t.Helper()
		for _, method := range []claim.Method{claim.HTTP01, claim.DNS01, claim.DNSAccount01, claim.DNSPersist01} {
			record, err := own.Validators[method].Validate(t.Context(), q)
			var p *va.Problem
			if want && (err != nil || record.Vantages.Confirmed != 2 || record.Vantages.Asked != 3) {
				t.Errorf("%s, %s: %+v, %v", what, method, record.Vantages, err)
			}
			if !want && (!errors.As(err, &p) || !strings.HasPrefix(p.Detail, "confirmed from 1 of 3 vantage points, and 2 are needed; from vantage point ")) {
				t.Errorf("%s, %s: %v", what, method, err)
			}
		}
		err := own.CAA.Check(t.Context(), va.CAAQuestion{Domain: "host.example"})
		if (err == nil) != want {
			t.Errorf("%s, CAA: %v", what, err)
		}
	}
	for _, s := range servers {
		honest(s)
	}
	ask("all honest", true)
	for i, s := range servers { // each of them in turn
		liar(s)
		ask("one lies", true)
		liar(servers[(i+1)%3])
		ask("two lie", false)
		honest(s)
		honest(servers[(i+1)%3])
	}
	servers[0].SetRcode("host.example", 2) // SERVFAIL
	for _, name := range []string{"_acme-challenge.host.example", labelled, "_validation-persist.host.example"} {
		servers[0].SetRcode(name, 2)
	}
	ask("one fails", true)
	if own.Persist.Prefix != "https://pki.example/acme/t/c/p/account-hash/" || own.Persist.Issuers[0] != "ca.example" {
		t.Errorf("%+v", own.Persist)
	}
}

// A negative answer is not kept for the next attempt, of any record.
func TestNegativeAnswersAreNotKept(t *testing.T) {
	digest := sha256.Sum256([]byte(keyAuthorizationOfTest))
	s := harness.DNS(t)
	own := onlyEndpoint(t, config.ACMEEndpoint{Resolvers: []string{s.Addr()}, CAA: []string{"ca.example"}},
		config.ACME{AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, HTTP01: config.HTTP01{Port: responder(t)}})
	q := va.Question{Identifier: "host.example", Token: "token", KeyAuthorization: keyAuthorizationOfTest}
	for _, rcode := range []int{3, 0} { // NXDOMAIN, and nothing of the type
		s.SetRcode("_acme-challenge.host.example", rcode)
		s.SetRcode("host.example", rcode)
		s.SetA("host.example")
		s.SetTXT("_acme-challenge.host.example")
		s.SetCAA("host.example", "other.example")
		before := s.Queries("_acme-challenge.host.example", "TXT")
		var p *va.Problem
		for range 2 {
			for _, m := range []claim.Method{claim.DNS01, claim.HTTP01} {
				if _, err := own.Validators[m].Validate(t.Context(), q); !errors.As(err, &p) || p.Type != va.TypeDNS || !p.Retry {
					t.Errorf("%s: %v", m, err)
				}
			}
		}
		s.SetRcode("_acme-challenge.host.example", 0)
		s.SetRcode("host.example", 0)
		if err := own.CAA.Check(t.Context(), va.CAAQuestion{Domain: "host.example"}); err == nil {
			t.Error("another issuer may issue")
		}
		s.SetA("host.example", netip.MustParseAddr("127.0.0.1"))
		s.SetTXT("_acme-challenge.host.example", base64.RawURLEncoding.EncodeToString(digest[:]))
		s.SetCAA("host.example", "ca.example")
		for _, m := range []claim.Method{claim.DNS01, claim.HTTP01} {
			if _, err := own.Validators[m].Validate(t.Context(), q); err != nil {
				t.Errorf("%s, once the record is there: %v", m, err)
			}
		}
		if err := own.CAA.Check(t.Context(), va.CAAQuestion{Domain: "host.example"}); err != nil {
			t.Error(err)
		}
		if asked := s.Queries("_acme-challenge.host.example", "TXT") - before; asked != 3 {
			t.Errorf("asked %d times for TXT records, not 3", asked)
		}
	}
}

// TestOwnDrafts: the types of drafts are offered where the configuration names them,
// in the revision that it names, and attestations with the roots that it names.
func TestOwnDrafts(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := file("roots.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	plain := onlyEndpoint(t, config.ACMEEndpoint{}, config.ACME{})
	if plain.Validators != nil || plain.Persist.Issuers != nil || plain.Subdomains {
		t.Errorf("%+v", plain)
	}
	own := onlyEndpoint(t, config.ACMEEndpoint{Subdomains: true, Attestation: map[string]string{"tpm": roots, "apple": roots}, PersistIssuers: []string{"ca.example"},
		Drafts: map[claim.Method]string{claim.DNSPersist01: "draft-00"}}, config.ACME{})
	if len(own.Validators) != 5 || own.Validators[claim.DeviceAttest01] == nil || own.Validators[claim.DNSPersist01] == nil || own.Persist.Prefix != "" || !own.Subdomains {
		t.Errorf("%+v", own)
	}
	for what, path := range map[string]string{
		"no file": filepath.Join(dir, "missing"), "no PEM": file("text", []byte("text")), "no certificate": file("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"a long one": file("long", make([]byte, maxAttestationFile+1)), "a broken one": file("broken", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der[:40]})),
	} {
		if _, err := attestationRoots(map[string]string{"tpm": path}); err == nil || !strings.Contains(err.Error(), "roots of tpm attestations") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
