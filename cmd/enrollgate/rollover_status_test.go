package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/test/harness"
)

// rolling is a CA whose replicas run while its next generation takes over, seen
// through openssl.
type rolling struct {
	*testing.T
	dir, file string
	root      string // PEM file
	replicas  []*daemon
}

const rollingConfig = `
listen: {https: "127.0.0.1:%[1]d", http: "127.0.0.1:%[2]d", admin: "127.0.0.1:%[5]d"}
base_url: {https: "https://localhost", http: "http://localhost:%[3]d"}
tls: {issue: {tenant: default, ca: issuing, names: [localhost]}, store: %[4]s/tls-%[1]d.pem}
seal: {key: "file:%[4]s/seal.key"}
log: {level: error}
tenants: [{id: default}]
cas: [{id: issuing, tenant: default, key: "file:%[4]s/first.pem", key_password: "file:%[4]s/password", crl: {on_revocation: 1s}}]
`

func (r *rolling) must(args ...string) string {
	r.Helper()
	var out, errs bytes.Buffer
	if code := run(append(args, "--config", r.file), console{&out, &errs}); code != exitOK {
		r.Fatalf("%v: exit code %d\n%s%s", args, code, out.String(), errs.String())
	}
	return out.String()
}

// install makes a CA and starts its replicas, which share a store.
func install(t *testing.T, storeLines func(*testing.T, string) string, replicas int) *rolling {
	t.Helper()
	r := &rolling{T: t, dir: t.TempDir()}
	r.root = filepath.Join(r.dir, "root.pem")
	write(t, filepath.Join(r.dir, "seal.key"), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	write(t, filepath.Join(r.dir, "password"), "correct horse battery staple")
	where, served := storeLines(t, r.dir), harness.FreePort(t)
	for n := range replicas {
		file, port := filepath.Join(r.dir, fmt.Sprintf("replica-%d.yaml", n)), served
		if n > 0 {
			port = harness.FreePort(t)
		}
		write(t, file, fmt.Sprintf(rollingConfig, harness.FreePort(t), port, served, r.dir, harness.FreePort(t))+where)
		if n == 0 {
			r.file = file
			r.must("migrate")
			harness.Keys(t, "correct horse battery staple", filepath.Join(r.dir, "first.pem"), filepath.Join(r.dir, "root-key.pem"))
			write(t, r.root, r.must("ca", "create", "--tenant", "default", "--ca", "issuing", "--name", "Example Ltd", "--root-key", "file:"+filepath.Join(r.dir, "root-key.pem")))
		}
		serve := &serveCmd{source{Config: file}}
		cfg, err := serve.load()
		if err != nil {
			t.Fatal(err)
		}
		level := &slog.LevelVar{}
		level.Set(slog.LevelError)
		d, err := serve.start(t.Context(), cfg, newLogAt(cfg.Log, level, t.Output()), level)
		if err != nil {
			t.Fatal(err)
		}
		r.replicas = append(r.replicas, d)
	}
	return r
}

// stop ends the replicas.
func (r *rolling) stop() {
	r.Helper()
	for _, d := range r.replicas {
		if err := d.stop(time.Minute); err != nil {
			r.Error(err)
		}
	}
}

// issued is a certificate with that of the generation that issued it, in PEM files.
type issued struct {
	*x509.Certificate
	file, issuer string
	above        *x509.Certificate
}

// issue has a replica issue a certificate for a service of its own.
func (r *rolling) issue(d *daemon, name string) issued {
	r.Helper()
	own := &service.TLS{Enroller: d, Endpoint: "service-tls", Tenant: "default", Names: []string{"localhost"}, File: filepath.Join(r.dir, name+"-key.pem"),
		Issuer: d.signing("default", "issuing"), Callers: caller.NewVerifier(caller.System), Claims: claim.NewVerifier(caller.System), Log: d.log, Now: time.Now}
	if err := own.Ready(r.Context()); err != nil {
		r.Fatal(err)
	}
	made, err := own.Certificate(nil)
	if err != nil {
		r.Fatal(err)
	}
	i := issued{Certificate: made.Leaf, file: filepath.Join(r.dir, name+".pem"), issuer: filepath.Join(r.dir, name+"-issuer.pem")}
	write(r.T, i.file, pemOf(made.Certificate[0]))
	write(r.T, i.issuer, pemOf(made.Certificate[1]))
	if i.above, err = x509.ParseCertificate(made.Certificate[1]); err != nil {
		r.Fatal(err)
	}
	return i
}

// fetch gets a list from a replica by the address that a certificate names, and
// gives a PEM file.
func (r *rolling) fetch(d *daemon, c *x509.Certificate) string {
	r.Helper()
	if len(c.CRLDistributionPoints) != 1 {
		r.Fatalf("%s names %q", c.Subject, c.CRLDistributionPoints)
	}
	path := strings.TrimPrefix(c.CRLDistributionPoints[0], d.cfg.BaseURL.HTTP)
	answer, err := http.Get("http://" + d.cfg.Listen.HTTP + path)
	if err != nil {
		r.Fatal(err)
	}
	defer answer.Body.Close() // only read from
	der, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		r.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
	file := filepath.Join(r.dir, filepath.Base(path))
	write(r.T, file, string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})))
	return file
}

// signs fails where a list is not signed by the generation that issued i.
func (r *rolling) signs(i issued, list string) {
	r.Helper()
	if out, err := exec.Command("openssl", "crl", "-in", list, "-noout", "-verify", "-CAfile", i.issuer).CombinedOutput(); err != nil || !strings.Contains(string(out), "verify OK") {
		r.Errorf("%s: %v\n%s", list, err, out)
	}
}

// chain checks a certificate and those above it against the lists that they name.
func (r *rolling) chain(d *daemon, i issued) string {
	r.Helper()
	list := r.fetch(d, i.Certificate)
	r.signs(i, list)
	out, _ := exec.Command("openssl", "verify", "-CAfile", r.root, "-untrusted", i.issuer, "-CRLfile", r.fetch(d, i.above), "-CRLfile", list, "-crl_check_all", i.file).CombinedOutput()
	return string(out) // says whether it failed, and why
}

// asks has openssl ask a replica's responder and verify what comes, and gives
// what it prints and the answer's text.
func (r *rolling) asks(d *daemon, i issued) string {
	r.Helper()
	out, err := exec.Command("openssl", "ocsp", "-no_nonce", "-issuer", i.issuer, "-cert", i.file, "-CAfile", r.root,
		"-url", "http://"+d.cfg.Listen.HTTP+"/ocsp/default/issuing", "-resp_text").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Response verify OK") {
		r.Errorf("openssl ocsp: %v\n%s", err, out)
	}
	return string(out)
}

// eventually asks again until it is so.
func (r *rolling) eventually(what string, so func() bool) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(50 * time.Millisecond) { // reached only where it never comes
		if time.Now().After(deadline) {
			r.Fatal(what)
		}
	}
}

// TestStatusAfterRollover: while replicas run, the next generation of their CA
// takes over. What the one before issued has OCSP answers and a list of its own
// key, also about what is revoked afterwards; what the next one issues has its.
func TestStatusAfterRollover(t *testing.T) {
	harness.NeedPrograms(t)
	for store, replicas := range map[string]int{"sqlite": 1, "postgres": 2} {
		t.Run(store, func(t *testing.T) {
			r := install(t, tenantStores[store], replicas)
			old := r.issue(r.replicas[0], "old")
			for _, d := range r.replicas {
				if out := r.asks(d, old); !strings.Contains(out, "old.pem: good") || !strings.Contains(out, "OCSP Signing") {
					t.Errorf("before the rollover:\n%s", out)
				}
				if out := r.chain(d, old); !strings.HasSuffix(out, ": OK\n") {
					t.Errorf("before the rollover: %s", out)
				}
			}

			text, err := os.ReadFile(r.file)
			if err != nil {
				t.Fatal(err)
			}
			write(t, r.file, strings.Replace(string(text), "/first.pem", "/second.pem", 1))
			r.must("ca", "create", "--tenant", "default", "--ca", "issuing", "--name", "Example Ltd", "--next", "--root-key", "file:"+filepath.Join(r.dir, "root-key.pem"))
			r.must("ca", "activate", "--tenant", "default", "--ca", "issuing", "--generation", "2")
			for _, d := range r.replicas {
				var now ca.Issuer
				r.eventually("a replica does not sign with the next generation", func() bool {
					now, err = d.issuers.Issuer("default", "issuing")
					return err == nil && now.Facts().Generation == 2
				})
				// Its list is there before anything names it.
				if _, ok := d.findCRL("default", "issuing", "g2"); !ok || !strings.HasSuffix(now.Facts().CDP[0], "/g2.crl") {
					t.Errorf("generation 2 signs, names %q, and has a list: %v", now.Facts().CDP, ok)
				}
			}

			young := r.issue(r.replicas[replicas-1], "young")
			r.must("cert", "revoke", fmt.Sprintf("%032x", old.SerialNumber), "--reason", "superseded", "--yes")
			for _, d := range r.replicas {
				out := r.asks(d, young)
				if !strings.Contains(out, "young.pem: good") || !strings.Contains(out, "OCSP Signing") || !strings.Contains(out, "Issuing CA issuing G2") {
					t.Errorf("after the rollover, no delegate of the next generation answers:\n%s", out)
				}
				if out := r.chain(d, young); !strings.HasSuffix(out, ": OK\n") {
					t.Errorf("after the rollover: %s", out)
				}
				r.eventually("the old generation's certificate is not revoked", func() bool { return strings.Contains(r.asks(d, old), "old.pem: revoked") })
				r.eventually("the old generation's list lacks the certificate", func() bool { return strings.Contains(r.chain(d, old), "certificate revoked") })
				if strings.Contains(r.asks(d, old), "Issuing CA issuing G2") {
					t.Error("the next generation answers for the one before")
				}
			}
			r.stop()
		})
	}
}
