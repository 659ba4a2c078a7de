package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/config"
)

// The dev defaults: one tenant, one issuing CA, a bound profile for every door
// that exists.
const (
	devTenant = "default"
	devCA     = "issuing"
)

var devTemplate = template.Must(template.New("dev").Parse(`
listen: {https: "127.0.0.1:8443", http: "127.0.0.1:8080", est: "127.0.0.1:9443", admin: "127.0.0.1:8444"}
store: {url: "sqlite://{{.}}/enrollgate.db"}
seal: {key: "file:{{.}}/secrets/seal.key"}
admin: {socket: "{{.}}/enrollgate.sock"}
tenants:
  - {id: default, name: "Development"}
cas:
  - {id: issuing, tenant: default, key: "file:{{.}}/keys/issuing.pem", key_password: "file:{{.}}/secrets/ca-password", ra: {enabled: true}}
endpoints:
  - {id: acme-client-server, protocol: acme, tenant: default, ca: issuing, profile: privatessl-tls-client-server, authentication: [[acme-account], [acme-account, eab]]}
  - {id: acme-server, protocol: acme, tenant: default, ca: issuing, profile: privatessl-tls-server, authentication: [[acme-account], [acme-account, eab]]}
  - {id: est-digital-signature, protocol: est, tenant: default, ca: issuing, profile: est-digital-signature, authentication: [[password], [certificate]]}
  - {id: scep-dual, protocol: scep, tenant: default, ca: issuing, profile: scep-digital-signature-key-encipherment, authentication: [[scep-secret], [certificate]]}
est: {default: est-digital-signature}
acme:
  http01: {port: 5002}
  tlsalpn01: {port: 5001}
  allow_targets: ["127.0.0.0/8", "::1/128"]
  localhost_to_loopback: true
  rate_limits: {accounts_per_network: none, orders_per_account: none, orders_per_identifier: none, orders_per_network: none}
`))

// devDefaults is the configuration that --dev starts from.
func devDefaults(dir string) []byte {
	var b strings.Builder
	if err := devTemplate.Execute(&b, dir); err != nil {
		panic(err) // constant template, text argument
	}
	return []byte(b.String())
}

// prepareDev makes the folder and its secrets on the first start and leaves
// them alone on every other.
func prepareDev(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, "secrets"), filepath.Join(dir, "keys")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	for _, name := range []string{"seal.key", "ca-password"} {
		secret := make([]byte, 32)
		rand.Read(secret) // never fails (crypto/rand)
		err := writeNew(filepath.Join(dir, "secrets", name), []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// writeNew writes a file that must not exist.
func writeNew(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// writeTrust writes what clients need: root.pem and chain.pem.
func writeTrust(dir string, root []byte, chain [][]byte) error {
	block := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	var all []byte
	for _, der := range chain {
		all = append(all, block(der)...)
	}
	files := map[string][]byte{"root.pem": block(root), "chain.pem": append(all, block(root)...)}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// welcome says loudly what this is, and prints commands that work when pasted.
func welcome(w io.Writer, dir string, cfg *config.Config) {
	fmt.Fprintf(w, `
  DEVELOPMENT MODE: keys, secrets and the CA under %s are for trying things out.
  Loopback names may be validated, and profiles of ACME, EST and SCEP were bound for you.

Trust anchor: %s
`, dir, filepath.Join(dir, "root.pem"))
	if len(cfg.Endpoints) == 0 {
		return
	}
	fmt.Fprintln(w, "\nEnrollment URLs:")
	for _, e := range cfg.Endpoints {
		fmt.Fprintf(w, "  %-5s %s\n", e.Door, cfg.URL(&e))
	}
	for i := range cfg.Endpoints {
		if e := &cfg.Endpoints[i]; e.Door == caller.ACME {
			welcomeACME(w, dir, cfg, e)
			break
		}
	}
	for i := range cfg.Endpoints {
		if e := &cfg.Endpoints[i]; e.Door == caller.EST {
			welcomeEST(w, dir, cfg, e)
			break
		}
	}
	for i := range cfg.Endpoints {
		if e := &cfg.Endpoints[i]; e.Door == caller.SCEP {
			welcomeSCEP(w, dir, cfg, e)
			break
		}
	}
}

func welcomeACME(w io.Writer, dir string, cfg *config.Config, e *ca.Endpoint) {
	fmt.Fprintf(w, `
Get a certificate with certbot (apt install certbot), in a second terminal:
  REQUESTS_CA_BUNDLE=%[1]s/root.pem certbot certonly --standalone --non-interactive --agree-tos \
    --register-unsafely-without-email --server %[2]s \
    --http-01-port %[3]d --http-01-address 127.0.0.1 -d test.localhost \
    --config-dir %[1]s/certbot --work-dir %[1]s/certbot --logs-dir %[1]s/certbot

`, dir, cfg.URL(e), cfg.ACME.HTTP01.Port)
}

func welcomeEST(w io.Writer, dir string, cfg *config.Config, e *ca.Endpoint) {
	fmt.Fprintf(w, `Or by EST with openssl and curl (user name and password: %[1]s/dev-credentials.json):
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %[1]s/device.key \
    -subj /CN=device-1 -outform DER | openssl base64 > %[1]s/device.b64
  curl --cacert %[1]s/root.pem --user "$(sed 's/.*"username":"\([^"]*\)","password":"\([^"]*\)".*/\1:\2/' %[1]s/dev-credentials.json)" \
    -H "Content-Type: application/pkcs10" --data-binary @%[1]s/device.b64 \
    %[2]s/simpleenroll | openssl base64 -d | openssl pkcs7 -inform DER -print_certs

`, dir, cfg.URL(e))
}

func welcomeSCEP(w io.Writer, dir string, cfg *config.Config, e *ca.Endpoint) {
	fmt.Fprintf(w, `Or by SCEP with strongSwan (apt install strongswan-pki libstrongswan-extra-plugins):
  pki --scepca --url %[2]s \
    --caout %[1]s/scep-ca.pem --raout %[1]s/scep-ra.pem --outform pem --force
  openssl genrsa -out %[1]s/router.key 2048
  pki --scep --url %[2]s --in %[1]s/router.key \
    --dn CN=router-1 --password "$(sed 's/.*"challenge":"\([^"]*\)".*/\1/' %[1]s/dev-credentials.json)" \
    --cacert-enc %[1]s/scep-ra.pem --cacert-sig %[1]s/scep-ca-1.pem --cacert %[1]s/scep-ca.pem --outform pem

`, dir, cfg.URL(e))
}

// externalURL is how clients on this machine reach a bound address.
func externalURL(scheme, bound string) (string, error) {
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}
