package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
)

const extraEndpoint = `
endpoints:
  - {id: acme-extra, protocol: acme, tenant: default, ca: issuing, profile: extra, authentication: [[acme-account]]}
profiles:
  - {id: extra, keys: [ecdsa-p256], key_usage: {bits: [digitalSignature]}, ext_key_usage: {mode: fixed, values: [serverAuth]},
     validity: {default: P1D}, subject_alt_name: {dns: {methods: [http-01], min: 1}}}
log: {level: error}
`

// reloadable starts a dev daemon in this process, with a configuration file.
func reloadable(t *testing.T) (d *daemon, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "enrollgate.yaml")
	write(t, file, "log: {level: error}\n")
	s := &serveCmd{source{Config: file, Dev: true, Data: filepath.Join(dir, "data"), HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0"}}
	cfg, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	level.Set(slog.LevelError)
	d, err = s.start(t.Context(), cfg, newLogAt(cfg.Log, level, t.Output()), level)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(cfg.Drain); err != nil {
			t.Error(err)
		}
	})
	return d, file
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReloadUnderLoad swaps the configuration while requests come in: those to
// an endpoint that stays all succeed, the others see one configuration or the other.
func TestReloadUnderLoad(t *testing.T) {
	d, file := reloadable(t)
	issuer, err := d.issuers.Issuer(devTenant, devCA)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(issuer.Facts().Root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	get := func(profile string) int {
		answer, err := client.Get(d.cfg.BaseURL.HTTPS + "/acme/default/issuing/" + profile + "/directory")
		if err != nil {
			t.Error(err)
			return 0
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if code := get("privatessl-tls-server"); code != http.StatusOK {
					t.Errorf("an endpoint that stays answers %d", code)
				}
				if code := get("extra"); code != http.StatusOK && code != http.StatusNotFound {
					t.Errorf("an endpoint that comes and goes answers %d", code)
				}
				if _, err := d.issuers.Issuer(devTenant, devCA); err != nil {
					t.Error(err)
				}
			}
		})
	}
	digests := map[string]bool{}
	for round := range 6 {
		text, want := "log: {level: error}\n", http.StatusNotFound
		if round%2 == 0 {
			text, want = extraEndpoint, http.StatusOK
		}
		write(t, file, text)
		digest, err := d.reload(t.Context(), "operator:test")
		if err != nil {
			t.Fatal(err)
		}
		digests[digest] = true
		if code := get("extra"); code != want {
			t.Errorf("round %d: the endpoint answers %d, want %d", round, code, want)
		}
	}
	close(stop)
	clients.Wait()
	if len(digests) != 2 {
		t.Errorf("%d digests of two configurations", len(digests))
	}
}

// TestReloadRefused: a file with mistakes, or with what needs a restart, changes nothing.
func TestReloadRefused(t *testing.T) {
	d, file := reloadable(t)
	before := d.policy.Load()
	for name, c := range map[string]struct {
		text string
		want string
		kind ca.Kind
	}{
		"mistakes":  {"log: {level: loud}\nacme: {order_lifetime: never}\n", "2 mistakes", ca.BadRequest},
		"no yaml":   {"\t{", "mistakes", ca.BadRequest},
		"base URL":  {"base_url: {https: \"https://other.test\"}\n", "base_url", ca.Conflict},
		"log, seal": {fmt.Sprintf("log: {level: error, format: json}\nseal: {key: %q}\n", "env:OTHER"), "seal, log.format", ca.Conflict},
	} {
		write(t, file, c.text)
		_, err := d.reload(t.Context(), "operator:test")
		if !ca.IsKind(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: %v", name, err)
		}
		if d.policy.Load() != before {
			t.Errorf("%s: something was changed", name)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := d.reload(t.Context(), "operator:test"); !ca.IsKind(err, ca.BadRequest) || d.policy.Load() != before {
		t.Errorf("no file: %v", err)
	}
}
