package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/test/harness"
)

// operatorLines add a second tenant, and an endpoint whose profile refuses most names.
const operatorLines = `
tenants: [{id: other}]
profiles:
  - id: narrow
    keys: [ecdsa-p256]
    key_usage: {bits: [digitalSignature]}
    ext_key_usage: {mode: fixed, values: [serverAuth]}
    validity: {default: P14D}
    subject_alt_name: {dns: {methods: [http-01], allow: ["*.narrow.example"]}}
endpoints:
  - {id: acme-narrow, protocol: acme, tenant: default, ca: issuing, profile: narrow, authentication: [[acme-account]]}
`

// operator runs commands on the store of a running daemon.
type operator struct {
	*testing.T
	binary string
	where  []string // flags that say which store
}

// run gives what a command printed; it must end with this exit code.
func (o *operator) run(code int, args ...string) (stdout, stderr string) {
	o.Helper()
	var out, err bytes.Buffer
	cmd := exec.Command(o.binary, append(args, o.where...)...)
	cmd.Stdout, cmd.Stderr = &out, &err
	var ended *exec.ExitError
	got := 0
	if e := cmd.Run(); errors.As(e, &ended) {
		got = ended.ExitCode()
	} else if e != nil {
		o.Fatal(e)
	}
	if got != code {
		o.Fatalf("enrollgate %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &out, &err)
	}
	return out.String(), err.String()
}

// ask decodes what a command prints with --json.
func (o *operator) ask(into any, args ...string) {
	o.Helper()
	out, _ := o.run(0, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		o.Fatalf("enrollgate %s --json: %v\n%s", strings.Join(args, " "), err, out)
	}
}

type listed struct {
	Certificates []struct{ Serial, State, Subject, Requester, Profile, CA, Trace, KeyID string }
	Next         string
}

func (o *operator) list(args ...string) (serials []string) {
	o.Helper()
	var l listed
	o.ask(&l, append([]string{"cert", "list", "--tenant", "default"}, args...)...)
	for _, c := range l.Certificates {
		serials = append(serials, c.Serial)
	}
	return serials
}

// TestOperators issues certificates with an ACME client that nobody here wrote,
// and asks about them with every command that operators have, while the daemon runs.
func TestOperators(t *testing.T) {
	harness.NeedPrograms(t)
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := lines(t) + operatorLines
			s := start(t, store)
			overlay := filepath.Join(t.TempDir(), "operator.yaml")
			if err := os.WriteFile(overlay, []byte(store), 0o600); err != nil {
				t.Fatal(err)
			}
			o := &operator{t, harness.Binary(t), []string{"--dev", "--data", filepath.Dir(s.File("root.pem")), "--config", overlay}}
			leaf := s.enroll(t, "host0.example", "host1.example")
			serials := []string{fmt.Sprintf("%032x", leaf[0].SerialNumber), fmt.Sprintf("%032x", leaf[1].SerialNumber)}
			o.lists(leaf, serials)
			o.explainsEverything()
			o.shows(s, leaf[0], serials[0])
			if name == "sqlite" {
				o.example(serials[0])
			}
			o.revokes(serials[0])
			o.explainsRefusal(s)
			o.authorities()
			if out, _ := o.run(0, "profile", "list"); !regexp.MustCompile(`(?m)^narrow +end-entity +configuration +acme-narrow `).MatchString(out) {
				t.Errorf("profile list:\n%s", out)
			}
		})
	}
}

// enroll gets a certificate for each name.
func (s *site) enroll(t *testing.T, names ...string) (leaves []*x509.Certificate) {
	t.Helper()
	return s.enrollKey(t, newKey(t), names...)
}

// enrollKey is enroll for a key that goes on being used.
func (s *site) enrollKey(t *testing.T, key *ecdsa.PrivateKey, names ...string) (leaves []*x509.Certificate) {
	t.Helper()
	responder := &http01{}
	responder.listen(t, s.port)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	client := s.account(t, ctx, "privatessl-tls-server")
	for _, name := range names {
		order := responder.ready(t, ctx, client, name)
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
		if err != nil {
			t.Fatal(err)
		}
		chain, _, err := client.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(chain[0])
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	return leaves
}

func (s *site) account(t *testing.T, ctx context.Context, profile string) *acme.Client {
	t.Helper()
	url := "https://" + s.Addresses().HTTPS + "/acme/default/issuing/" + profile + "/directory"
	_, port, _ := strings.Cut(s.Addresses().HTTPS, ":")
	url = strings.Replace(url, s.Addresses().HTTPS, "localhost:"+port, 1)
	client := &acme.Client{Key: newKey(t), DirectoryURL: url, HTTPClient: clientOf(t, s)}
	if _, err := client.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	return client
}

func (o *operator) lists(leaf []*x509.Certificate, serials []string) {
	o.Helper()
	all := o.list()
	sorted := slices.Clone(serials)
	slices.Sort(sorted)
	responder := o.list("--requester", "service:ocsp")
	ra := o.list("--requester", "service:ra", "--profile", "gateway-ra")
	if len(all) != 5 || !slices.Contains(all, serials[0]) || !slices.Contains(all, serials[1]) || len(responder) != 1 || len(ra) != 1 {
		o.Fatalf("%d certificates, want two and the daemon's own three: %v", len(all), all)
	}
	own := all[slices.IndexFunc(all, func(s string) bool { return !slices.Contains(serials, s) && s != responder[0] && s != ra[0] })]
	var one listed
	o.ask(&one, "cert", "list", "--tenant", "default", "--serial", serials[0])
	for _, c := range []struct {
		flags []string
		want  []string
	}{
		{[]string{"--name", "HOST0.example"}, serials[:1]},
		{[]string{"--name-end", ".example"}, sorted},
		{[]string{"--name", "ip:127.0.0.1"}, []string{own}},
		{[]string{"--subject", "CN=host1.example"}, serials[1:]},
		{[]string{"--requester", one.Certificates[0].Requester}, sorted},
		{[]string{"--requester", "service:tls"}, []string{own}},
		{[]string{"--key-id", fmt.Sprintf("%X", leaf[0].SubjectKeyId)}, sorted}, // both have one key
		{[]string{"--profile", "privatessl-tls-server", "--ca", "issuing", "--state", "issued"}, sorted},
		{[]string{"--requester", "service:ocsp", "--profile", "gateway-ocsp-signing"}, responder},
		{[]string{"--expires-within", "P1D"}, nil},
		{[]string{"--expires-within", "P10Y"}, all},
		{[]string{"--expires-from", "2200-01-01"}, nil},
		{[]string{"--state", "revoked"}, nil},
	} {
		if got := o.list(c.flags...); !slices.Equal(got, c.want) {
			o.Errorf("cert list %s: %v, want %v", strings.Join(c.flags, " "), got, c.want)
		}
	}
	var pages []string
	flags := []string{"cert", "list", "--tenant", "default", "--limit", "1"}
	for next := ""; ; {
		var l listed
		o.ask(&l, append(flags, "--page="+next)...)
		for _, c := range l.Certificates {
			pages = append(pages, c.Serial)
		}
		if next = l.Next; next == "" || len(pages) > len(all) {
			break
		}
	}
	if !slices.Equal(pages, all) {
		o.Errorf("in pages of one: %v, want %v", pages, all)
	}
	if _, stderr := o.run(0, flags...); !strings.Contains(stderr, "there are more: --page issuing/") {
		o.Errorf("a full page says %q", stderr)
	}
	if _, stderr := o.run(2, "cert", "list"); !strings.Contains(stderr, "give --tenant, one of default, other") {
		o.Errorf("two tenants: %q", stderr)
	}
	var none listed
	if o.ask(&none, "cert", "list", "--tenant", "other"); len(none.Certificates) != 0 {
		o.Errorf("another tenant sees %v", none)
	}
	for _, command := range []string{"explain", "cert show"} {
		if _, stderr := o.run(1, append(strings.Fields(command), serials[0], "--tenant", "other")...); !strings.Contains(stderr, "tenant other issued no certificate") {
			o.Errorf("%s in another tenant: %q", command, stderr)
		}
	}
	o.run(1, "cert", "revoke", serials[0], "--tenant", "other", "--reason", "superseded", "--yes")
}

func (o *operator) shows(s *site, leaf *x509.Certificate, serial string) {
	o.Helper()
	out, _ := o.run(0, "cert", "show", serial, "--pem")
	file := filepath.Join(o.TempDir(), "chain.pem")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		o.Fatal(err)
	}
	openssl(o.T, "verify", "-CAfile", s.File("root.pem"), "-untrusted", file, file)
	if block, _ := pem.Decode([]byte(out)); block == nil || !bytes.Equal(block.Bytes, leaf.Raw) {
		o.Error("cert show --pem begins with another certificate")
	}
	var shown struct {
		PEM   string
		Chain []string
	}
	if o.ask(&shown, "cert", "show", serial); len(shown.Chain) != 2 || shown.PEM+strings.Join(shown.Chain, "") != out || shown.Chain[1] != read(o.T, s.File("root.pem")) {
		o.Errorf("cert show --json: %+v", shown)
	}
	if text, _ := o.run(0, "cert", "show", serial); !strings.Contains(text, "Certificate "+serial) || !strings.HasSuffix(text, out) {
		o.Errorf("cert show:\n%s", text)
	}
}

func (o *operator) revokes(serial string) {
	o.Helper()
	revoke := []string{"cert", "revoke", serial, "--reason", "keyCompromise"}
	if _, stderr := o.run(2, revoke...); !strings.Contains(stderr, "give --yes") {
		o.Errorf("without a terminal: %q", stderr)
	}
	if _, stderr := o.run(2, append(revoke, "--yes", "--invalidity-date", "2200-01-01")...); !strings.Contains(stderr, "invalidity date") {
		o.Errorf("an invalidity date to come: %q", stderr)
	}
	var done struct{ Serial, State, Reason, Actor, Trace string }
	o.ask(&done, append(revoke, "--yes", "--invalidity-date", time.Now().UTC().Format(time.RFC3339))...)
	if done.Serial != serial || done.State != "revoked" || done.Reason != "keyCompromise" || !strings.HasPrefix(done.Actor, "operator:") {
		o.Errorf("revoked: %+v", done)
	}
	if _, stderr := o.run(1, append(revoke, "--yes")...); !strings.Contains(stderr, "revoked already") {
		o.Errorf("revoked twice: %q", stderr)
	}
	if got := o.list("--state", "revoked"); !slices.Equal(got, []string{serial}) {
		o.Errorf("revoked certificates: %v", got)
	}
	for _, what := range []string{serial, done.Trace} {
		var e explained
		o.ask(&e, "explain", what)
		c := e.Certificate
		if c == nil || c.Serial != serial || c.State != "revoked" || c.Revocation == nil || c.Revocation.Reason != "keyCompromise" {
			o.Errorf("explain %s: %+v", what, e)
			continue
		}
		if n := len(e.Audit); n != 2 || e.Audit[1].Event != "certificate.revoked" || e.Audit[1].Actor != done.Actor || e.Audit[1].Trace != done.Trace {
			o.Errorf("explain %s, audit: %+v", what, e.Audit)
		}
	}
	if out, _ := o.run(0, "explain", serial, "--profile"); !strings.Contains(out, "revoked, keyCompromise at ") || !strings.Contains(out, "\nid: privatessl-tls-server\n") {
		o.Errorf("explain --profile:\n%s", out)
	}
}

func (o *operator) authorities() {
	o.Helper()
	var all []struct {
		Tenant, CA, Subject, Key string
		Generation, DaysLeft     int `json:"-"`
		Current                  bool
	}
	if o.ask(&all, "ca", "list"); len(all) != 1 || all[0].CA != "issuing" || !all[0].Current || !strings.HasPrefix(all[0].Key, "file:") {
		o.Errorf("ca list: %+v", all)
	}
	if o.ask(&all, "ca", "list", "--tenant", "other"); len(all) != 0 {
		o.Errorf("another tenant's CAs: %+v", all)
	}
}
