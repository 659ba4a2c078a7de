package profile

import (
	"slices"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Every ACME profile issues, for RSA and EC keys, what the facts say.
func TestBuiltinIssues(t *testing.T) {
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		if !strings.HasPrefix(w.ID, "privatessl-") {
			continue
		}
		for _, key := range []string{"rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"} {
			r := request(t, "www.example.com")
			r.Possession = possession(t, key)
			d := decided(t, compiled(t, w), r)
			var order []string
			for _, e := range d.Extensions {
				order = append(order, e.ID.String())
				critical := e.ID.Equal(pkix.OIDBasicConstraints) || e.ID.Equal(pkix.OIDKeyUsage)
				if e.Critical != critical {
					t.Errorf("%s %s: extension %s has critical %v", w.ID, key, e.ID, e.Critical)
				}
			}
			if want := []string{"2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.35", "1.3.6.1.5.5.7.1.1", "2.5.29.17"}; !slices.Equal(order, want) {
				t.Errorf("%s: extensions %v, want %v", w.ID, order, want)
			}
			usage, err := pkix.ParseKeyUsageValue(d.Extensions[1].Value)
			if err != nil {
				t.Fatal(err)
			}
			want := pkix.DigitalSignature
			if strings.Contains(w.ID, "data-encipherment") && strings.HasPrefix(key, "rsa") {
				want |= pkix.DataEncipherment // RFC 8813 section 3 forbids it with EC keys
			}
			if usage != want {
				t.Errorf("%s %s: key usage %v, want %v", w.ID, key, usage.Names(), want.Names())
			}
			if got := string(d.Extensions[3].Value[2:]); got != string(r.Possession.Key().KeyID()) {
				t.Errorf("%s: subject key identifier is not that of the key", w.ID)
			}
			if d.Subject.String() != "CN=www.example.com" || sans(d) != "dns:www.example.com" {
				t.Errorf("%s: subject %s, names %s", w.ID, d.Subject, sans(d))
			}
			if got := d.NotAfter.Sub(d.NotBefore); got != 365*24*3600e9-1e9 {
				t.Errorf("%s: validity is %s", w.ID, got)
			}
		}
	}
}

func TestBuiltinByID(t *testing.T) {
	if _, ok, err := BuiltinByID("nothing-of-the-kind"); ok || err != nil {
		t.Errorf("an unknown id gave ok %v, error %v", ok, err)
	}
}
