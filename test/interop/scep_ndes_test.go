package interop

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// port is ":PORT" of an address.
func port(address string) string { return address[strings.LastIndex(address, ":"):] }

// fetch has curl read the page of challenge passwords as NDES shows it, and gives the one in it.
func (d *scepDoor) fetch(t *testing.T) (secret string) {
	t.Helper()
	var user struct{ Username, Password string }
	made := enrollgate(t, append([]string{"credential", "create", "--protocol", "scep", "--endpoint", "scep-old", "--administrator", "--json"}, d.flags...)...)
	if err := json.Unmarshal(made, &user); err != nil || user.Password == "" {
		t.Fatal(user.Username, err)
	}
	page := "https://localhost" + port(d.Addresses().HTTPS) + "/certsrv/mscep_admin/"
	if status := sh(t, "curl -s -o /dev/null -w '%{http_code}' --cacert "+d.File("root.pem")+" "+page); status != "401" {
		t.Errorf("without a password: %s", status)
	}
	if status := sh(t, "curl -s -o /dev/null -w '%{http_code}' --user "+user.Username+":"+user.Password+" http://localhost"+port(d.Addresses().HTTP)+"/certsrv/mscep_admin/"); status != "421" {
		t.Errorf("over http: %s", status)
	}
	text := sh(t, "curl -s --cacert "+d.File("root.pem")+" --user "+user.Username+":"+user.Password+" "+page+" | iconv -f UTF-16LE -t UTF-8")
	found := regexp.MustCompile(`The enrollment challenge password is: <B> (\S+) </B>`).FindStringSubmatch(text)
	if found == nil {
		t.Fatal(text)
	}
	return found[1]
}

// ndes uses, over https and after a restart, the challenge password that was fetched before it.
func (d *scepDoor) ndes(t *testing.T, secret string) {
	url := "https://localhost" + port(d.Addresses().HTTPS) + "/certsrv/mscep/mscep.dll"
	certificate, said, err := d.scepclient(t, t.TempDir(), url, "-challenge", secret)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	d.issued(t, certificate, "CN=device-1")
	if _, said, err := d.scepclient(t, t.TempDir(), url, "-challenge", secret); err == nil {
		t.Errorf("a second device by the same secret: %s", said)
	}
}
