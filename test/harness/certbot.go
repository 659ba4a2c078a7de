package harness

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// certbotLimit bounds one run of certbot.
const certbotLimit = 3 * time.Minute

// CertbotClient runs the distribution's certbot, unmodified, with folders of
// its own: it needs no root and touches nothing below /etc or /var.
type CertbotClient struct {
	t        testing.TB
	dir      string
	rootPEM  string
	httpPort int
}

// Certbot prepares a client that trusts the root certificate in rootPEM for
// TLS and, as --standalone, answers http-01 on 127.0.0.1:httpPort (see
// [FreePort]; the daemon must be told to ask that port).
func Certbot(t testing.TB, rootPEM string, httpPort int) *CertbotClient {
	t.Helper()
	NeedPrograms(t)
	return &CertbotClient{t: t, dir: t.TempDir(), rootPEM: rootPEM, httpPort: httpPort}
}

// Run runs `certbot args...` without questions, for example Run("certonly",
// "--server", url, "-d", "a.test", "--agree-tos", "-m", "a@a.test"). certonly
// and run get the standalone authenticator unless --manual is there; renew does
// what certbot remembers of them. An error is
// *exec.ExitError when certbot itself failed.
func (c *CertbotClient) Run(args ...string) (stdout, stderr string, err error) {
	c.t.Helper()
	path, err := exec.LookPath("certbot")
	if err != nil {
		c.t.Fatalf("harness: %v; run test/tools/install.sh", err)
	}
	all := append([]string{}, args...)
	all = append(all, "--non-interactive", "--config-dir", filepath.Join(c.dir, "config"),
		"--work-dir", filepath.Join(c.dir, "work"), "--logs-dir", filepath.Join(c.dir, "logs"))
	proves := len(args) > 0 && (args[0] == "certonly" || args[0] == "run")
	if proves && !slices.Contains(args, "--manual") {
		all = append(all, "--standalone", "--http-01-port", strconv.Itoa(c.httpPort), "--http-01-address", "127.0.0.1")
	}
	ctx, cancel := context.WithTimeout(context.Background(), certbotLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, all...)
	cmd.Dir = c.dir
	// HOME is ours so that the user's own cli.ini is not read.
	cmd.Env = append(os.Environ(), "HOME="+c.dir, "XDG_CONFIG_HOME="+c.dir, "REQUESTS_CA_BUNDLE="+c.rootPEM, "LC_ALL=C.UTF-8")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// MustRun is Run that fails the test, with what certbot said, on an error.
func (c *CertbotClient) MustRun(args ...string) (stdout string) {
	c.t.Helper()
	stdout, stderr, err := c.Run(args...)
	if err != nil {
		c.t.Fatalf("certbot %q: %v\nstdout:\n%s\nstderr:\n%s\nlog:\n%s", args, err, stdout, stderr, c.Log())
	}
	return stdout
}

// Live returns the path of a file of a certificate that certbot keeps: name is
// cert.pem, chain.pem, fullchain.pem or privkey.pem.
func (c *CertbotClient) Live(certName, name string) string {
	return filepath.Join(c.dir, "config", "live", certName, name)
}

// Log returns certbot's own log of its last run.
func (c *CertbotClient) Log() string {
	log, err := os.ReadFile(filepath.Join(c.dir, "logs", "letsencrypt.log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}
