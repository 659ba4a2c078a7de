package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

func tokenPIN(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(file, []byte(harness.TokenPIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + file
}

// tokenKey gives the settings of a CA whose key is made in a token.
func tokenKey(t *testing.T, hsm *harness.Tokens, token string) string {
	t.Helper()
	return fmt.Sprintf("key: 'pkcs11:token=%s;object=issuing?module-path=%s', key_password: %q", strings.ReplaceAll(token, " ", "%20"), hsm.Module, tokenPIN(t))
}

// withTokens adds to the stores one whose CA has its key in SoftHSM, and its OCSP
// responder, too; settings are the CA's.
func withTokens(settings string) map[string]func(t *testing.T) string {
	all := map[string]func(t *testing.T) string{}
	for name, lines := range stores {
		all[name] = func(t *testing.T) string { return lines(t) + "cas: [{id: issuing, " + settings + "}]\n" }
	}
	all["keys in SoftHSM"] = func(t *testing.T) string {
		hsm := harness.SoftHSM(t)
		hsm.Add("status")
		hsm.Tool("status", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "ocsp")
		return fmt.Sprintf("cas: [{id: issuing, %s, %s, ocsp: {key: 'pkcs11:token=status;object=ocsp?module-path=%s', key_password: %q}}]\n", settings, tokenKey(t, hsm, "status"), hsm.Module, tokenPIN(t))
	}
	return all
}

// TestSoftHSM: the issuing CA's key is made in a token on the first start, and
// found there on the second; certbot enrolls from both.
func TestSoftHSM(t *testing.T) {
	harness.NeedPrograms(t)
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			hsm := harness.SoftHSM(t)
			hsm.Add("authority")
			dir := t.TempDir()
			text := lines(t) + fmt.Sprintf("cas: [{id: issuing, key: 'pkcs11:token=authority;object=issuing?module-path=%s', key_password: %q}]\n", hsm.Module, tokenPIN(t))
			for range 2 {
				s := start(t, text, "--data", dir)
				certbot := harness.Certbot(t, s.File("root.pem"), s.port)
				certbot.MustRun("certonly", "--server", s.directory(t, "privatessl-tls-server"), "--agree-tos", "--register-unsafely-without-email",
					"-d", "host.example", "--cert-name", "host")
				openssl(t, "verify", "-CAfile", s.File("root.pem"), "-untrusted", certbot.Live("host", "chain.pem"), certbot.Live("host", "cert.pem"))
				out := s.must(t, "doctor")
				for _, part := range []string{`token "authority", serial number `, "CKM_ECDSA (", "ecdsa-p256 at pkcs11:token=authority"} {
					if !strings.Contains(out, part) {
						t.Errorf("doctor does not say %q:\n%s", part, out)
					}
				}
				s.Stop()
			}
			if keys := hsm.Tool("authority", "--list-objects", "--type", "privkey"); strings.Count(keys, "Private Key Object") != 1 || !strings.Contains(keys, "never extractable") {
				t.Errorf("keys in the token:\n%s", keys)
			}
			if _, err := os.Stat(filepath.Join(dir, "keys", "issuing.pem")); !os.IsNotExist(err) {
				t.Errorf("the issuing key is a file too: %v", err)
			}
		})
	}
}

// TestTokenDiesAndReturns: both keys of a CA are in a token behind a server, which
// is killed and started again under a daemon that runs on.
func TestTokenDiesAndReturns(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("authority")
	server := hsm.Serve("authority")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "seal"), []byte("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), 0o600); err != nil {
		t.Fatal(err)
	}
	dns, https, admin, port := harness.DNS(t), harness.FreePort(t), harness.FreePort(t), harness.FreePort(t)
	config := filepath.Join(dir, "enrollgate.yaml")
	text := fmt.Sprintf(`
listen: {https: "127.0.0.1:%[2]d", admin: "127.0.0.1:%[3]d"}
base_url: {https: "https://localhost:%[2]d"}
tls: {issue: {tenant: default, ca: issuing}, store: "%[1]s/tls.pem"}
store: {url: "sqlite://%[1]s/enrollgate.db"}
seal: {key: "file:%[1]s/seal"}
pkcs11: {modules: [%[6]q], sessions: 1}
tenants: [{id: default}]
cas: [{id: issuing, tenant: default, key: "pkcs11:token=authority;object=issuing", key_password: %[7]q}]
endpoints: [{id: acme, protocol: acme, tenant: default, ca: issuing, profile: privatessl-tls-server, authentication: [[acme-account]]}]
acme: {resolvers: [%[5]q], allow_targets: [127.0.0.1/32], http01: {port: %[4]d}}
`, dir, https, admin, port, dns.Addr(), server.Module, tokenPIN(t))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	enrollgate(t, "migrate", "--config", config)
	root := filepath.Join(dir, "root.crt")
	if err := os.WriteFile(root, enrollgate(t, "ca", "create", "--config", config, "--tenant", "default", "--ca", "issuing",
		"--name", "Example", "--root-key", "pkcs11:token=authority;object=root"), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Start(t, "serve", "--config", config) // must still run at the end
	certbot := harness.Certbot(t, root, port)
	obtain := []string{"certonly", "--server", fmt.Sprintf("https://localhost:%d/acme/default/issuing/privatessl-tls-server/directory", https),
		"--agree-tos", "--register-unsafely-without-email", "--force-renewal", "-d", "host.example", "--cert-name", "host"}
	certbot.MustRun(obtain...)
	server.Kill()
	if _, _, err := certbot.Run(obtain...); err == nil {
		t.Error("a certificate without a token")
	}
	server.Start()
	certbot.MustRun(obtain...)
	openssl(t, "verify", "-CAfile", root, "-untrusted", certbot.Live("host", "chain.pem"), certbot.Live("host", "cert.pem"))
}
