package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestNewcomer starts the daemon as README says, on embedded defaults, and
// pastes the command that it prints. A second start keeps everything.
func TestNewcomer(t *testing.T) {
	harness.NeedPrograms(t)
	dir := t.TempDir()
	overlay := filepath.Join(t.TempDir(), "port.yaml") // the default port may be taken on a shared machine
	if err := os.WriteFile(overlay, fmt.Appendf(nil, "acme: {http01: {port: %d}}\n", harness.FreePort(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	first := harness.StartDev(t, "--data", dir, "--config", overlay)
	paste(t, first.Stdout())
	cert := filepath.Join(dir, "certbot", "live", "test.localhost", "cert.pem")
	chain := filepath.Join(dir, "certbot", "live", "test.localhost", "chain.pem")
	openssl(t, "verify", "-CAfile", first.File("root.pem"), "-untrusted", chain, cert)
	root, credentials := read(t, first.File("root.pem")), read(t, first.File("dev-credentials.json"))
	address := first.Addresses()
	first.Stop()

	second := harness.StartDev(t, "--data", dir, "--config", overlay, "--https", address.HTTPS)
	if read(t, second.File("root.pem")) != root {
		t.Error("the second start made another CA")
	}
	if read(t, second.File("dev-credentials.json")) != credentials || !strings.Contains(credentials, `{"acme":{"kid":"`) {
		t.Errorf("the second start made other credentials than %q", credentials)
	}
	paste(t, strings.Replace(second.Stdout(), "certonly", "certonly --force-renewal", 1))
}

// paste runs the certbot command of the daemon's welcome in a shell.
func paste(t *testing.T, stdout string) {
	t.Helper()
	_, rest, ok := strings.Cut(stdout, "in a second terminal:\n")
	command, _, ended := strings.Cut(rest, "\n\n")
	if !ok || !ended || !strings.Contains(command, "certbot certonly") {
		t.Fatalf("no command to paste in:\n%s", stdout)
	}
	sh := exec.Command("sh", "-c", command)
	sh.Dir = t.TempDir()
	sh.Env = append(os.Environ(), "HOME="+sh.Dir, "LC_ALL=C.UTF-8")
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v\n%s", command, err, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
