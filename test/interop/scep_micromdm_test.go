package interop

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// scepclient has micromdm's client enroll, or renew what is in the folder; it keeps
// the request there, too.
func (d *scepDoor) scepclient(t *testing.T, folder, url string, args ...string) (certificate, said string, err error) {
	t.Helper()
	path := harness.ClientBinary(t, "test/interop/micromdm", "github.com/micromdm/scep/v2/cmd/scepclient")
	certificate = filepath.Join(folder, "device.pem")
	args = append([]string{"-server-url", url, "-private-key", filepath.Join(folder, "device.key"), "-certificate", certificate,
		"-cn", "device-1", "-key-encipherment-selector"}, args...)
	_, said, err = tool(t, []string{"SSL_CERT_FILE=" + d.File("root.pem")}, path, args...)
	return certificate, said, err
}

// micromdm enrolls with SHA-1 and DES where they are granted, and renews; elsewhere
// it is refused, which costs its secret nothing.
func (d *scepDoor) micromdm(t *testing.T) {
	folder := t.TempDir()
	secret := d.secret(t, "--endpoint", "scep-dual")
	if _, said, err := d.scepclient(t, folder, d.at(scepDual), "-challenge", secret); err == nil || !strings.Contains(said, "badAlg (0)") {
		t.Errorf("without a grant: %v\n%s", err, said)
	}
	s := d.swan(t, d.at(scepDual))
	d.issued(t, s.must(t, s.key(t, "survived"), "CN=device-2", "--password", secret), "CN=device-2")

	folder, secret = t.TempDir(), d.secret(t, "--profile", scepOld)
	certificate, said, err := d.scepclient(t, folder, d.at(scepOld), "-challenge", secret)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	serial := d.issued(t, certificate, "CN=device-1")
	if _, said, err = d.scepclient(t, folder, d.at(scepOld)+"nop/pkiclient.exe"); err != nil { // no secret: what it holds is enough
		t.Fatalf("renewal: %v\n%s", err, said)
	}
	if next := d.issued(t, certificate, "CN=device-1"); next == serial {
		t.Error("the certificate was not renewed")
	}
	if _, said, err := d.scepclient(t, t.TempDir(), d.at(scepOld), "-challenge", secret); err == nil || !strings.Contains(said, "badMessageCheck (1)") {
		t.Errorf("a second device by the same secret: %v\n%s", err, said)
	}
}
