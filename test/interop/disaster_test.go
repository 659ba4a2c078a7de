package interop

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/test/harness"
)

// TestDisaster loses a store and brings it back: a backup beside the running
// daemon, a revocation after it, a restore into an empty store with the last CRL
// of the lost one, and a daemon that goes on. Doctor looks on before and after.
func TestDisaster(t *testing.T) {
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, lines(t))
			dir, address := filepath.Dir(s.File("root.pem")), s.Addresses()
			s.doctor(t)
			archive, last := filepath.Join(t.TempDir(), "store.backup"), filepath.Join(t.TempDir(), "last.crl")
			if out := s.must(t, "backup", "create", "--out", archive); !strings.Contains(out, "SHA-256 ") {
				t.Errorf("backup create: %s", out)
			}
			if out, errs, code := command(t, "backup", "verify", archive, "--root", s.File("audit-root.pem")); code != 0 || !strings.Contains(out, "can be restored: a "+name+" store") {
				t.Fatalf("backup verify: %d %s%s", code, out, errs)
			}
			var listed struct {
				Certificates []struct{ Serial string }
			}
			if err := json.Unmarshal([]byte(s.must(t, "cert", "list", "--json")), &listed); err != nil || len(listed.Certificates) == 0 {
				t.Fatalf("%d certificates, %v", len(listed.Certificates), err)
			}
			serial := listed.Certificates[0].Serial
			s.must(t, "cert", "revoke", serial, "--reason", "superseded", "--yes")
			s.must(t, "crl", "publish", "--tenant", "default", "--ca", "issuing")
			before := s.list(t, address.HTTP)
			if err := os.WriteFile(last, before.Raw, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, errs, code := command(t, append([]string{"restore", archive}, s.flags...)...); code != 1 || !strings.Contains(errs, "a daemon runs") {
				t.Errorf("restore beside the daemon: %d %s", code, errs)
			}
			s.Stop()
			if _, errs, code := command(t, append([]string{"restore", archive}, s.flags...)...); code != 1 || !strings.Contains(errs, "not empty") {
				t.Errorf("restore over the store: %d %s", code, errs)
			}

			s.lose(t, dir, lines(t))
			out := s.must(t, "restore", archive, "--last-crl", last)
			if !strings.Contains(out, "1 of 1 entries were revoked again") {
				t.Errorf("restore: %s", out)
			}
			s.Process = harness.StartDev(t, append([]string{"--https", address.HTTPS, "--http", address.HTTP}, s.flags[1:]...)...)
			if out := s.must(t, "audit", "verify", "--root", s.File("audit-root.pem")); !strings.Contains(out, "is whole") {
				t.Errorf("audit verify: %s", out)
			}
			after := s.list(t, address.HTTP)
			if after.Number.Cmp(before.Number) <= 0 || after.Count != 1 {
				t.Errorf("the CRL has number %v with %d entries, after %v with %d", after.Number, after.Count, before.Number, before.Count)
			}
			if out := s.must(t, "cert", "show", serial); !strings.Contains(out, "revoked") {
				t.Errorf("the certificate: %s", out)
			}
			s.doctor(t)
		})
	}
}

// lose takes the store away: the files of SQLite, the database of Postgres.
func (s *site) lose(t *testing.T, dir, lines string) {
	t.Helper()
	overlay := s.flags[len(s.flags)-1]
	text, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if lines == "" {
		found, err := filepath.Glob(filepath.Join(dir, "enrollgate.db*"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no database: %v", err)
		}
		for _, name := range found {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(overlay, []byte(lines+rest), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *site) must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := command(t, append(args, s.flags...)...)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// list gets the CA's CRL as a relying party does.
func (s *site) list(t *testing.T, address string) *pkix.CRL {
	t.Helper()
	answer, err := http.Get("http://" + address + "/crl/default/issuing/g1.crl")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	der, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pkix.ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// doctor finds nothing wrong beside a daemon, and has looked at everything.
func (s *site) doctor(t *testing.T) {
	t.Helper()
	var findings []struct{ Area, What, Status, Found string }
	if err := json.Unmarshal([]byte(s.must(t, "doctor", "--json")), &findings); err != nil {
		t.Fatal(err)
	}
	areas := map[string]int{}
	for _, f := range findings {
		areas[f.Area]++
		if f.Status != "ok" {
			t.Errorf("doctor: %+v", f)
		}
	}
	for _, area := range []string{"store", "clock", "replicas", "keys", "certificates", "crl", "ocsp", "aia"} {
		if areas[area] == 0 {
			t.Errorf("doctor looked at no %s: %+v", area, findings)
		}
	}
	if areas["crl"] != 2 {
		t.Errorf("openssl was not asked about the CRL: %+v", findings)
	}
}
