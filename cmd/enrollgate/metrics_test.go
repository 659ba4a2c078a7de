package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/protocols/operations"
)

// running is a daemon of this very process, on the dev defaults.
type running struct {
	*daemon
	t      *testing.T
	client *http.Client
	tokens sync.Map // http-01 answers by path
}

// startDaemon starts `serve --dev` in this process, with an http-01 responder.
func startDaemon(t *testing.T) *running {
	t.Helper()
	r := &running{t: t}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	responder := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if answer, ok := r.tokens.Load(q.URL.Path); ok {
			io.WriteString(w, answer.(string))
			return
		}
		http.NotFound(w, q)
	})}
	go responder.Serve(web)
	t.Cleanup(func() { responder.Close() })
	dir := t.TempDir()
	overlay := filepath.Join(dir, "overlay.yaml")
	text := fmt.Sprintf("acme: {http01: {port: %d, retries: 0}}\n", web.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(overlay, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &serveCmd{source{Dev: true, Data: filepath.Join(dir, "data"), Config: overlay, HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0",
		EST: "127.0.0.1:0", Admin: "127.0.0.1:0"}}
	cfg, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	if r.daemon, err = s.start(t.Context(), cfg, newLog(cfg.Log, t.Output())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
	})
	root, err := os.ReadFile(filepath.Join(dir, "data", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	r.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

// scrape gives the samples of our metrics by series.
func (r *running) scrape() map[string]string {
	r.t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(r.admin("/metrics")) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(line, "enrollgate_") {
			out[series+"}"] = value
		} else if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(line, "enrollgate_") {
			out[series] = value
		}
	}
	return out
}

func (r *running) admin(path string) string {
	r.t.Helper()
	resp, err := http.Get("http://" + r.sockets["admin"].Addr().String() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %d %v %s", path, resp.StatusCode, err, body)
	}
	return string(body)
}

// enroll makes an account and orders a name; proven tells whether http-01 is answered.
func (r *running) enroll(ctx context.Context, name string, proven bool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &acme.Client{Key: key, HTTPClient: r.client, DirectoryURL: r.cfg.URL(&r.cfg.Endpoints[0])}
	if _, err := c.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
		return err
	}
	o, err := c.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return err
	}
	z, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
	if err != nil {
		return err
	}
	i := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == "http-01" })
	if proven {
		answer, err := c.HTTP01ChallengeResponse(z.Challenges[i].Token)
		if err != nil {
			return err
		}
		r.tokens.Store(c.HTTP01ChallengePath(z.Challenges[i].Token), answer)
	}
	if _, err := c.Accept(ctx, z.Challenges[i]); err != nil {
		return err
	}
	if o, err = c.WaitOrder(ctx, o.URI); err != nil {
		return err
	}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, leaf)
	if err != nil {
		return err
	}
	_, _, err = c.CreateOrderCert(ctx, o.FinalizeURL, csr, true)
	return err
}

// flows runs n flows that succeed, n whose proof fails, n whose name no profile
// issues, and n requests that nobody listed.
func (r *running) flows(n int, word string) {
	r.t.Helper()
	for i := range n {
		name := fmt.Sprintf("%s-%d", word, i)
		if err := r.enroll(r.t.Context(), name+".localhost", true); err != nil {
			r.t.Errorf("enroll %s: %v", name, err)
		}
		if err := r.enroll(r.t.Context(), name+"-unproven.localhost", false); err == nil {
			r.t.Error("a certificate without proof")
		}
		if err := r.enroll(r.t.Context(), "bad_name_"+name+"!", true); err == nil {
			r.t.Error("a certificate for a name that is none")
		}
		for _, path := range []string{"/acme/" + name + "/x/y/directory", "/acme/default/issuing/" + name, "/acme/default/issuing/privatessl-tls-server/" + name} {
			resp, err := r.client.Get(r.cfg.BaseURL.HTTPS + path)
			if err != nil {
				r.t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
}

// TestLabelsComeFromClosedSets: however many names, accounts and paths come by,
// no series is added after the first of each kind.
func TestLabelsComeFromClosedSets(t *testing.T) {
	r := startDaemon(t)
	r.flows(1, "first")
	before := r.scrape()
	issued := `enrollgate_certificates_issued_total{door="acme",endpoint="acme-client-server",tenant="default"}`
	if before[issued] != "1" {
		t.Errorf("%s is %q after one certificate", issued, before[issued])
	}
	r.flows(5, "later")
	after := r.scrape()
	if after[issued] != "6" {
		t.Errorf("%s is %q after six certificates", issued, after[issued])
	}
	for series := range after {
		if _, known := before[series]; !known && !strings.HasPrefix(series, "enrollgate_background_") { // jobs run by the clock
			t.Errorf("a new series: %s", series)
		}
		for _, stray := range []string{"localhost", "first", "later", "bad_name"} {
			if strings.Contains(series, stray) {
				t.Errorf("a label holds what a client said: %s", series)
			}
		}
	}
	for _, series := range []string{`enrollgate_acme_validations_total{outcome="valid",type="http-01"}`,
		`enrollgate_acme_validations_total{outcome="invalid",type="http-01"}`} {
		if after[series] != "6" {
			t.Errorf("%s is %q", series, after[series])
		}
	}
}

func TestDaemonIsReady(t *testing.T) {
	r := startDaemon(t)
	var ready operations.Readiness
	if err := json.Unmarshal([]byte(r.admin("/readyz?verbose")), &ready); err != nil {
		t.Fatal(err)
	}
	for _, c := range ready.Checks {
		if !c.OK || c.Warning != "" {
			t.Errorf("%+v", c)
		}
	}
	if want := len(r.checks()); len(ready.Checks) != want || r.admin("/readyz") != "ready\n" || r.admin("/healthz") != "ok\n" {
		t.Errorf("%d checks, want %d", len(ready.Checks), want)
	}
}

// TestMetricsAreDocumented compares the registry with the table of docs/operations.md.
func TestMetricsAreDocumented(t *testing.T) {
	m, err := operations.NewMetrics(operations.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(enrollgate_[a-z_]+)` \\|([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = strings.Trim(row[2], " `")
	}
	for _, metric := range m.Names() {
		labels, ok := documented[metric.Name]
		if !ok {
			t.Errorf("docs/operations.md has no row for %s", metric.Name)
		} else if want := strings.Join(metric.Labels, ", "); labels != want {
			t.Errorf("docs/operations.md: %s has the labels %q, want %q", metric.Name, labels, want)
		}
		delete(documented, metric.Name)
	}
	for name := range documented {
		t.Errorf("docs/operations.md documents %s, which does not exist", name)
	}
}
