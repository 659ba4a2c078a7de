package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// withForeign is a file with a foreign CA; old is replaced by new in it.
func withForeign(old, new string) string {
	const entry = "foreign_cas:\n- {id: partner, tenant: t, certificate: /p.pem, crl: {url: \"http://h/p.crl\"}, ocsp: {certificate: /o.pem, key: \"file:/o.key\"}}\n"
	text := strings.Replace(minimal, "listen:\n", "listen:\n  http: 127.0.0.1:80\n", 1)
	text = strings.Replace(text, "base_url:\n", "base_url:\n  http: http://pki.example\n", 1)
	return text + strings.Replace(entry, old, new, 1)
}

func TestForeignDefaults(t *testing.T) {
	c, err := Parse("f", []byte(withForeign("", "")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := ForeignCA{ID: "partner", Tenant: "t", Certificate: "/p.pem", CRL: ForeignCRL{URL: "http://h/p.crl", Refresh: 10 * time.Minute, Warning: 4 * time.Hour},
		OCSP: ForeignOCSP{Certificate: "/o.pem", Key: "file:/o.key", NotListed: "good", Lifetime: 8 * time.Hour, MaxAge: 5 * time.Minute}}
	if len(c.Foreign) != 1 || !reflect.DeepEqual(c.Foreign[0], want) {
		t.Errorf("%+v, want %+v", c.Foreign, want)
	}
	c, err = Parse("f", []byte(withForeign(`url: "http://h/p.crl"`, `url: "https://h/p.crl", refresh: 1m, warning: P2D, allow_targets: [10.0.0.0/8]`)), Options{})
	if err != nil || !reflect.DeepEqual(c.Foreign[0].CRL, ForeignCRL{URL: "https://h/p.crl", Refresh: time.Minute, Warning: 48 * time.Hour,
		Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestForeignIsChecked(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"an id of ours":            {"id: partner", "id: c", "id: a second CA of tenant \"t\" has the id \"c\""},
		"the same id twice":        {"- {id: partner", "- {id: partner, tenant: t, certificate: /p.pem, crl: {file: /p.crl}, ocsp: {certificate: /o.pem, key: \"file:/o.key\"}}\n- {id: partner", "a second CA of tenant"},
		"an id with a meaning":     {"id: partner", "id: mdm", "has a meaning of its own"},
		"no tenant of that name":   {"tenant: t", "tenant: x", "tenant: \"x\" does not name a tenant"},
		"no certificate":           {"certificate: /p.pem, ", "", "certificate: the key is missing"},
		"a relative certificate":   {"/p.pem", "p.pem", "certificate: the absolute path"},
		"no source":                {`url: "http://h/p.crl"`, "", "crl: nothing says where the list is"},
		"two sources":              {`url: "http://h/p.crl"`, `url: "http://h/p.crl", file: /p.crl`, "crl.file: the list has one source"},
		"LDAP":                     {"http://h/p.crl", "ldap://h/p.crl", "crl.url: an http or https URL"},
		"a user in the URL":        {"http://h/p.crl", "http://u:secret@h/p.crl", "crl.url: an http or https URL"},
		"a host that is missing":   {"http://h/p.crl", "http:///p.crl", "crl.url: an http or https URL"},
		"targets of a file":        {`url: "http://h/p.crl"`, `file: /p.crl, allow_targets: [10.0.0.0/8]`, "crl.allow_targets: a file is not fetched"},
		"a target that is none":    {`url: "http://h/p.crl"`, `url: "http://h/p.crl", allow_targets: [10.0.0.1/8]`, "bits after the prefix"},
		"a refresh too often":      {`url: "http://h/p.crl"`, `url: "http://h/p.crl", refresh: 10ms`, "crl.refresh: the duration must be between"},
		"nobody who signs":         {"certificate: /o.pem, ", "", "ocsp.certificate: the key is missing"},
		"no key":                   {`, key: "file:/o.key"`, "", "ocsp.key: the key is missing"},
		"a key that is no URI":     {"file:/o.key", "/o.key", "ocsp.key: this is not a key URI"},
		"revoked where not listed": {"ocsp: {", "ocsp: {not_listed: revoked, ", "ocsp.not_listed: \"revoked\" is not known"},
		"an age beyond a quarter":  {"ocsp: {", "ocsp: {lifetime: PT1H, max_age: 20m, ", "ocsp.max_age: at most a quarter"},
	} {
		text := withForeign(test.old, test.new)
		if text == withForeign("", "") {
			t.Fatalf("%s: the entry looks otherwise", name)
		}
		if _, err := Parse("f", []byte(text), Options{}); err == nil || !strings.Contains(err.Error(), test.want) || strings.Count(err.Error(), "\n") > 0 || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q alone", name, err, test.want)
		}
	}
	unreachable := strings.Replace(strings.Replace(withForeign("", ""), "  http: 127.0.0.1:80\n", "", 1), "  http: http://pki.example\n", "", 1)
	if _, err := Parse("f", []byte(unreachable), Options{}); err == nil || !strings.Contains(err.Error(), "listen.http is not set") {
		t.Errorf("without a listener: %v", err)
	}
}

// Replicas may keep the files elsewhere; what is answered is policy.
func TestForeignDigest(t *testing.T) {
	digest := func(old, new string) [32]byte {
		t.Helper()
		c, err := Parse("f", []byte(withForeign(old, new)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest()
	}
	same := digest("", "")
	if digest("/o.pem", "/else.pem") != same || digest("file:/o.key", "file:/else.key") != same || digest("/p.pem", "/else.pem") != same {
		t.Error("the place of a file changes the digest")
	}
	if digest("ocsp: {", "ocsp: {not_listed: unknown, ") == same || digest("http://h/p.crl", "http://h/q.crl") == same {
		t.Error("another policy has the same digest")
	}
}
