package interop

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestOwnTLS installs a daemon as an operator would, on a configuration and
// without dev mode: tables, a CA, and a TLS certificate that the gateway enrolls
// itself and shows again after a restart. certbot enrolls against it.
func TestOwnTLS(t *testing.T) {
	harness.NeedPrograms(t)
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := install(t, lines(t), ", allow_targets: [127.0.0.1/32]")
			first := harness.Start(t, "serve", "--config", on.config)
			shown := serverSerial(t, on.https, on.root)
			certbot := harness.Certbot(t, on.root, on.port)
			certbot.MustRun("certonly", "--server", on.directory, "--agree-tos", "--register-unsafely-without-email", "-d", "host.example", "--cert-name", "host")
			first.Stop()

			harness.Start(t, "serve", "--config", on.config)
			if again := serverSerial(t, on.https, on.root); again != shown {
				t.Errorf("a restart shows another certificate: %s, before %s", again, shown)
			}
			if info, err := os.Stat(filepath.Join(filepath.Dir(on.config), "tls.pem")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file with the key: %v, %v", info, err)
			}
		})
	}
}

// installation is a daemon as an operator installs it: a configuration, tables and a CA.
type installation struct {
	config, root string // files
	https        string // host:port
	directory    string // of the ACME endpoint
	port         int    // asked for http-01
	dns          *harness.DNSServer
}

// install prepares a daemon without starting it; acme are further settings of acme.
func install(t *testing.T, store, acme string) installation {
	t.Helper()
	dir := t.TempDir()
	if store == "" {
		store = fmt.Sprintf("store: {url: %q}\n", "sqlite://"+filepath.Join(dir, "enrollgate.db"))
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"password", "seal"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	https, admin := harness.FreePort(t), harness.FreePort(t)
	on := installation{
		config: filepath.Join(dir, "enrollgate.yaml"), root: filepath.Join(dir, "root.crt"), https: fmt.Sprintf("127.0.0.1:%d", https),
		directory: fmt.Sprintf("https://localhost:%d/acme/default/issuing/privatessl-tls-server/directory", https),
		port:      harness.FreePort(t), dns: harness.DNS(t),
	}
	text := store + fmt.Sprintf(`
listen: {https: "127.0.0.1:%[2]d", admin: "127.0.0.1:%[3]d"}
base_url: {https: "https://localhost:%[2]d"}
tls: {issue: {tenant: default, ca: issuing}, store: "%[1]s/tls.pem"}
seal: {key: "file:%[1]s/seal"}
tenants: [{id: default}]
cas: [{id: issuing, tenant: default, key: "file:%[1]s/issuing.pem", key_password: "file:%[1]s/password"}]
endpoints: [{id: acme, protocol: acme, tenant: default, ca: issuing, profile: privatessl-tls-server, authentication: [[acme-account]]}]
acme: {resolvers: [%[5]q], http01: {port: %[4]d}%[6]s}
`, dir, https, admin, on.port, on.dns.Addr(), acme)
	if err := os.WriteFile(on.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	enrollgate(t, "migrate", "--config", on.config)
	root := enrollgate(t, "ca", "create", "--config", on.config, "--tenant", "default", "--ca", "issuing",
		"--name", "Example", "--root-key", "file:"+filepath.Join(dir, "root.pem"))
	if err := os.WriteFile(on.root, root, 0o600); err != nil {
		t.Fatal(err)
	}
	return on
}

// enrollgate runs the binary and gives its standard output.
func enrollgate(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(harness.Binary(t), args...).Output()
	if err != nil {
		t.Fatalf("enrollgate %q: %v", args, err)
	}
	return out
}

// serverSerial connects as localhost, trusting root alone, and gives the serial
// number of the certificate that is shown.
func serverSerial(t *testing.T, address, root string) string {
	t.Helper()
	pool := x509.NewCertPool()
	for block, rest := pem.Decode([]byte(read(t, root))); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		pool.AddCert(cert)
	}
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Text(16)
}
