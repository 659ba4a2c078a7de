package interop

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// lists is a daemon's CRLs as openssl, curl and certtool see them.
type lists struct {
	*operator
	*site
	dir     string
	issuing string // PEM file
	root    string
}

func startLists(t *testing.T, lines string) *lists {
	t.Helper()
	s := start(t, lines)
	l := &lists{site: s, dir: t.TempDir(), root: s.File("root.pem")}
	overlay := filepath.Join(l.dir, "operator.yaml")
	if err := os.WriteFile(overlay, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	l.operator = &operator{t, harness.Binary(t), []string{"--dev", "--data", filepath.Dir(l.root), "--config", overlay}}
	l.issuing = s.File("chain.pem")
	return l
}

func (l *lists) url(name string) string {
	return "http://" + l.Addresses().HTTP + "/crl/default/issuing/" + name + ".crl"
}

// fetch gets a list with curl and gives the name of a PEM file, or "" for 404.
func (l *lists) fetch(name string) string {
	l.T.Helper()
	der, file := filepath.Join(l.dir, name+".der"), filepath.Join(l.dir, name+".pem")
	status, err := exec.Command("curl", "-s", "-o", der, "-w", "%{http_code} %{content_type}", l.url(name)).Output()
	if err != nil {
		l.T.Fatal(err)
	}
	if string(status) != "200 application/pkix-crl" {
		l.T.Fatalf("GET %s: %s", l.url(name), status)
	}
	openssl(l.T, "crl", "-inform", "DER", "-in", der, "-outform", "PEM", "-out", file)
	return file
}

// lists tells whether a list has a certificate.
func (l *lists) has(name string, leaf *x509.Certificate) bool {
	l.T.Helper()
	text := openssl(l.T, "crl", "-noout", "-text", "-in", l.fetch(name))
	return strings.Contains(text, fmt.Sprintf("Serial Number: %032X", leaf.SerialNumber))
}

// awaits asks again until the list has the certificate.
func (l *lists) awaits(name string, leaf *x509.Certificate) {
	l.T.Helper()
	for range 300 { // 30 s, reached only where it never comes
		if l.has(name, leaf) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.T.Fatalf("list %s never had %032x", name, leaf.SerialNumber)
}

// number reads a list's CRL number with openssl.
func (l *lists) number(name string) int64 {
	l.T.Helper()
	text := openssl(l.T, "crl", "-noout", "-crlnumber", "-in", l.fetch(name))
	n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(text, "crlNumber=")), "0x"), 16, 64)
	if err != nil {
		l.T.Fatalf("number of %s: %q", name, text)
	}
	return n
}

// verifies has openssl verify a certificate with lists; what is in the answer
// it must say, and "" that all is well.
func (l *lists) verifies(leaf *x509.Certificate, says string, lists []string, flags ...string) {
	l.T.Helper()
	file := filepath.Join(l.dir, "leaf.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), 0o600); err != nil {
		l.T.Fatal(err)
	}
	args := []string{"verify", "-CAfile", l.root, "-untrusted", l.issuing}
	for _, list := range lists {
		args = append(args, "-CRLfile", list)
	}
	out, err := exec.Command("openssl", append(append(args, flags...), file)...).CombinedOutput()
	if (err == nil) != (says == "") || !strings.Contains(string(out), says) {
		l.T.Errorf("openssl %s: %v, want %q\n%s", strings.Join(append(args, flags...), " "), err, says, out)
	}
}

func (l *lists) revoke(leaf *x509.Certificate) {
	l.T.Helper()
	l.run(0, "cert", "revoke", fmt.Sprintf("%032x", leaf.SerialNumber), "--reason", "keyCompromise", "--yes")
}

// rootList has openssl sign a list with the root's key, as an offline root does.
func (l *lists) rootList(number string) string {
	l.T.Helper()
	config := filepath.Join(l.dir, "root.cnf")
	for name, text := range map[string]string{"index.txt": "", "number": number + "\n",
		"root.cnf": fmt.Sprintf("[ca]\ndefault_ca=x\n[x]\ndatabase=%[1]s/index.txt\ncrlnumber=%[1]s/number\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n", l.dir)} {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
			l.T.Fatal(err)
		}
	}
	data := filepath.Dir(l.root)
	out := filepath.Join(l.dir, "root-"+number+".crl")
	openssl(l.T, "ca", "-config", config, "-gencrl", "-crldays", "30", "-keyfile", filepath.Join(data, "keys", "root.pem"),
		"-passin", "file:"+filepath.Join(data, "secrets", "ca-password"), "-cert", l.root, "-out", out)
	return out
}

// TestCRLs: what clients that nobody here wrote make of the complete and the
// delta list, before and after a revocation.
func TestCRLs(t *testing.T) {
	harness.NeedPrograms(t)
	for name, lines := range withTokens("crl: {on_revocation: 1s, delta_interval: 10m}") {
		t.Run(name, func(t *testing.T) {
			l := startLists(t, lines(t))
			leaves := l.enroll(t, "good.example", "bad.example")
			good, bad := leaves[0], leaves[1]
			_, port, _ := strings.Cut(l.Addresses().HTTP, ":")
			want := "http://localhost:" + port + "/crl/default/issuing/g1.crl"
			if got := good.CRLDistributionPoints; len(got) != 1 || got[0] != want {
				t.Fatalf("the certificate names %q, want %s", got, want)
			}
			l.headers()
			first := l.fetch("g1")
			if out := openssl(t, "crl", "-in", first, "-noout", "-verify", "-CAfile", l.issuing); !strings.Contains(out, "verify OK") {
				t.Errorf("openssl crl -verify: %s", out)
			}
			text := openssl(t, "crl", "-in", first, "-noout", "-text")
			for _, part := range []string{"Version 2", "X509v3 Freshest CRL", want[:len(want)-len(".crl")] + "-delta.crl", "X509v3 CRL Number", "X509v3 Authority Key Identifier"} {
				if !strings.Contains(text, part) {
					t.Errorf("the complete list has no %q:\n%s", part, text)
				}
			}
			if strings.Contains(text, "Issuing Distribution Point") {
				t.Error("the complete list has an issuingDistributionPoint")
			}
			l.verifies(good, "", []string{first}, "-crl_check")
			l.verifies(bad, "", []string{first}, "-crl_check")
			// The issuing CA's certificate names the root's list, which is there from the beginning.
			named := l.fetch(l.rootListName())
			l.verifies(good, "", []string{named, first}, "-crl_check_all")
			if read(t, named) != read(t, l.File("root.crl")) {
				t.Error("another list of the root is served than was written beside its certificate")
			}

			root := l.imports()
			l.revoke(bad)
			l.awaits("g1-delta", bad)
			if l.has("g1", bad) {
				t.Error("a complete list was made where a delta does")
			}
			base, delta := l.fetch("g1"), l.fetch("g1-delta")
			if out := openssl(t, "crl", "-in", delta, "-noout", "-text"); !strings.Contains(out, "X509v3 Delta CRL Indicator: critical") {
				t.Errorf("the delta says:\n%s", out)
			}
			l.verifies(bad, "", []string{base}, "-crl_check") // the base alone does not know yet
			l.verifies(bad, "certificate revoked", []string{root, base, delta}, "-crl_check_all", "-use_deltas")
			l.verifies(good, "", []string{root, base, delta}, "-crl_check_all", "-use_deltas")

			numbers := []int64{l.number("g1"), l.number("g1-delta")}
			for range 2 {
				l.run(0, "crl", "publish", "--tenant", "default", "--ca", "issuing")
				numbers = append(numbers, l.number("g1"), l.number("g1-delta"))
			}
			for i := 1; i < len(numbers); i++ {
				if numbers[i] <= numbers[i-1] {
					t.Errorf("numbers do not rise: %d", numbers)
				}
			}
			l.verifies(bad, "certificate revoked", []string{l.fetch("g1")}, "-crl_check")
			l.verifies(good, "", []string{l.fetch("g1")}, "-crl_check")
			if out, err := exec.Command("certtool", "--crl-info", "--infile", l.fetch("g1")).CombinedOutput(); err != nil ||
				!strings.Contains(string(out), "Revoked certificates (1)") || !strings.Contains(strings.ToLower(string(out)), fmt.Sprintf("%032x", bad.SerialNumber)) {
				t.Errorf("certtool --crl-info: %v\n%s", err, out)
			}
			var all []struct {
				List    string
				Entries int
				Path    string
			}
			l.ask(&all, "crl", "list")
			if len(all) != 3 || all[0].List != "g1" || all[0].Entries != 1 || all[1].List != "g1-delta" || !strings.HasPrefix(all[2].List, "issuer-") {
				t.Errorf("crl list: %+v", all)
			}
		})
	}
}

// headers: caches learn how long a list is good, and conditional requests are answered.
func (l *lists) headers() {
	l.T.Helper()
	out, err := exec.Command("curl", "-sI", l.url("g1")).Output()
	if err != nil {
		l.T.Fatal(err)
	}
	header := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			header[strings.ToLower(k)] = v
		}
	}
	age, err := strconv.Atoi(strings.TrimPrefix(header["cache-control"], "public, max-age="))
	if err != nil || age < 60 || age > 3600 || header["last-modified"] == "" || header["content-type"] != "application/pkix-crl" || header["content-length"] == "0" {
		l.T.Errorf("header %q", header)
	}
	for _, condition := range []string{"If-None-Match: " + header["etag"], "If-Modified-Since: " + header["last-modified"]} {
		if out, err := exec.Command("curl", "-s", "-o", os.DevNull, "-w", "%{http_code}", "-H", condition, l.url("g1")).Output(); err != nil || string(out) != "304" {
			l.T.Errorf("%s: %s, %v", condition, out, err)
		}
	}
	for _, wrong := range []string{"https://" + l.Addresses().HTTPS, "http://" + l.Addresses().Admin} {
		if out, err := exec.Command("curl", "-sk", "-o", os.DevNull, "-w", "%{http_code}", wrong+"/crl/default/issuing/g1.crl").Output(); err != nil || string(out) != "421" {
			l.T.Errorf("%s: %s, %v", wrong, out, err)
		}
	}
	for _, unknown := range []string{"g2", "g1-s1", "issuer-00"} {
		response, err := http.Get(l.url(unknown))
		if err != nil {
			l.T.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			l.T.Errorf("%s: %s", unknown, response.Status)
		}
	}
}

// rootListName reads in the issuing CA's certificate which list it is checked against.
func (l *lists) rootListName() string {
	l.T.Helper()
	text := openssl(l.T, "x509", "-in", l.issuing, "-noout", "-ext", "crlDistributionPoints")
	_, name, found := strings.Cut(text, "/crl/default/issuing/")
	name, _, ended := strings.Cut(name, ".crl")
	if !found || !ended {
		l.T.Fatalf("the issuing CA's certificate says %s", text)
	}
	return name
}

// imports hands the root's list to the daemon, which serves it as it is.
func (l *lists) imports() (file string) {
	l.T.Helper()
	older, list := l.rootList("10"), l.rootList("11")
	var done []struct{ List, Path string }
	l.ask(&done, "crl", "import", "--tenant", "default", "--file", list)
	if len(done) != 1 || !strings.HasPrefix(done[0].List, "issuer-") || done[0].Path != "/crl/default/issuing/"+done[0].List+".crl" {
		l.T.Fatalf("import: %+v", done)
	}
	for _, again := range []string{list, older} {
		if _, stderr := l.run(1, "crl", "import", "--tenant", "default", "--file", again); !strings.Contains(stderr, "was imported already") {
			l.T.Errorf("imported again: %s", stderr)
		}
	}
	if _, stderr := l.run(1, "crl", "import", "--tenant", "default", "--file", l.fetch("g1")); !strings.Contains(stderr, "no CA certificate above") {
		l.T.Errorf("the CA's own list: %s", stderr)
	}
	served, signed := "", openssl(l.T, "crl", "-in", list)
	for range 100 { // the first list of the root is served until then
		file = l.fetch(done[0].List)
		if served = read(l.T, file); served == signed {
			return file
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.T.Errorf("served:\n%s\nsigned:\n%s", served, signed)
	return file
}

// TestShardedCRLs: a certificate names the list of its shard, which openssl
// takes for it and no other does.
func TestShardedCRLs(t *testing.T) {
	harness.NeedPrograms(t)
	l := startLists(t, "cas: [{id: issuing, crl: {on_revocation: 1s, shards: 2}}]\n")
	leaf := l.enroll(t, "host.example")[0]
	shard := 1 + binary.BigEndian.Uint32(leaf.SerialNumber.FillBytes(make([]byte, 16))[2:6])%2
	name, other := fmt.Sprintf("g1-s%d", shard), fmt.Sprintf("g1-s%d", 3-shard)
	_, port, _ := strings.Cut(l.Addresses().HTTP, ":")
	if got := leaf.CRLDistributionPoints; len(got) != 1 || got[0] != "http://localhost:"+port+"/crl/default/issuing/"+name+".crl" {
		t.Fatalf("the certificate names %q, its shard is %s", got, name)
	}
	if text := openssl(t, "crl", "-noout", "-text", "-in", l.fetch(name)); !strings.Contains(text, "Issuing Distribution Point: critical") || !strings.Contains(text, leaf.CRLDistributionPoints[0]) {
		t.Errorf("shard:\n%s", text)
	}
	l.verifies(leaf, "", []string{l.fetch(name)}, "-crl_check", "-extended_crl")
	l.verifies(leaf, "different CRL scope", []string{l.fetch(other)}, "-crl_check", "-extended_crl")
	l.revoke(leaf)
	l.awaits(name, leaf)
	l.awaits("g1", leaf)
	if l.has(other, leaf) {
		t.Error("another shard has the certificate")
	}
	l.verifies(leaf, "certificate revoked", []string{l.fetch(name)}, "-crl_check", "-extended_crl")
	l.verifies(leaf, "certificate revoked", []string{l.fetch("g1")}, "-crl_check")
}
