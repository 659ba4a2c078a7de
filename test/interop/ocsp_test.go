package interop

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// asker asks one daemon's responder with programs that others wrote.
type asker struct {
	*testing.T
	s                     *site
	dir, issuer, root, at string
}

func newAsker(t *testing.T, s *site) *asker {
	t.Helper()
	a := &asker{T: t, s: s, dir: t.TempDir(), root: s.File("root.pem"), at: "http://" + s.Addresses().HTTP + "/ocsp/default/issuing"}
	chain, err := os.ReadFile(s.File("chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(chain)
	a.issuer = a.write("issuing.pem", pem.EncodeToMemory(block))
	return a
}

func (a *asker) write(name string, data []byte) string {
	a.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		a.Fatal(err)
	}
	return path
}

// openssl asks with `openssl ocsp`, which checks the answer's signature.
func (a *asker) openssl(args ...string) string {
	a.Helper()
	out := openssl(a.T, append([]string{"ocsp", "-issuer", a.issuer, "-CAfile", a.root, "-url", a.at}, args...)...)
	if !strings.Contains(out, "Response verify OK") {
		a.Errorf("openssl ocsp %v:\n%s", args, out)
	}
	return out
}

// says fails where what a program printed lacks something.
func (a *asker) says(out string, all ...string) {
	a.Helper()
	for _, want := range all {
		if !strings.Contains(out, want) {
			a.Errorf("this lacks %q:\n%s", want, out)
		}
	}
}

// curl asks as a cache would and gives status and headers, with the body in a file.
func (a *asker) curl(args ...string) (headers, body string) {
	a.Helper()
	body = filepath.Join(a.dir, "answer.der")
	out, err := exec.Command("curl", append([]string{"-sS", "-D", "-", "-o", body}, args...)...).CombinedOutput()
	if err != nil {
		a.Fatalf("curl %v: %v\n%s", args, err, out)
	}
	return string(out), body
}

// TestOCSP has openssl, GnuTLS and curl ask about good, revoked and unknown
// certificates, on each store.
func TestOCSP(t *testing.T) {
	harness.NeedPrograms(t)
	for name, lines := range withTokens("crl: {interval: 1h}") {
		t.Run(name, func(t *testing.T) {
			lines := lines(t)
			s := start(t, lines)
			o := operatorOf(t, s, lines)
			leaves := s.enroll(t, "host.example", "other.example")
			a := newAsker(t, s)
			a.good(leaves[0], leaves[1])
			a.cached(leaves[0])
			a.gnutls(leaves[0], "good")
			o.run(0, "cert", "revoke", hexOf(leaves[0]), "--reason", "superseded", "--yes")
			a.revokedSoon(leaves[0])
			a.says(a.openssl("-no_nonce", "-serial", "0x"+hexOf(leaves[0])), ": revoked", "Reason: superseded")
			a.gnutls(leaves[0], "revoked")
			a.says(a.openssl("-no_nonce", "-serial", "0x"+hexOf(leaves[1])), ": good")
		})
	}
}

// operatorOf runs commands through the daemon of a site.
func operatorOf(t *testing.T, s *site, lines string) *operator {
	t.Helper()
	overlay := filepath.Join(t.TempDir(), "overlay.yaml")
	if err := os.WriteFile(overlay, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return &operator{t, harness.Binary(t), []string{"--dev", "--data", filepath.Dir(s.File("root.pem")), "--config", overlay}}
}

func hexOf(c *x509.Certificate) string { return fmt.Sprintf("%032x", c.SerialNumber) }

// revokedSoon waits for the revocation: two seconds are promised.
func (a *asker) revokedSoon(leaf *x509.Certificate) {
	a.Helper()
	began := time.Now()
	for {
		if out := a.openssl("-no_nonce", "-serial", "0x"+hexOf(leaf)); strings.Contains(out, ": revoked") {
			a.Logf("shown after %v", time.Since(began))
			return
		}
		if time.Since(began) > 2*time.Second {
			a.Fatal("two seconds after its revocation the certificate is good")
		}
	}
}

func (a *asker) good(leaf, other *x509.Certificate) {
	a.Helper()
	if len(leaf.OCSPServer) != 1 || !strings.HasSuffix(leaf.OCSPServer[0], "/ocsp/default/issuing") {
		a.Errorf("the certificate points to %v", leaf.OCSPServer)
	}
	first, second := "0x"+hexOf(leaf), "0x"+hexOf(other)
	a.says(a.openssl("-serial", first), "WARNING: no nonce in response", first+": good", "This Update", "Next Update")
	a.says(a.openssl("-no_nonce", "-sha256", "-serial", first), first+": good")
	a.says(a.openssl("-no_nonce", "-serial", first, "-sha256", "-serial", second), first+": good", second+": good")
	a.says(a.openssl("-no_nonce", "-serial", "0x01"), "0x01: unknown")
	a.says(a.openssl("-no_nonce", "-serial", first, "-resp_text"), "OCSP No Check", "OCSP Signing", "OCSP Responder")
	// Another CA's certificate, a CA that there is not, and no request at all.
	for what, args := range map[string][]string{
		"unauthorized":     {"ocsp", "-no_nonce", "-issuer", a.root, "-serial", first, "-url", a.at},
		"unauthorized (6)": {"ocsp", "-no_nonce", "-issuer", a.issuer, "-serial", first, "-url", a.at + "2"},
	} {
		out, err := exec.Command("openssl", args...).CombinedOutput()
		if !strings.Contains(string(out), "Responder Error: "+what) {
			a.Errorf("openssl %v: %v\n%s", args, err, out)
		}
	}
}

// cached asks by hand-made GET URLs, as caches and browsers do (RFC 5019).
func (a *asker) cached(leaf *x509.Certificate) {
	a.Helper()
	file := filepath.Join(a.dir, "request.der")
	openssl(a.T, "ocsp", "-no_nonce", "-issuer", a.issuer, "-serial", "0x"+hexOf(leaf), "-reqout", file)
	der, err := os.ReadFile(file)
	if err != nil {
		a.Fatal(err)
	}
	plain := base64.StdEncoding.EncodeToString(der)
	var etag string
	for _, text := range []string{plain, url.QueryEscape(plain)} {
		headers, body := a.curl(a.at + "/" + text)
		a.says(headers, "200 OK", "Content-Type: application/ocsp-response", "Cache-Control: max-age=300, public", "Last-Modified: ", "Expires: ", "Etag: ")
		out := openssl(a.T, "ocsp", "-respin", body, "-no_nonce", "-issuer", a.issuer, "-CAfile", a.root, "-serial", "0x"+hexOf(leaf))
		a.says(out, "Response verify OK", ": good")
		_, rest, _ := strings.Cut(headers, "Etag: ")
		etag, _, _ = strings.Cut(rest, "\r\n")
	}
	headers, _ := a.curl("-H", "If-None-Match: "+etag, a.at+"/"+plain)
	a.says(headers, "304 Not Modified", "Etag: "+etag)
	headers, _ = a.curl("--head", a.at+"/"+plain)
	a.says(headers, "200 OK", "Etag: "+etag)
	headers, _ = a.curl("-k", "https://"+a.s.Addresses().HTTPS+"/ocsp/default/issuing/"+plain)
	a.says(headers, " 421")
	headers, body := a.curl("--data-binary", "@/dev/null", "-H", "Content-Type: application/ocsp-request", a.at)
	a.says(headers, "200 OK", "Cache-Control: no-store")
	if out, err := exec.Command("openssl", "ocsp", "-respin", body).CombinedOutput(); !strings.Contains(string(out), "malformedrequest") {
		a.Errorf("no request: %v\n%s", err, out)
	}
}

// gnutls asks with GnuTLS's ocsptool and has it check the answer.
func (a *asker) gnutls(leaf *x509.Certificate, want string) {
	a.Helper()
	cert := a.write("leaf.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	cmd := exec.Command("ocsptool", "--ask="+a.at, "--no-nonce", "--load-issuer", a.issuer, "--load-cert", cert, "--load-trust", a.issuer)
	out, err := cmd.CombinedOutput()
	if err != nil {
		a.Errorf("ocsptool: %v", err)
	}
	a.says(string(out), "Certificate Status: "+want, "Verifying OCSP Response: Success")
}

// TestOCSPSettings asks a responder that was set up otherwise: the CA signs
// itself and names itself, nonces are answered, and what was never issued is revoked.
func TestOCSPSettings(t *testing.T) {
	harness.NeedPrograms(t)
	lines := "cas: [{id: issuing, ocsp: {signer: direct, responder_id: name, nonce: true, unknown: revoked, archive_cutoff: true, lifetime: PT1H}}]\n"
	s := start(t, lines)
	leaf := s.enroll(t, "host.example")[0]
	a := newAsker(t, s)
	first := "0x" + hexOf(leaf)
	out := a.openssl("-serial", first, "-resp_text")
	a.says(out, first+": good", "Responder Id: O", "Archive Cutoff", "OCSP Nonce")
	if strings.Contains(out, "WARNING") || strings.Contains(out, "OCSP No Check") {
		t.Errorf("a nonce is missing, or the answer comes from a delegate:\n%s", out)
	}
	a.says(a.openssl("-serial", "0x01", "-resp_text"), "0x01: revoked", "Reason: certificateHold", "Revocation Time: Jan  1 00:00:00 1970 GMT")
	o := operatorOf(t, s, lines)
	o.run(0, "cert", "revoke", hexOf(leaf), "--reason", "keyCompromise", "--yes")
	a.revokedSoon(leaf)
}

// TestStatusOnAnotherReplica: a revocation through one replica shows in another's
// OCSP answers within two seconds, and then in the complete CRL that it serves.
// Replicas only poll: nothing in the store uses NOTIFY.
func TestStatusOnAnotherReplica(t *testing.T) {
	harness.NeedPrograms(t)
	lines := postgresLines(t) + "cas: [{id: issuing, crl: {on_revocation: 1s}}]\n"
	one := start(t, lines)
	second := t.TempDir()
	for _, d := range []string{"secrets", "keys"} {
		if err := os.CopyFS(filepath.Join(second, d), os.DirFS(one.File(d))); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{second, filepath.Join(second, "secrets"), filepath.Join(second, "keys")} {
		private(t, d)
	}
	two := start(t, lines, "--data", second)
	leaves := one.enroll(t, "host0.example", "host1.example", "host2.example")
	o := operatorOf(t, one, lines)
	a := newAsker(t, two)
	for i, leaf := range leaves {
		if i > 0 { // the first was never asked for, the others are kept
			a.says(a.openssl("-no_nonce", "-serial", "0x"+hexOf(leaf)), ": good")
		}
		o.run(0, "cert", "revoke", hexOf(leaf), "--reason", "superseded", "--yes")
		a.revokedSoon(leaf)
	}
	served := &lists{operator: o, site: two, dir: t.TempDir(), root: two.File("root.pem"), issuing: two.File("chain.pem")}
	for _, leaf := range leaves {
		served.awaits("g1", leaf)
		served.verifies(leaf, "certificate revoked", []string{served.fetch("g1")}, "-crl_check")
	}
	r, err := http.Get("http://" + two.Addresses().Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.says(string(page), "\nenrollgate_status_known 3\n", `enrollgate_ocsp_answers_total{answer="revoked",ca="issuing",source="cache",tenant="default"}`)
}
