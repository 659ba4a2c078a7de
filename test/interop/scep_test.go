package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// scepLines add to the dev daemon's endpoint, scep-dual, one that grants what old
// clients need, with NDES's addresses, and one whose requests an operator approves.
const scepLines = `
profiles:
  - {id: scep-old, extends: scep-digital-signature-key-encipherment}
  - {id: scep-asked, extends: scep-digital-signature-key-encipherment, approval: manual}
endpoints:
  - {id: scep-old, protocol: scep, tenant: default, ca: issuing, profile: scep-old, authentication: [[scep-secret], [certificate]], legacy: [sha1, des]}
  - {id: scep-asked, protocol: scep, tenant: default, ca: issuing, profile: scep-asked, authentication: [[scep-secret], [certificate]]}
scep: {ndes: {endpoint: scep-old}}
`

// Profiles of the endpoints, which are the last part of their addresses.
const (
	scepDual  = "scep-digital-signature-key-encipherment"
	scepOld   = "scep-old"
	scepAsked = "scep-asked"
)

// scepDoor is the SCEP endpoints of a dev daemon.
type scepDoor struct {
	*site
	kept string // folder of what clients have
}

// TestSCEP has clients that nobody here wrote enroll and renew by SCEP, with the
// registration authority's key in the store, and then, after the daemon was started
// again with another configuration, in a token.
func TestSCEP(t *testing.T) {
	harness.NeedPrograms(t)
	hsm := harness.SoftHSM(t)
	hsm.Add("authority")
	for store, lines := range stores {
		hsm.Tool("authority", "--keypairgen", "--key-type", "RSA:2048", "--label", store)
		key := fmt.Sprintf("cas: [{id: issuing, ra: {key: 'pkcs11:token=authority;object=%s?module-path=%s', key_password: %q}}]\n", store, hsm.Module, tokenPIN(t))
		t.Run(store, func(t *testing.T) {
			t.Parallel() // clients mostly wait
			text, dir := lines(t)+scepLines, t.TempDir()
			d := &scepDoor{start(t, text, "--data", dir), t.TempDir()}
			fetched, old := d.fetch(t), d.swan(t, d.at(scepDual))
			t.Run("the printed command", d.pasted)
			t.Run("strongSwan", d.strongswan)
			t.Run("approval", d.approval)
			t.Run("micromdm", d.micromdm)
			t.Run("certmonger", d.certmonger)
			d.Stop()
			d = &scepDoor{start(t, text+key, "--data", dir), t.TempDir()}
			t.Run("NDES after a restart", func(t *testing.T) { d.ndes(t, fetched) })
			t.Run("strongSwan, the key in SoftHSM", d.strongswan)
			t.Run("the certificate before", func(t *testing.T) { d.before(t, old) })
		})
	}
}

// at is the address of the endpoint with a profile.
func (d *scepDoor) at(profile string) string {
	return "http://" + strings.Replace(d.Addresses().HTTP, "127.0.0.1", "localhost", 1) + "/scep/default/issuing/" + profile + "/"
}

func (d *scepDoor) file(name string) string { return filepath.Join(d.kept, name) }

// secret has an operator make a challenge password of one use.
func (s *site) secret(t *testing.T, args ...string) string {
	t.Helper()
	var made struct{ Challenge string }
	args = append([]string{"credential", "create", "--protocol", "scep", "--json"}, args...)
	if err := json.Unmarshal(enrollgate(t, append(args, s.flags...)...), &made); err != nil || made.Challenge == "" {
		t.Fatal(made, err)
	}
	return made.Challenge
}

// pasted runs what `serve --dev` prints.
func (d *scepDoor) pasted(t *testing.T) {
	_, rest, found := strings.Cut(d.Stdout(), "Or by SCEP")
	_, rest, _ = strings.Cut(rest, "\n")
	command, _, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatal(d.Stdout())
	}
	if out := sh(t, command); !strings.Contains(out, "-----BEGIN CERTIFICATE-----") {
		t.Error(out)
	}
}

// tool runs a client and gives what it printed, stdout alone and with stderr.
func tool(t *testing.T, env []string, name string, args ...string) (stdout, all string, err error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Env = append(os.Environ(), env...)
	var out, both bytes.Buffer
	c.Stdout, c.Stderr = &out, &both
	err = c.Run()
	return out.String(), out.String() + both.String(), err
}

// issued wants a certificate of our CA in a file, for a subject, and gives its serial number.
func (d *scepDoor) issued(t *testing.T, file, subject string) (serial string) {
	t.Helper()
	openssl(t, "verify", "-CAfile", d.File("root.pem"), "-untrusted", d.File("chain.pem"), file)
	out := openssl(t, "x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253", "-serial")
	if !strings.Contains(out, subject) {
		t.Errorf("%s: %s, want %s", file, out, subject)
	}
	_, serial, _ = strings.Cut(strings.TrimSpace(out), "serial=")
	return serial
}
