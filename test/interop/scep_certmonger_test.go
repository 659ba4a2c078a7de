package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// certmonger is driven by getcert through a session daemon of its own, which listens on
// a private socket (no D-Bus), keeps its state below HOME, and ends with the script.
func (d *scepDoor) certmonger(t *testing.T) {
	key, certificate, script := d.file("monger.key"), d.file("monger.pem"), d.file("getcert.sh")
	first, second := d.file("monger-first.pem"), d.file("monger-second.pem")
	text := fmt.Sprintf(`set -e
trap 'getcert list' EXIT
getcert add-scep-ca -c enrollgate -u %[1]s
getcert request -c enrollgate -I device -k %[2]s -f %[3]s -N CN=device-3 -D device-3.example -L %[5]s -w --wait-timeout 60
cp %[3]s %[4]s
getcert resubmit -i device -w --wait-timeout 60
cp %[3]s %[6]s
getcert rekey -i device -w --wait-timeout 60
echo all of it
`, d.at(scepDual), key, certificate, first, d.secret(t, "--endpoint", "scep-dual"), second)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, said, err := tool(t, []string{"HOME=" + t.TempDir()}, "/usr/lib/certmonger/certmonger-session", "-n", "-L", "-P", d.file("monger.sock"), "-c", "sh "+script)
	if err != nil || !strings.Contains(said, "all of it") {
		t.Fatalf("certmonger: %v\n%s", err, said)
	}
	one, two, three := d.issued(t, first, "CN=device-3"), d.issued(t, second, "CN=device-3"), d.issued(t, certificate, "CN=device-3")
	if one == two || two == three {
		t.Errorf("not renewed each time: %s, %s, %s\n%s", one, two, three, said)
	}
}
