package interop

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// estUser is what `credential create --json` and dev-credentials.json give.
type estUser struct{ Username, Password string }

// estDoor is the EST endpoint of a dev daemon.
type estDoor struct {
	*site
	url  string
	keys string // URL of the endpoint that makes keys
	kept string // folder of what clients have
}

// TestEST has clients that nobody here wrote enroll and renew by EST.
func TestEST(t *testing.T) {
	harness.NeedPrograms(t)
	for store, lines := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel() // clients mostly wait
			d := &estDoor{site: start(t, lines(t)+madeKeys), kept: t.TempDir()}
			var list []struct{ Protocol, Profile, URL string }
			if err := json.Unmarshal(enrollgate(t, append([]string{"urls", "--json"}, d.flags...)...), &list); err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				switch e.Profile {
				case "est-digital-signature":
					d.url = e.URL
				case "est-made-keys":
					d.keys = e.URL
				}
			}
			t.Run("the printed command", d.pasted)
			t.Run("curl and openssl", d.curl)
			t.Run("an enrollment code", d.code)
			t.Run("globalsign", d.globalsign)
			t.Run("a key made here", d.made)
			t.Run("an encrypted key", d.encrypted)
			t.Run("a key for a certificate", d.encryptedTo)
			t.Run("full CMC", d.cmc)
		})
	}
}

// sh runs a shell command.
func sh(t *testing.T, command string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "sh", "-ec", command)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("%s\n%v\n%s%s", command, err, out.String(), errs.String())
	}
	return out.String()
}

// pasted runs what `serve --dev` prints.
func (d *estDoor) pasted(t *testing.T) {
	_, rest, found := strings.Cut(d.Stdout(), "Or by EST")
	_, rest, _ = strings.Cut(rest, "\n")
	command, _, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatal(d.Stdout())
	}
	if out := sh(t, command); !strings.Contains(out, "-----BEGIN CERTIFICATE-----") || !strings.Contains(out, "device-1") {
		t.Error(out)
	}
}

// user gives the dev daemon's own credential.
func (d *estDoor) user(t *testing.T) estUser {
	t.Helper()
	var all struct{ EST estUser }
	text, err := os.ReadFile(d.File("dev-credentials.json"))
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || all.EST.Password == "" {
		t.Fatal(err)
	}
	return all.EST
}

// post has curl send a request, and gives the status and the certificate, in PEM.
func (d *estDoor) post(t *testing.T, operation, csr string, args ...string) (status, certificate string) {
	t.Helper()
	answer := filepath.Join(d.kept, operation+".b64")
	args = append(args, "-s", "-o", answer, "-w", "%{http_code}", "--cacert", d.File("root.pem"), "-H", "Content-Type: application/pkcs10",
		"--data-binary", "@"+csr, d.url+"/"+operation)
	out, err := exec.CommandContext(t.Context(), "curl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %q: %v\n%s", args, err, out)
	}
	if string(out) != "200" {
		return string(out), ""
	}
	return "200", sh(t, "openssl base64 -d -in "+answer+" | openssl pkcs7 -inform DER -print_certs | openssl x509")
}

// request has openssl make a key and a request in base64.
func (d *estDoor) request(t *testing.T, name string, args string) (csr, key string) {
	t.Helper()
	csr, key = filepath.Join(d.kept, name+".b64"), filepath.Join(d.kept, name+".key")
	sh(t, "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "+key+" "+args+" -outform DER | openssl base64 > "+csr)
	return csr, key
}

func (d *estDoor) curl(t *testing.T) {
	out := sh(t, "curl -s --cacert "+d.File("root.pem")+" "+d.url+"/cacerts | openssl base64 -d | openssl pkcs7 -inform DER -print_certs")
	if strings.Count(out, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("cacerts: %s", out)
	}
	if out = sh(t, "curl -s --cacert "+d.File("root.pem")+" "+d.url+"/csrattrs | openssl base64 -d | openssl asn1parse -inform DER"); !strings.Contains(out, "id-ecPublicKey") {
		t.Errorf("csrattrs: %s", out)
	}
	u := d.user(t)
	csr, key := d.request(t, "device-2", "-subj /CN=device-2 -addext subjectAltName=DNS:device-2.example")
	if status, _ := d.post(t, "simpleenroll", csr); status != "401" {
		t.Errorf("without a password: %s", status)
	}
	_, pemText := d.post(t, "simpleenroll", csr, "--user", u.Username+":"+u.Password)
	file := filepath.Join(d.kept, "device-2.pem")
	if err := os.WriteFile(file, []byte(pemText), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl(t, "verify", "-CAfile", d.File("root.pem"), "-untrusted", d.File("chain.pem"), file)
	next, nextKey := d.request(t, "device-2-next", "-subj /CN=device-2 -addext subjectAltName=DNS:device-2.example")
	before, with := pemText, []string{"--cert", file, "--key", key}
	if _, pemText = d.post(t, "simplereenroll", next, append(with, "--tlsv1.3")...); pemText == "" || pemText == before {
		t.Fatalf("renewed: %s", pemText)
	}
	if _, again := d.post(t, "simplereenroll", next, append(with, "--tls-max", "1.2")...); again != pemText {
		t.Errorf("the retry in another version of TLS: %s", again)
	}
	renewed := filepath.Join(d.kept, "device-2-next.pem")
	if err := os.WriteFile(renewed, []byte(pemText), 0o600); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(pemText))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	enrollgate(t, append([]string{"cert", "revoke", c.SerialNumber.Text(16), "--reason", "keyCompromise", "--yes"}, d.flags...)...)
	if status, _ := d.post(t, "simplereenroll", next, "--cert", renewed, "--key", nextKey); status != "403" {
		t.Errorf("by a revoked certificate: %s", status)
	}
}

// code uses a credential of one use, as an operator gives it to a device.
func (d *estDoor) code(t *testing.T) {
	var u estUser
	if err := json.Unmarshal(enrollgate(t, append([]string{"credential", "create", "--json", "--protocol", "est", "--profile", "est-digital-signature", "--name", "*.code.example"}, d.flags...)...), &u); err != nil || u.Password == "" {
		t.Fatal(u, err)
	}
	csr, _ := d.request(t, "device-3", "-subj /CN=a.code.example -addext subjectAltName=DNS:a.code.example")
	other, _ := d.request(t, "device-4", "-subj /CN=b.code.example -addext subjectAltName=DNS:b.code.example")
	foreign, _ := d.request(t, "device-5", "-subj /CN=device-5 -addext subjectAltName=DNS:a.example")
	named, _ := d.request(t, "device-6", "-subj /CN=device-6 -addext subjectAltName=DNS:a.code.example")
	as := []string{"--user", u.Username + ":" + u.Password}
	if status, _ := d.post(t, "simpleenroll", foreign, as...); status != "403" {
		t.Errorf("a name that the code is not for: %s", status)
	}
	if status, _ := d.post(t, "simpleenroll", named, as...); status != "403" {
		t.Errorf("a CN that the code is not for: %s", status)
	}
	_, first := d.post(t, "simpleenroll", csr, as...)
	if _, again := d.post(t, "simpleenroll", csr, as...); again != first || first == "" {
		t.Errorf("the retry:\n%s\nthe first:\n%s", again, first)
	}
	if status, _ := d.post(t, "simpleenroll", other, as...); status != "401" {
		t.Errorf("a second device: %s", status)
	}
}

// estclient is globalsign's client, at the version that its module pins.
func estclient(t *testing.T) string {
	t.Helper()
	return harness.ClientBinary(t, "test/interop/globalsign", "github.com/globalsign/est/cmd/estclient")
}

// globalsign uses the client of globalsign.
func (d *estDoor) globalsign(t *testing.T) {
	path := estclient(t)
	at, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	label := strings.ReplaceAll(strings.TrimPrefix(at.Path, "/.well-known/est/"), "/", "_")
	file := func(name string) string { return filepath.Join(d.kept, name) }
	run := func(command string, args ...string) (string, error) {
		args = append([]string{command, "-server", at.Host, "-aps", label, "-explicit", d.File("root.pem")}, args...)
		out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		return string(out), err
	}
	must := func(command string, args ...string) string {
		t.Helper()
		out, err := run(command, args...)
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", command, args, err, out)
		}
		return out
	}
	refused := func(status, command string, args ...string) {
		t.Helper()
		if out, err := run(command, args...); err == nil || !strings.Contains(out, status) {
			t.Errorf("%s %q: %v, want %s\n%s", command, args, err, status, out)
		}
	}
	if out := must("cacerts"); strings.Count(out, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("cacerts: %s", out)
	}
	if out := must("csrattrs"); !strings.Contains(out, "id-ecPublicKey") && !strings.Contains(out, "1.2.840.10045.2.1") {
		t.Errorf("csrattrs: %s", out)
	}
	request := func(name, device string) string {
		sh(t, "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "+file(name+".key")+" -subj /CN="+device+" -addext subjectAltName=DNS:"+device+".example -out "+file(name+".csr"))
		return file(name + ".csr")
	}
	u := d.user(t)
	first := request("first", "device-6")
	refused("HTTP Basic", "enroll", "-csr", first)
	must("enroll", "-csr", first, "-user", u.Username, "-pass", u.Password, "-out", file("first.pem"))
	openssl(t, "verify", "-CAfile", d.File("root.pem"), "-untrusted", d.File("chain.pem"), file("first.pem"))
	by := []string{"-certs", file("first.pem"), "-key", file("first.key")}
	for name, csr := range map[string]string{"same": first, "rekeyed": request("rekeyed", "device-6")} {
		must("reenroll", append(by, "-csr", csr, "-out", file(name+".pem"))...)
		if subject := openssl(t, "x509", "-in", file(name+".pem"), "-noout", "-subject"); !strings.Contains(subject, "device-6") {
			t.Errorf("%s: %s", name, subject)
		}
	}
	refused("keeps the subject", "reenroll", append(by, "-csr", request("other", "device-7"))...)
}
