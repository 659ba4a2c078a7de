package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAccountSettings: what endpoints say wins over what all of them have.
func TestAccountSettings(t *testing.T) {
	text := minimal + `    terms_of_service: https://pki.example/own
  - {id: f, protocol: acme, tenant: t, ca: c, profile: privatessl-tls-client, authentication: [[acme-account, eab]]}
acme: {terms_of_service: "https://pki.example/all", max_contacts: 3}
`
	c, err := Parse("x.yaml", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"e": "https://pki.example/own", "f": "https://pki.example/all"}, c.ACME.Terms); diff != "" || c.ACME.MaxContacts != 3 {
		t.Errorf("%d contacts, terms:\n%s", c.ACME.MaxContacts, diff)
	}
	for extra, want := range map[string]string{
		"acme: {terms_of_service: terms}\n":         "acme.terms_of_service: the terms of service are named by a URL",
		"acme: {terms_of_service: \"ftp://x/y\"}\n": "acme.terms_of_service: the terms of service are named by a URL",
		"acme: {terms_of_service: \"\"}\n":          "acme.terms_of_service: the text is empty",
		"    terms_of_service: x\n":                 "endpoints[e].terms_of_service: the terms of service are named by a URL",
		"acme: {max_contacts: 0}\n":                 "acme.max_contacts: 1 to 100 contacts are possible, not 0",
		"acme: {max_contacts: 101}\n":               "acme.max_contacts: 1 to 100 contacts are possible, not 101",
		"  - {id: f, protocol: acme, tenant: t, ca: c, profile: privatessl-tls-client, authentication: [[eab]]}\n": `write [acme-account, eab]`,
	} {
		if _, err := Parse("x.yaml", []byte(minimal+extra), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", extra, err, want)
		}
	}
}
