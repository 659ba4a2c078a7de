package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// partner is a CA that openssl keeps: it issues, revokes and signs its lists.
type partner struct {
	*testing.T
	dir string
}

const partnerConfig = `[ca]
default_ca=x
[x]
database=%[1]s/index.txt
serial=%[1]s/serial
crlnumber=%[1]s/number
new_certs_dir=%[1]s
certificate=%[1]s/ca.pem
private_key=%[1]s/ca.key
default_md=sha256
default_days=30
unique_subject=no
policy=any
crl_extensions=list
[any]
commonName=supplied
[list]
authorityKeyIdentifier=keyid
[req]
distinguished_name=dn
[dn]
[root]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[leaf]
basicConstraints=CA:FALSE
[ocsp]
keyUsage=critical,digitalSignature
extendedKeyUsage=OCSPSigning
noCheck=ignored
`

func newPartner(t *testing.T) *partner {
	t.Helper()
	p := &partner{t, t.TempDir()}
	for name, text := range map[string]string{"config": fmt.Sprintf(partnerConfig, p.dir), "index.txt": "", "serial": "00D0\n", "number": "10\n", "password": "a password of 20 or more\n"} {
		if err := os.WriteFile(p.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl(t, "req", "-x509", "-config", p.file("config"), "-extensions", "root", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", p.file("ca.key"), "-out", p.file("ca.pem"), "-days", "30", "-subj", "/CN=Partner CA")
	p.issue("good", "leaf")
	p.issue("bad", "leaf")
	openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes-256-cbc", "-pass", "file:"+p.file("password"), "-out", p.file("ocsp.key"))
	p.delegate()
	return p
}

func (p *partner) file(name string) string { return filepath.Join(p.dir, name) }

// issue makes NAME.pem.
func (p *partner) issue(name, extensions string, key ...string) {
	p.Helper()
	if key == nil {
		key = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", p.file(name + ".key")}
	}
	openssl(p.T, append([]string{"req", "-new", "-config", p.file("config"), "-subj", "/CN=" + name, "-out", p.file(name + ".csr")}, key...)...)
	openssl(p.T, "ca", "-batch", "-notext", "-config", p.file("config"), "-extensions", extensions, "-in", p.file(name+".csr"), "-out", p.file(name+".pem"))
}

// delegate makes the responder's certificate, a new one each time for the same key.
func (p *partner) delegate() {
	p.Helper()
	p.issue("ocsp", "ocsp", "-key", p.file("ocsp.key"), "-passin", "file:"+p.file("password"))
}

func (p *partner) serial(name string) string {
	p.Helper()
	_, number, _ := strings.Cut(strings.TrimSpace(openssl(p.T, "x509", "-noout", "-serial", "-in", p.file(name+".pem"))), "=")
	return number
}

func (p *partner) revoke(name string, how ...string) {
	p.Helper()
	openssl(p.T, append([]string{"ca", "-config", p.file("config"), "-revoke", p.file(name + ".pem")}, how...)...)
}

// list signs a list that ends after a time and gives its bytes, PEM. Two in the
// same second are no two lists.
func (p *partner) list(seconds int, more ...string) []byte {
	p.Helper()
	p.nextSecond()
	openssl(p.T, append([]string{"ca", "-config", p.file("config"), "-gencrl", "-crlsec", fmt.Sprint(seconds), "-out", p.file("crl.pem")}, more...)...)
	return []byte(read(p.T, p.file("crl.pem")))
}

func (p *partner) nextSecond() {
	now := time.Now()
	time.Sleep(now.Truncate(time.Second).Add(time.Second).Sub(now))
}

// outlet is where a partner publishes its list.
type outlet struct {
	mu          sync.Mutex
	data        []byte
	modified    time.Time
	whole, same int    // answers of the HTTP server
	file        string // written to, where it is not ""
}

func (o *outlet) publish(t *testing.T, data []byte) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data, o.modified = data, time.Now().Truncate(time.Second)
	if o.file == "" {
		return
	}
	if err := os.WriteFile(o.file+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(o.file+".new", o.file); err != nil {
		t.Fatal(err)
	}
}

func (o *outlet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.URL.Path == "/inside" { // to where nobody may be led
		http.Redirect(w, r, "http://127.0.0.2:1/partner.crl", http.StatusFound)
		return
	}
	stamp := o.modified.UTC().Format(http.TimeFormat)
	w.Header().Set("Last-Modified", stamp)
	if r.Header.Get("If-Modified-Since") == stamp {
		o.same++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	o.whole++
	w.Write(o.data)
}

// TestForeignCA answers for a CA of openssl's from the list that it publishes,
// by HTTP and in a file.
func TestForeignCA(t *testing.T) {
	harness.NeedPrograms(t)
	for name, store := range map[string]string{"http": "sqlite", "file": "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			p, o := newPartner(t), &outlet{}
			p.revoke("bad", "-crl_compromise", "20260102030405Z")
			first := p.list(3600)
			server := httptest.NewServer(o)
			t.Cleanup(server.Close)
			source := fmt.Sprintf("url: %q, allow_targets: [127.0.0.1/32]", server.URL+"/partner.crl")
			if name == "file" {
				o.file = p.file("published.crl")
				source = fmt.Sprintf("file: %q", o.file)
			}
			o.publish(t, first)
			ocsp := fmt.Sprintf("ocsp: {certificate: %q, key: 'file:%s', key_password: 'file:%s'}", p.file("ocsp.pem"), p.file("ocsp.key"), p.file("password"))
			s := start(t, stores[store](t)+fmt.Sprintf(`foreign_cas:
- {id: partner, tenant: default, certificate: %[1]q, crl: {%[2]s, refresh: 1s}, %[3]s}
- {id: walled, tenant: default, certificate: %[1]q, crl: {url: %[4]q, allow_targets: [127.0.0.1/32], refresh: 1s}, %[3]s}
`, p.file("ca.pem"), source, ocsp, server.URL+"/inside"))
			q := &foreignAsker{p, s, o}
			q.answers()
			if name == "http" { // how it comes makes no difference to what is taken
				q.refuses(first)
			}
			q.follows()
			if name == "http" && (o.whole < 4 || o.same == 0) {
				t.Errorf("%d times the list, %d times nothing new", o.whole, o.same)
			}
		})
	}
}

type foreignAsker struct {
	*partner
	s *site
	o *outlet
}

// ask asks openssl ocsp; it gives what it printed, whatever the answer was.
func (q *foreignAsker) ask(id string, args ...string) string {
	q.Helper()
	out, err := exec.Command("openssl", append([]string{"ocsp", "-no_nonce", "-issuer", q.file("ca.pem"), "-CAfile", q.file("ca.pem"),
		"-url", "http://" + q.s.Addresses().HTTP + "/ocsp/default/" + id}, args...)...).CombinedOutput()
	if err == nil && !strings.Contains(string(out), "Responder Error") && !strings.Contains(string(out), "Response verify OK") {
		q.Errorf("openssl ocsp %v:\n%s", args, out)
	}
	return string(out)
}

// until asks again until the answer has a text.
func (q *foreignAsker) until(want, id string, args ...string) string {
	q.Helper()
	var out string
	for range 300 { // 30 s, reached only where it never comes
		if out = q.ask(id, args...); strings.Contains(out, want) {
			return out
		}
		time.Sleep(100 * time.Millisecond)
	}
	q.Fatalf("the answer never had %q:\n%s", want, out)
	return ""
}

// logged waits for a line of the log.
func (q *foreignAsker) logged(ca, want string) {
	q.Helper()
	for range 300 {
		for line := range strings.Lines(q.s.Stderr()) {
			if strings.Contains(line, "foreign.failed") && strings.Contains(line, "ca="+ca) && strings.Contains(line, want) {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	q.Errorf("nothing in the log says %q of %s", want, ca)
}

func (q *foreignAsker) answers() {
	q.Helper()
	good, bad := "0x"+q.serial("good"), "0x"+q.serial("bad")
	q.until(good+": good", "partner", "-serial", good)
	out := q.ask("partner", "-resp_text", "-serial", bad, "-sha256", "-serial", good)
	for _, want := range []string{bad + ": revoked", "Reason: keyCompromise", good + ": good", "Invalidity Date", "Jan  2 03:04:05 2026 GMT"} {
		if !strings.Contains(out, want) {
			q.Errorf("this lacks %q:\n%s", want, out)
		}
	}
	// The answer's times are the list's.
	list := openssl(q.T, "crl", "-noout", "-lastupdate", "-nextupdate", "-in", q.file("crl.pem"))
	for line := range strings.Lines(strings.NewReplacer("lastUpdate=", "This Update: ", "nextUpdate=", "Next Update: ").Replace(list)) {
		if !strings.Contains(out, line) {
			q.Errorf("this lacks %q:\n%s", line, out)
		}
	}
	cmd := exec.Command("ocsptool", "--ask=http://"+q.s.Addresses().HTTP+"/ocsp/default/partner", "--no-nonce",
		"--load-issuer", q.file("ca.pem"), "--load-cert", q.file("bad.pem"), "--load-trust", q.file("ca.pem"))
	if text, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(text), "Certificate Status: revoked") || !strings.Contains(string(text), "Verifying OCSP Response: Success") {
		q.Errorf("ocsptool: %v\n%s", err, text)
	}
	ours := filepath.Join(q.dir, "issuing.pem")
	openssl(q.T, "x509", "-in", q.s.File("chain.pem"), "-out", ours)
	if out, err := exec.Command("openssl", "ocsp", "-no_nonce", "-issuer", ours, "-serial", good, "-url", "http://"+q.s.Addresses().HTTP+"/ocsp/default/partner").CombinedOutput(); !strings.Contains(string(out), "Responder Error: unauthorized") {
		q.Errorf("another issuer: %v\n%s", err, out)
	}
	q.unpublished()
	// A redirect that leads inside is not followed; the other CA does not suffer.
	q.logged("walled", "127.0.0.2 port 1 is not a permitted target")
	if out := q.ask("walled", "-serial", good); !strings.Contains(out, "Responder Error: trylater") {
		q.Errorf("without a list:\n%s", out)
	}
}

// unpublished: the list is recorded, and its own CA's to publish.
func (q *foreignAsker) unpublished() {
	q.Helper()
	var all []struct{ CA, List, Path string }
	out := enrollgate(q.T, append([]string{"crl", "list", "--json"}, q.s.flags...)...)
	if err := json.Unmarshal(out, &all); err != nil {
		q.Fatal(err)
	}
	i := slices.IndexFunc(all, func(l struct{ CA, List, Path string }) bool { return l.CA == "partner" })
	if i < 0 || all[i].Path != "" || !strings.HasPrefix(all[i].List, "foreign-") {
		q.Fatalf("crl list: %s", out)
	}
	resp, err := http.Get("http://" + q.s.Addresses().HTTP + "/crl/default/partner/" + all[i].List + ".crl")
	if err != nil {
		q.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		q.Errorf("the foreign CA's list is published: %s", resp.Status)
	}
}

// refuses what would bring certificates back, and what others signed.
func (q *foreignAsker) refuses(first []byte) {
	q.Helper()
	bad := "0x" + q.serial("bad")
	q.o.publish(q.T, q.list(3600))
	q.until(strings.TrimSpace(strings.TrimPrefix(openssl(q.T, "crl", "-noout", "-lastupdate", "-in", q.file("crl.pem")), "lastUpdate=")), "partner", "-resp_text", "-serial", bad)
	q.o.publish(q.T, first)
	q.logged("partner", "it would bring certificates back")
	// A younger list with an older number is a rollback, too.
	if err := os.WriteFile(q.file("number"), []byte("05\n"), 0o600); err != nil {
		q.Fatal(err)
	}
	q.o.publish(q.T, q.list(3600))
	q.logged("partner", "CRL number 5 does not follow 17")
	if err := os.WriteFile(q.file("number"), []byte("20\n"), 0o600); err != nil {
		q.Fatal(err)
	}
	// Another key under the same name.
	openssl(q.T, "req", "-x509", "-config", q.file("config"), "-extensions", "root", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", q.file("other.key"), "-out", q.file("other.pem"), "-days", "30", "-subj", "/CN=Partner CA")
	q.o.publish(q.T, q.list(3600, "-keyfile", q.file("other.key"), "-cert", q.file("other.pem")))
	q.logged("partner", "another key of its issuer")
	if out := q.ask("partner", "-serial", bad); !strings.Contains(out, bad+": revoked") {
		q.Errorf("after what was refused:\n%s", out)
	}
}

// follows takes up a newer list and a renewed certificate, and says try-later
// when the list has ended.
func (q *foreignAsker) follows() {
	q.Helper()
	good := "0x" + q.serial("good")
	q.revoke("good", "-crl_reason", "superseded")
	before := q.serial("ocsp")
	q.delegate()
	q.s.Signal(syscall.SIGHUP)
	q.o.publish(q.T, q.list(3600))
	out := q.until(good+": revoked", "partner", "-resp_text", "-serial", good)
	if now := q.serial("ocsp"); !strings.Contains(out, "Reason: superseded") || before == now || !strings.Contains(out, "0x"+strings.ToLower(strings.TrimLeft(now, "0"))+")") {
		q.Errorf("want superseded, and signed by certificate %s:\n%s", now, out)
	}
	q.ends(good)
	resp, err := http.Get("http://" + q.s.Addresses().Admin + "/readyz")
	if err != nil {
		q.Fatal(err)
	}
	defer resp.Body.Close()
	page := make([]byte, 4096)
	n, _ := resp.Body.Read(page)
	for _, want := range []string{"ready\n", "no CRL of the foreign CA default/walled was fetched yet", "the CRL of the foreign CA default/partner ends at"} {
		if !strings.Contains(string(page[:n]), want) {
			q.Errorf("/readyz, %s, lacks %q:\n%s", resp.Status, want, page[:n])
		}
	}
}

// ends publishes lists that end soon until one was taken up and has ended: on a
// slow machine one may end before anybody looked.
func (q *foreignAsker) ends(serial string) {
	q.Helper()
	for range 10 {
		q.o.publish(q.T, q.list(5))
		for range 100 {
			if strings.Contains(q.ask("partner", "-serial", serial), "Responder Error: trylater") {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	q.Fatal("a list that has ended is answered from")
}
