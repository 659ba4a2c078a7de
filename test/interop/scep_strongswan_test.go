package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// swan is strongSwan's pki at one address.
type swan struct {
	url  string
	kept string
}

// swan fetches the certificates of an endpoint.
func (d *scepDoor) swan(t *testing.T, url string) *swan {
	t.Helper()
	s := &swan{url, t.TempDir()}
	if _, out, err := tool(t, nil, "pki", "--scepca", "--url", url, "--caout", s.file("ca.pem"), "--raout", s.file("ra.pem"), "--outform", "pem"); err != nil {
		t.Fatalf("pki --scepca: %v\n%s", err, out)
	}
	return s
}

func (s *swan) file(name string) string { return filepath.Join(s.kept, name) }

// key makes an RSA key.
func (s *swan) key(t *testing.T, name string) string {
	t.Helper()
	openssl(t, "genrsa", "-out", s.file(name+".key"), "2048")
	return s.file(name + ".key")
}

// enroll asks for a certificate, and gives it in PEM.
func (s *swan) enroll(t *testing.T, key, dn string, args ...string) (certificate, said string, err error) {
	t.Helper()
	args = append([]string{"--scep", "--url", s.url, "--in", key, "--dn", dn, "--cacert-enc", s.file("ra.pem"), "--cacert-sig", s.file("ca-1.pem"),
		"--cacert", s.file("ca.pem"), "--outform", "pem"}, args...)
	return tool(t, nil, "pki", args...)
}

// must is enroll for what has to succeed; the certificate is in the file.
func (s *swan) must(t *testing.T, key, dn string, args ...string) (file string) {
	t.Helper()
	certificate, said, err := s.enroll(t, key, dn, args...)
	if err != nil {
		t.Fatalf("pki --scep %q: %v\n%s", args, err, said)
	}
	file = strings.TrimSuffix(key, ".key") + ".pem"
	if err := os.WriteFile(file, []byte(certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// strongswan enrolls by a secret of one use and renews by what it got.
func (d *scepDoor) strongswan(t *testing.T) {
	s := d.swan(t, d.at(scepDual))
	secret := d.secret(t, "--endpoint", "scep-dual", "--name", "router-1.example", "--common-name", "router-1")
	first, other, next := s.key(t, "first"), s.key(t, "other"), s.key(t, "next")
	if _, said, err := s.enroll(t, other, "CN=router-2", "--password", secret); err == nil {
		t.Errorf("a CN that the secret is not for: %s", said)
	}
	if _, said, err := s.enroll(t, first, "CN=router-1", "--password", "NOT"+secret); err == nil {
		t.Errorf("a wrong secret: %s", said)
	}
	held := s.must(t, first, "CN=router-1", "--san", "router-1.example", "--password", secret)
	serial := d.issued(t, held, "CN=router-1")
	if _, said, err := s.enroll(t, other, "CN=router-1", "--password", secret); err == nil {
		t.Errorf("a second device by the same secret: %s", said)
	}
	renewed := s.must(t, next, "CN=router-1", "--san", "router-1.example", "--cert", held, "--key", first)
	if d.issued(t, renewed, "CN=router-1") == serial {
		t.Error("the certificate was not renewed")
	}
	if _, said, err := s.enroll(t, other, "CN=router-2", "--cert", renewed, "--key", next); err == nil {
		t.Errorf("another name by a certificate: %s", said)
	}
	enrollgate(t, append([]string{"cert", "revoke", strings.ToLower(serial), "--reason", "keyCompromise", "--yes"}, d.flags...)...)
	if _, said, err := s.enroll(t, other, "CN=router-1", "--san", "router-1.example", "--cert", held, "--key", first); err == nil {
		t.Errorf("by a revoked certificate: %s", said)
	}
}

// approval has a request wait until an operator lets it through: the client polls.
func (d *scepDoor) approval(t *testing.T) {
	s := d.swan(t, d.at(scepAsked))
	key, secret := s.key(t, "asked"), d.secret(t, "--endpoint", "scep-asked")
	type outcome struct {
		certificate, said string
		err               error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.certificate, o.said, o.err = s.enroll(t, key, "CN=router-3", "--password", secret, "--interval", "1", "--maxpolltime", "120")
		done <- o
	}()
	var waiting []struct{ ID string }
	for len(waiting) == 0 {
		select {
		case o := <-done:
			t.Fatalf("it did not wait: %v\n%s", o.err, o.said)
		case <-time.After(100 * time.Millisecond):
		}
		if err := json.Unmarshal(enrollgate(t, append([]string{"request", "list", "--json"}, d.flags...)...), &waiting); err != nil {
			t.Fatal(err)
		}
	}
	enrollgate(t, append([]string{"request", "approve", waiting[0].ID, "--reason", "ticket 4711"}, d.flags...)...)
	o := <-done
	if o.err != nil || !strings.Contains(o.certificate, "BEGIN CERTIFICATE") {
		t.Errorf("after it was approved: %v\n%s", o.err, o.said)
	}
}

// before has a client encrypt to the certificate that the registration authority had
// before this one.
func (d *scepDoor) before(t *testing.T, old *swan) {
	now := d.swan(t, d.at(scepDual))
	if read(t, now.file("ra.pem")) == read(t, old.file("ra.pem")) {
		t.Error("the registration authority has the same certificate as before")
	}
	old.url = now.url
	d.issued(t, old.must(t, old.key(t, "late"), "CN=late", "--password", d.secret(t, "--endpoint", "scep-dual")), "CN=late")
}
