package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/probe"
)

// probed runs `enrollgate probe`.
func probed(args ...string) (code int, out, said string) {
	var stdout, stderr bytes.Buffer
	code = run(append([]string{"probe"}, args...), console{&stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

// strangeRoot writes a root that issued nothing.
func strangeRoot(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Stranger"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "strange.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestProbe: the probe gets through every door of a dev daemon with every step,
// and says what fails. One daemon serves all cases.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	r := startDaemonIn(t, dir)
	if err := r.web.Close(); err != nil { // the probe answers in its place
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	dev := []string{"--dev", "--data", data, "--config", filepath.Join(dir, "overlay.yaml")}
	var credentials devCredentials
	text, err := os.ReadFile(filepath.Join(data, "dev-credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &credentials); err != nil {
		t.Fatal(err)
	}
	hmac, key, metrics := filepath.Join(dir, "hmac"), filepath.Join(dir, "account.pem"), filepath.Join(dir, "probe.prom")
	password, secret := filepath.Join(dir, "password"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{hmac: credentials.ACME.HMAC, password: credentials.EST.Password, secret: credentials.SCEP.Challenge} {
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("every door", func(t *testing.T) {
		code, out, said := probed(append(dev, "--json", "--revoke", "--account-key", key, "--eab-kid", credentials.ACME.KID, "--eab-key-file", hmac, "--metrics", metrics)...)
		var results []probe.Result
		speaks := 0
		for _, e := range r.cfg.Endpoints {
			if e.Door == caller.ACME || e.Door == caller.EST || e.Door == caller.SCEP {
				speaks++
			}
		}
		if err := json.Unmarshal([]byte(out), &results); err != nil || code != exitOK || said != "" || len(results) != speaks {
			t.Fatalf("%d %v\n%s\n%s", code, err, out, said)
		}
		for i, one := range results {
			var steps []string
			for _, s := range one.Steps {
				steps = append(steps, string(s.Step))
			}
			want := map[string]struct{ steps, state string }{"acme": {"directory nonce account order challenge finalize download chain ocsp crl revoke revoked", "superseded"},
				"est":  {"cacerts csrattrs enroll chain ocsp crl renew", "issued"},
				"scep": {"cacaps cacert enroll chain ocsp crl renew", "issued"}}[one.Protocol]
			if got := strings.Join(steps, " "); one.Endpoint != r.cfg.Endpoints[i].ID || got != want.steps {
				t.Errorf("%s: %s", one.Endpoint, got)
			}
			code, shown, _ := shownBy(t, dev, one.Serial)
			if code != exitOK || !strings.Contains(shown, want.state) {
				t.Errorf("the gateway knows of %s: %d %s", one.Serial, code, shown)
			}
		}
		samples, err := os.ReadFile(metrics)
		for _, want := range []string{`{door="acme",endpoint="acme-server"} 1`, `{door="est",endpoint="est-digital-signature"} 1`} {
			if err != nil || !strings.Contains(string(samples), "enrollgate_probe_success"+want) {
				t.Errorf("no %s: %v\n%s", want, err, samples)
			}
		}
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the account's key: %v, %v", info, err)
		}
		for _, secret := range []string{credentials.ACME.HMAC, credentials.EST.Password, credentials.SCEP.Challenge} {
			if strings.Contains(out+said+string(samples), secret) {
				t.Error("a secret is told")
			}
		}
	})
	url := r.cfg.URL(&r.cfg.Endpoints[1])
	root := filepath.Join(data, "root.pem")
	elsewhere := []string{"--directory", url, "--name", "Far.localhost", "--http-01", r.web.Addr, "--account-key", key}
	device := slices.IndexFunc(r.cfg.Endpoints, func(e ca.Endpoint) bool { return e.Door == caller.EST })
	est := []string{"--est-url", r.cfg.URL(&r.cfg.Endpoints[device]), "--root", root, "--name", "canary.example", "--est-user", credentials.EST.Username, "--est-password-file"}
	device = slices.IndexFunc(r.cfg.Endpoints, func(e ca.Endpoint) bool { return e.Door == caller.SCEP })
	scep := []string{"--scep-url", r.cfg.URL(&r.cfg.Endpoints[device]), "--name", "canary.example", "--root"}
	for name, test := range map[string]struct {
		args []string
		code int
		want []string // on stdout or stderr
	}{
		"EST from another machine":      {append(est, password), exitOK, []string{"ok    renew"}},
		"SCEP from another machine":     {append(scep, root, "--scep-secret-file", secret), exitOK, []string{"ok    renew"}},
		"SCEP with a wrong secret":      {append(scep, root, "--scep-secret-file", hmac), exitFailed, []string{"FAIL  enroll", "failInfo", "[trace "}},
		"SCEP of another CA":            {append(scep, strangeRoot(t), "--scep-secret-file", secret), exitFailed, []string{"FAIL  cacert", "by --root"}},
		"SCEP without a secret":         {append(scep, root), exitUsage, []string{"--scep-secret-file"}},
		"two sources, one of them SCEP": {append(scep, root, "--dev"), exitUsage, []string{"--scep-url stands instead"}},
		"EST without renewal":           {append(est, password, "--no-renew"), exitOK, []string{"ok    crl"}},
		"EST with a wrong password":     {append(est, hmac), exitFailed, []string{"FAIL  enroll", "401", "credential create"}},
		"EST with no password":          {append(est, os.DevNull), exitFailed, []string{"has no secret"}},
		"EST by plain http":             {append(est, password, "--est-url", "http://localhost/"), exitFailed, []string{"no https URL"}},
		"EST without a user":            {[]string{"--est-url", "https://localhost/", "--root", root, "--name", "a.localhost"}, exitUsage, []string{"--est-user"}},
		"half a user":                   {append(dev, "--est-user", "x"), exitUsage, []string{"belong together"}},
		"two sources, one of them EST":  {append(est, password, "--dev"), exitUsage, []string{"--est-url stands instead"}},

		"from another machine":   {append(elsewhere, "--root", root), exitOK, []string{"there already", "http-01", "certificates to"}},
		"another root":           {append(elsewhere, "--root", strangeRoot(t), "--tls-root", root), exitFailed, []string{"FAIL  chain", "unknown authority", "by --root"}},
		"TLS that nobody trusts": {append(elsewhere, "--root", strangeRoot(t)), exitFailed, []string{"FAIL  directory", "by --root or --tls-root"}},
		"no such directory":      {[]string{"--directory", url + "x", "--root", root, "--name", "a.localhost"}, exitFailed, []string{"FAIL  directory", "enrollgate urls"}},
		"a name of nobody":       {append(elsewhere, "--root", root, "--name", "nobody.invalid!"), exitFailed, []string{"FAIL  order", "--name"}},
		"a key that is none":     {append(elsewhere, "--root", root, "--eab-kid", "x", "--eab-key-file", root), exitFailed, []string{"base64url"}},
		"one endpoint":           {append(dev, "--endpoint", "acme-server"), exitOK, []string{"acme-server  " + url}},
		"no such endpoint":       {append(dev, "--endpoint", "acme-none"), exitUsage, []string{"acme-none"}},
		"both challenges":        {append(elsewhere, "--root", root, "--tls-alpn-01", "127.0.0.1:1"), exitUsage, []string{"not both"}},
		"no root":                {[]string{"--directory", url, "--name", "a.localhost"}, exitUsage, []string{"--root"}},
		"no name":                {[]string{"--directory", url, "--root", root}, exitUsage, []string{"--name"}},
		"two sources":            {append(elsewhere, "--dev"), exitUsage, []string{"--directory stands instead"}},
		"half an account":        {append(dev, "--eab-kid", "x"), exitUsage, []string{"belong together"}},
		"served once":            {append(dev, "--listen", "127.0.0.1:0"), exitUsage, []string{"--interval"}},
		"too often":              {append(dev, "--interval", "1s"), exitUsage, []string{"at least"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := probed(test.args...)
			for _, want := range test.want {
				if !strings.Contains(out+said, want) {
					t.Errorf("no %q", want)
				}
			}
			if code != test.code || t.Failed() {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, test.code, out, said)
			}
		})
	}
	t.Run("as a canary", func(t *testing.T) {
		var model commands
		parser, err := kong.New(&model)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"probe", "--json", "--interval", "1h", "--listen", "127.0.0.1:0", "--endpoint", "acme-server"}, dev...)); err != nil {
			t.Fatal(err)
		}
		out, outWriter := io.Pipe()
		said, saidWriter := io.Pipe()
		p, err := model.Probe.prepare(console{outWriter, saidWriter})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.watch(ctx, model.Probe.Interval, model.Probe.Listen) }()
		line, err := bufio.NewReader(said).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var one probe.Result
		if err := json.NewDecoder(out).Decode(&one); err != nil || !one.OK { // the first round is over
			t.Errorf("%+v, %v", one, err)
		}
		resp, err := http.Get(strings.TrimSpace(strings.TrimPrefix(line, "metrics: ")))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `enrollgate_probe_runs_total{door="acme",endpoint="acme-server",outcome="success"} 1`) {
			t.Errorf("%v\n%s", err, body)
		}
		go io.Copy(io.Discard, out)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// shownBy runs `enrollgate cert show`.
func shownBy(t *testing.T, source []string, serial string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(append([]string{"cert", "show", serial}, source...), console{&stdout, &stderr})
	return code, stdout.String(), stderr.String()
}
