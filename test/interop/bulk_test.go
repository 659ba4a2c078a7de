package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// swept is what a bulk change of status prints.
type swept struct {
	Job, Reason                       string
	Matched, Changed, Already, Failed int
	Complete                          bool
	Failures                          []struct{ Serial, Kind, Error string }
}

// TestBulkStatus changes the status of many certificates with the commands that
// operators have, on each store: with a daemon, and then without one.
func TestBulkStatus(t *testing.T) {
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
			b := &bulk{&operator{t, harness.Binary(t), []string{"--dev", "--data", filepath.Dir(s.File("root.pem")), "--config", overlay}}, nil}
			responder := &http01{}
			responder.listen(t, s.port)
			leaked := newKey(t) // one key of two certificates
			for name, key := range map[string]*ecdsa.PrivateKey{"a.one.example": newKey(t), "b.one.example": newKey(t), "c.two.example": leaked, "d.three.example": leaked} {
				leaf, err := s.obtain(t, responder, name, key)
				if err != nil {
					t.Fatal(err)
				}
				b.serials = append(b.serials, fmt.Sprintf("%032x", leaf.SerialNumber))
			}
			b.holds()
			b.selects(s)
			b.proves(s, leaked)
			if _, err := s.obtain(t, responder, "e.example", leaked); err == nil {
				t.Error("a certificate for the compromised key")
			}
			s.Stop()
			b.alone()
		})
	}
}

// obtain enrolls one name with a key.
func (s *site) obtain(t *testing.T, responder *http01, name string, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	client := s.account(t, ctx, "privatessl-tls-server")
	order := responder.ready(t, ctx, client, name)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := client.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(chain[0])
}

type bulk struct {
	*operator
	serials []string
}

// sweep runs a command with --yes and --json; it must end with this exit code.
func (b *bulk) sweep(code int, args ...string) (out swept) {
	b.Helper()
	text, errs := b.run(code, append([]string{"cert"}, append(args, "--yes", "--json")...)...)
	if err := json.Unmarshal([]byte(text), &out); err != nil || len(out.Job) != 10 || !out.Complete {
		b.Fatalf("%v: %v\n%s%s", args, err, text, errs)
	}
	return out
}

// came fails unless a job matched, changed, found so already and failed as many.
func (b *bulk) came(what string, s swept, want ...int) {
	b.Helper()
	if got := []int{s.Matched, s.Changed, s.Already, s.Failed}; !slices.Equal(got, want) {
		b.Errorf("%s: matched, changed, already and failed are %v, want %v: %+v", what, got, want, s)
	}
}

func (b *bulk) in(state string) []string { b.Helper(); return b.list("--state", state) }

func (b *bulk) holds() {
	b.Helper()
	one := b.serials[0]
	b.run(0, "cert", "revoke", one, "--reason", "certificateHold", "--yes")
	if got := b.in("held"); !slices.Equal(got, []string{one}) {
		b.Errorf("held: %v", got)
	}
	if _, errs := b.run(1, "cert", "revoke", one, "--reason", "certificateHold", "--yes"); !strings.Contains(errs, "held already") {
		b.Errorf("held twice: %s", errs)
	}
	if out, _ := b.run(0, "cert", "unhold", one, "--yes"); !strings.HasPrefix(out, "released "+one) {
		b.Errorf("released: %s", out)
	}
	if _, errs := b.run(1, "cert", "unhold", one, "--yes"); !strings.Contains(errs, "is not held") {
		b.Errorf("released twice: %s", errs)
	}
	var e explained
	if b.ask(&e, "explain", one); e.Certificate.State != "issued" || len(e.Audit) != 3 || e.Audit[1].Event != "certificate.held" || e.Audit[2].Event != "certificate.released" {
		b.Errorf("explain: %+v", e)
	}
	hold := []string{"revoke", "--tenant", "default", "--profile", "privatessl-tls-server", "--reason", "certificateHold"}
	b.came("held", b.sweep(0, hold...), 4, 4, 0, 0)
	b.came("held again", b.sweep(0, hold...), 4, 0, 4, 0)
	b.came("released", b.sweep(0, "unhold", "--tenant", "default", "--all", "--ca", "issuing"), 4, 4, 0, 0)
	if got := b.in("held"); len(got) != 0 {
		b.Errorf("held after all: %v", got)
	}
}

func (b *bulk) selects(s *site) {
	b.Helper()
	revoke := []string{"revoke", "--tenant", "default", "--name-end", "dns:.one.example", "--reason", "superseded"}
	if _, errs := b.run(2, append([]string{"cert"}, revoke...)...); !strings.Contains(errs, "give --yes") {
		b.Errorf("nobody to ask: %s", errs)
	}
	if out, _ := b.run(0, append([]string{"cert"}, append(revoke, "--dry-run")...)...); out != "2 certificates: 2 issued, 0 held, 0 revoked, 0 not found; nothing was changed\n" {
		b.Errorf("counted: %s", out)
	}
	if got := b.in("revoked"); len(got) != 0 {
		b.Errorf("revoked by counting: %v", got)
	}
	first := b.sweep(0, append(revoke, "--invalidity-date", time.Now().UTC().Format(time.DateOnly))...)
	b.came("by the end of a name", first, 2, 2, 0, 0)
	eventually(b.T, s.Process, "operation=/v1/cert/sweep", 1)
	b.came("once more", b.sweep(0, revoke...), 2, 0, 2, 0)
	var e explained
	b.ask(&e, "explain", first.Job)
	for _, a := range e.Audit {
		if a.Event != "certificate.revoked" || a.Trace != first.Job || !strings.HasPrefix(a.Actor, "operator:") || a.Detail["invalidity_date"] == "" {
			b.Errorf("explain the job: %+v", a)
		}
	}
	if e.Certificate != nil || len(e.Audit) != 2 {
		b.Errorf("explain the job: %+v", e)
	}
	file := filepath.Join(b.TempDir(), "serials")
	none := strings.Repeat("5f", 16)
	if err := os.WriteFile(file, []byte("# lost\n"+b.in("revoked")[0]+"\n\n"+none+" # never was\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	named := b.sweep(1, "revoke", "--serials", file, "--reason", "superseded")
	b.came("by serial numbers", named, 2, 0, 1, 1)
	if len(named.Failures) != 1 || named.Failures[0].Serial != none || named.Failures[0].Kind != "not found" {
		b.Errorf("failures: %+v", named.Failures)
	}
	b.run(1, "cert", "revoke", "--tenant", "default", "--subject", "CN=nobody", "--reason", "superseded", "--yes")
	b.run(2, "cert", "revoke", "--tenant", "default", "--all", "--reason", "superseded", "--yes")
	b.run(2, "cert", "revoke", "--profile", "privatessl-tls-server", "--reason", "superseded", "--yes")
	b.run(2, "cert", "revoke", "--tenant", "default", "--profile", "x", b.serials[0], "--reason", "superseded", "--yes")
}

// proves revokes with a statement that openssl made of the leaked key.
func (b *bulk) proves(s *site, key *ecdsa.PrivateKey) {
	b.Helper()
	dir := b.TempDir()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	keyFile, proof, ordinary := filepath.Join(dir, "key.der"), filepath.Join(dir, "proof.csr"), filepath.Join(dir, "ordinary.csr")
	if err := os.WriteFile(keyFile, der, 0o600); err != nil {
		b.Fatal(err)
	}
	for file, subject := range map[string]string{proof: "/CN=Proof of key compromise", ordinary: "/CN=c.two.example"} {
		if out, err := exec.CommandContext(b.Context(), "openssl", "req", "-new", "-keyform", "DER", "-key", keyFile, "-subj", subject, "-out", file).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	if _, errs := b.run(1, "cert", "revoke", "--proof", ordinary, "--yes"); !strings.Contains(errs, "does not say that its key is compromised") {
		b.Errorf("an ordinary request: %s", errs)
	}
	b.run(2, "cert", "revoke", "--proof", proof, "--reason", "superseded", "--yes")
	b.run(1, "cert", "revoke", "--proof", proof, "--tenant", "other", "--yes")
	done := b.sweep(0, "revoke", "--proof", proof)
	if b.came("by proof", done, 2, 2, 0, 0); done.Reason != "keyCompromise" {
		b.Errorf("reason %s", done.Reason)
	}
	b.came("by proof again", b.sweep(0, "revoke", "--proof", proof), 2, 0, 2, 0)
	var e explained
	if b.ask(&e, "explain", done.Job); len(e.Audit) != 2 || len(e.Audit[0].Detail["proof_sha256"]) != 64 {
		b.Errorf("explain the proof: %+v", e)
	}
	eventually(b.T, s.Process, "reason=keyCompromise", 2)
}

// alone goes on without a daemon: what is left are the gateway's own certificates, for TLS, OCSP and RA.
func (b *bulk) alone() {
	b.Helper()
	b.came("a whole CA", b.sweep(0, "revoke", "--tenant", "default", "--all", "--ca", "issuing", "--reason", "cessationOfOperation"), 7, 3, 4, 0)
	if got := b.in("revoked"); len(got) != 7 {
		b.Errorf("revoked in the end: %v", got)
	}
	if _, errs := b.run(1, "cert", "unhold", b.serials[0], "--yes"); !strings.Contains(errs, "revoked for good") {
		b.Errorf("released after all: %s", errs)
	}
}
