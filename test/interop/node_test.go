package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestNodeClient runs the documented script with acme-client for Node.js, and after
// it what else the client offers: renewal, another contact, another account key,
// revocation, the end of the account.
func TestNodeClient(t *testing.T) {
	harness.NeedPrograms(t)
	t.Parallel()
	s := start(t, postgresLines(t)+boundLines)
	d := &door{s, s.File("root.pem"), s.directory(t, "privatessl-tls-server"), t.TempDir()}
	key := s.externalAccount(t)
	script := read(t, "testdata/acme-client/before.mjs") + documented(t, "js",
		// The client looks every 5 s whether a challenge is valid unless told otherwise.
		"directoryUrl: 'DIRECTORY'", "backoffMin: 50, directoryUrl: '"+d.directory+"'",
		"KEYID", key.KID, "HMACKEY", key.HMAC) + read(t, "testdata/acme-client/after.mjs")
	dir := installed(t)
	if err := os.WriteFile(filepath.Join(dir, "enroll.mjs"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	// Node.js 18 tries the first address of localhost alone, which may be ::1.
	inFolder(t, dir, []string{"NODE_OPTIONS=--dns-result-order=ipv4first", "NODE_EXTRA_CA_CERTS=" + d.root, fmt.Sprintf("HTTP_PORT=%d", d.port)}, "node", "enroll.mjs")
	got := map[string]product{}
	for _, name := range []string{"first", "renewed", "rolled"} {
		chain := filepath.Join(dir, name+".pem")
		got[name] = product{method: "http-01", names: []string{"host.example.com"}, certificate: chain, chain: chain, key: filepath.Join(dir, name+"-key.pem")}
	}
	d.wantRevoked(t, got["rolled"], superseded, "acme-account:")
	first, renewed := d.holds(t, got["first"]), d.holds(t, got["renewed"])
	d.differ(t, first, renewed)
	d.differ(t, renewed, got["rolled"])
}

// installed gives a folder with the pinned client and what it requires.
func installed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(read(t, filepath.Join("testdata", "acme-client", name))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inFolder(t, dir, nil, "npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts")
	return dir
}

// inFolder runs a program in a folder, with more in its environment.
func inFolder(t *testing.T, dir string, env []string, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v; run test/tools/install.sh if it is missing\n%s", program, err, out)
	}
}
