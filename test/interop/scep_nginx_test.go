package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestSCEPBehindNginx puts nginx, as docs/scep.md has it, before daemons whose endpoints
// let in by address: where the proxy is trusted the client's counts, elsewhere the proxy's.
func TestSCEPBehindNginx(t *testing.T) {
	harness.NeedPrograms(t)
	t.Parallel()
	const lines = `
profiles:
  - {id: of-clients, extends: scep-digital-signature-key-encipherment}
  - {id: of-proxies, extends: scep-digital-signature-key-encipherment}
endpoints:
  - {id: of-clients, protocol: scep, tenant: default, ca: issuing, profile: of-clients, authentication: [[unauthenticated]], addresses: [127.0.0.1/32]}
  - {id: of-proxies, protocol: scep, tenant: default, ca: issuing, profile: of-proxies, authentication: [[unauthenticated]], addresses: [127.0.0.3/32]}
`
	for name, test := range map[string]struct {
		listen string
		counts string // profile of the endpoint that lets the client in
	}{
		"the proxy is trusted":     {"listen: {trusted_proxies: [127.0.0.3/32]}\n", "of-clients"},
		"the proxy is not trusted": {"", "of-proxies"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := harness.FreePort(t)
			base := fmt.Sprintf("http://localhost:%d", port)
			d := &scepDoor{start(t, lines+test.listen+fmt.Sprintf("base_url: {http: %q}\n", base)), t.TempDir()}
			server := documentedIn(t, "scep.md", "nginx", "listen 80;", fmt.Sprintf("listen 127.0.0.1:%d;", port), "pki.example.com", "localhost",
				"http://10.1.0.20:8080", "http://"+d.Addresses().HTTP, "proxy_set_header", "proxy_bind 127.0.0.3;\n\t\tproxy_set_header")
			harness.Nginx(t, port, server)
			for _, profile := range []string{"of-clients", "of-proxies"} {
				s := d.swan(t, base+"/scep/default/issuing/"+profile+"/")
				_, said, err := s.enroll(t, s.key(t, profile), "CN=router-1")
				if let := err == nil; let != (profile == test.counts) {
					t.Errorf("%s: let in: %v\n%s", profile, let, said)
				}
			}
			if !strings.Contains(d.Stderr(), "takes requests from certain addresses, and not from this one") {
				t.Error("the log does not say why one was refused")
			}
		})
	}
}
