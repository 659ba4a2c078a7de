package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestCaddy runs the distribution's Caddy with the documented Caddyfile: it binds an
// account, obtains a certificate, shows it, renews it and shows the new one.
func TestCaddy(t *testing.T) {
	harness.NeedPrograms(t)
	t.Parallel()
	s := start(t, boundLines)
	key := s.externalAccount(t)
	caddyfile := documented(t, "caddyfile", "DIRECTORY", s.directory(t, "privatessl-tls-server"), "/etc/caddy/root.pem", s.File("root.pem"),
		"KEYID", key.KID, "HMACKEY", key.HMAC, "host.example.com", "caddy.example")
	options, found := strings.CutPrefix(caddyfile, "{\n")
	if !found {
		t.Fatalf("the Caddyfile does not begin with its options:\n%s", caddyfile)
	}
	caddyfile = fmt.Sprintf("{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port %d\n\thttps_port %d\n\trenew_interval 1s\n%s", s.port, s.tls, options)
	cmd := caddy(t, "run", "--config", eager(t, caddyfile))
	harness.Serve(t, cmd, fmt.Sprintf("127.0.0.1:%d", s.tls))
	first := s.shows(t, s.tls, "caddy.example", nil)
	s.shows(t, s.tls, "caddy.example", first)
}

// eager makes JSON of a Caddyfile, with what a Caddyfile cannot say in Debian's
// version: that certificates are renewed during the whole of their life. The default
// is the last third.
func eager(t *testing.T, caddyfile string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	adapted, err := caddy(t, "adapt", "--config", file).Output()
	if err != nil {
		t.Fatalf("caddy adapt: %v\n%s", err, caddyfile)
	}
	const policies = `"policies":[{`
	text := strings.Replace(string(adapted), policies, policies+`"renewal_window_ratio":1,`, 1)
	if text == string(adapted) || !json.Valid([]byte(text)) {
		t.Fatalf("not the configuration that was thought of:\n%s", adapted)
	}
	file += ".json"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// caddy is a command with folders of its own.
func caddy(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("caddy", args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "XDG_DATA_HOME="+cmd.Dir, "XDG_CONFIG_HOME="+cmd.Dir)
	return cmd
}
