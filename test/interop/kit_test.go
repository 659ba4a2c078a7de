// Package interop enrolls against the built binary, started as a user would,
// with clients that nobody here wrote.
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

func TestMain(m *testing.M) { harness.Main(m) }

// stores are what every conversation runs on: each gives the lines of the
// configuration that say so.
var stores = map[string]func(t *testing.T) string{
	"sqlite":   func(*testing.T) string { return "" },
	"postgres": postgresLines,
}

func postgresLines(t *testing.T) string {
	t.Helper()
	owner, runtime := harness.Postgres(t).Database(t)
	return harness.StoreLines(t, owner, runtime)
}

// site is a running daemon with the DNS it asks and the port it validates at.
type site struct {
	*harness.Process
	dns   *harness.DNSServer
	zone  *zone    // writes TXT records into dns
	port  int      // of http-01
	tls   int      // of tls-alpn-01
	flags []string // of commands on the same store
}

// start runs a dev daemon on a store, with test DNS and a free http-01 port.
func start(t *testing.T, storeLines string, args ...string) *site {
	t.Helper()
	s := &site{dns: harness.DNS(t), port: harness.FreePort(t), tls: harness.FreePort(t)}
	s.zone = &zone{dns: s.dns, texts: map[string][]string{}}
	file := filepath.Join(t.TempDir(), "enrollgate.yaml")
	text := storeLines + fmt.Sprintf("acme: {resolvers: [%q], http01: {port: %d}, tlsalpn01: {port: %d}}\n", s.dns.Addr(), s.port, s.tls)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Process = harness.StartDev(t, append([]string{"--config", file}, args...)...)
	s.flags = []string{"--dev", "--data", filepath.Dir(s.File("root.pem")), "--config", file}
	return s
}

// directory asks the binary for the URL of an ACME endpoint.
func (s *site) directory(t *testing.T, profile string) string {
	t.Helper()
	out := enrollgate(t, append([]string{"urls", "--json"}, s.flags...)...)
	var list []struct{ Protocol, Profile, URL string }
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Protocol == "acme" && e.Profile == profile {
			return e.URL
		}
	}
	t.Fatalf("no ACME endpoint with profile %s in %s", profile, out)
	return ""
}

// openssl runs the openssl command and gives what it printed.
func openssl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
