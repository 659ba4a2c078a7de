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
	"log/slog"
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

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/background"
	"github.com/enrollgate/enrollgate/probe"
	"github.com/enrollgate/enrollgate/protocols/operations"
)

// running is a daemon of this very process, on the dev defaults.
type running struct {
	*daemon
	t      *testing.T
	client *http.Client
	web    *http.Server // answers http-01
	tokens sync.Map     // http-01 answers by path
}

// startDaemon starts `serve --dev` in this process, with an http-01 responder.
func startDaemon(t *testing.T) *running { return startDaemonIn(t, t.TempDir()) }

// startDaemonIn does so on a folder that another daemon may be using. What
// settings say is laid over the dev defaults.
func startDaemonIn(t *testing.T, dir string, settings ...string) *running {
	t.Helper()
	r := &running{t: t}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	responder := &http.Server{Addr: web.Addr().String(), Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if answer, ok := r.tokens.Load(q.URL.Path); ok {
			io.WriteString(w, answer.(string))
			return
		}
		http.NotFound(w, q)
	})}
	go responder.Serve(web)
	r.web = responder
	t.Cleanup(func() { responder.Close() })
	overlay := filepath.Join(dir, "overlay.yaml")
	text := fmt.Sprintf("acme: {http01: {port: %d, retries: 0}}\nadmin: {socket: %s}\n", web.Addr().(*net.TCPAddr).Port,
		filepath.Join(t.TempDir(), "socket")) + strings.Join(settings, "")
	if err := os.WriteFile(overlay, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &serveCmd{source{Dev: true, Data: filepath.Join(dir, "data"), Config: overlay, HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0",
		EST: "127.0.0.1:0", Admin: "127.0.0.1:0"}}
	cfg, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	if r.daemon, err = s.start(t.Context(), cfg, newLogAt(cfg.Log, level, t.Output()), level); err != nil {
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
	_, err := r.enrollAt(ctx, r.cfg.URL(&r.cfg.Endpoints[0]), name, proven)
	return err
}

// enrollAt is enroll at a directory, and gives the certificate.
func (r *running) enrollAt(ctx context.Context, directory, name string, proven bool) (der []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &acme.Client{Key: key, HTTPClient: r.client, DirectoryURL: directory}
	if _, err := c.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
		return nil, err
	}
	o, err := c.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return nil, err
	}
	z, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == "http-01" })
	if proven {
		answer, err := c.HTTP01ChallengeResponse(z.Challenges[i].Token)
		if err != nil {
			return nil, err
		}
		r.tokens.Store(c.HTTP01ChallengePath(z.Challenges[i].Token), answer)
	}
	if _, err := c.Accept(ctx, z.Challenges[i]); err != nil {
		return nil, err
	}
	if o, err = c.WaitOrder(ctx, o.URI); err != nil {
		return nil, err
	}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, leaf)
	if err != nil {
		return nil, err
	}
	chain, _, err := c.CreateOrderCert(ctx, o.FinalizeURL, csr, true)
	if err != nil {
		return nil, err
	}
	return chain[0], nil
}

// flows runs n flows that succeed, n whose proof fails, n whose name no profile
// issues, and n requests that nobody listed, all at the same time.
func (r *running) flows(n int, word string) {
	r.t.Helper()
	var all sync.WaitGroup
	for i := range n {
		name := fmt.Sprintf("%s-%d", word, i)
		all.Go(func() {
			if err := r.enroll(r.t.Context(), name+".localhost", true); err != nil {
				r.t.Errorf("enroll %s: %v", name, err)
			}
		})
		all.Go(func() {
			if err := r.enroll(r.t.Context(), name+"-unproven.localhost", false); err == nil {
				r.t.Error("a certificate without proof")
			}
		})
		all.Go(func() {
			if err := r.enroll(r.t.Context(), "bad_name_"+name+"!", true); err == nil {
				r.t.Error("a certificate for a name that is none")
			}
		})
		for _, path := range []string{"/acme/" + name + "/x/y/directory", "/acme/default/issuing/" + name, "/acme/default/issuing/privatessl-tls-server/" + name} {
			all.Go(func() {
				resp, err := r.client.Get(r.cfg.BaseURL.HTTPS + path)
				if err != nil {
					r.t.Error(err)
					return
				}
				resp.Body.Close()
			})
		}
	}
	all.Wait()
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

// TestReplicasNoticeEachOther: a second daemon on the same store, with another
// configuration, is a metric and a warning, and no reason not to serve. A job's
// lease is held once.
func TestReplicasNoticeEachOther(t *testing.T) {
	dir := t.TempDir()
	one := startDaemonIn(t, dir)
	two := startDaemonIn(t, dir) // its port differs, and so does the base URL
	one.heartbeat.Beat(t.Context())
	const warning = "ready\nwarning: replicas: 1 of 2 replicas run another configuration\n"
	for name, r := range map[string]*running{"one": one, "two": two} {
		if got := r.admin("/readyz"); got != warning {
			t.Errorf("%s: %q", name, got)
		}
		samples := r.scrape()
		if samples["enrollgate_replicas"] != "2" || samples["enrollgate_replicas_config_differs"] != "1" {
			t.Errorf("%s: %s replicas, %s with another configuration", name, samples["enrollgate_replicas"], samples["enrollgate_replicas_config_differs"])
		}
	}
	for i, job := range one.upkeep.Status() {
		if job.Held && two.upkeep.Status()[i].Held {
			t.Errorf("both hold the lease of %s", job.Job)
		}
	}
}

// TestChecksRefuse: each condition of readiness that the daemon can reach by
// itself makes it not ready.
func TestChecksRefuse(t *testing.T) {
	r := startDaemon(t)
	if err := r.ring.Close(); err != nil {
		t.Fatal(err)
	}
	if warning, err := (&keyProbe{sign: r.signProbe}).try(t.Context()); !ca.IsKind(err, ca.Unavailable) || warning != "" {
		t.Errorf("keys that are closed: %q, %v", warning, err)
	}
	pulse := &daemon{log: r.log, store: r.store}
	for _, test := range []struct {
		skew time.Duration
		warn bool
		fail bool
	}{{0, false, false}, {-6 * time.Second, true, false}, {61 * time.Second, false, true}} {
		h, err := background.NewHeartbeat(skewed{test.skew}, ca.Replica{ID: "x"}, r.log)
		if err != nil {
			t.Fatal(err)
		}
		pulse.heartbeat = h
		if _, err := pulse.checkWrites(t.Context()); !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("before the first beat: %v", err)
		}
		h.Beat(t.Context())
		if _, err := pulse.checkWrites(t.Context()); err != nil {
			t.Errorf("after a beat: %v", err)
		}
		if warning, err := pulse.checkClock(t.Context()); (warning != "") != test.warn || ca.IsKind(err, ca.Unavailable) != test.fail {
			t.Errorf("skew %v: %q, %v", test.skew, warning, err)
		}
	}
}

// TestQueueRefuses: a store that takes heartbeats and nothing else is not ready,
// as long as somebody tries.
func TestQueueRefuses(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	for name, test := range map[string]struct {
		since, last time.Time
		warn, fail  bool
	}{
		"no failure":     {},
		"just began":     {ago(time.Second), ago(0), true, false},
		"for long":       {ago(time.Hour), ago(time.Second), false, true},
		"once, long ago": {ago(time.Hour), ago(time.Hour), false, false},
		"nobody tries":   {ago(time.Hour), ago(time.Minute), false, false},
	} {
		warning, err := (&daemon{}).checkQueue(ca.StoreCounters{FailingSince: test.since, LastFailed: test.last})
		if (warning != "") != test.warn || ca.IsKind(err, ca.Unavailable) != test.fail {
			t.Errorf("%s: %q, %v", name, warning, err)
		}
	}
}

// skewed is a store whose clock is ahead.
type skewed struct{ by time.Duration }

func (s skewed) Beat(context.Context, *ca.Replica) (time.Time, error) {
	return time.Now().Add(s.by), nil
}
func (skewed) Replicas(context.Context, time.Duration) ([]ca.Replica, error) {
	return []ca.Replica{{ID: "x"}}, nil
}
func (skewed) ForgetReplicas(context.Context, *ca.Lease, time.Duration, int) (int64, error) {
	return 0, nil
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
	all := m.Names()
	for name, labels := range probe.NewMetrics().Names() {
		all = append(all, operations.Named{Name: name, Labels: labels})
	}
	for _, metric := range all {
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
