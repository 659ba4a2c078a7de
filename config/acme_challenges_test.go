package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca/claim"
)

func TestACMEChallenges(t *testing.T) {
	plain, err := withEndpoint(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for more, want := range map[string]ACMEEndpoint{
		", drafts: [dns-account-01@draft-03]": {Drafts: map[claim.Method]string{claim.DNSAccount01: "draft-03"}},
		", drafts: [dns-persist-01@draft-02], dns_persist_issuers: [CA.example]": {Drafts: map[claim.Method]string{claim.DNSPersist01: "draft-02"},
			PersistIssuers: []string{"ca.example"}},
		", caa: [ca.example, b.example], drafts: [dns-persist-01@draft-00]": {Drafts: map[claim.Method]string{claim.DNSPersist01: "draft-00"},
			CAA: []string{"ca.example", "b.example"}, PersistIssuers: []string{"ca.example", "b.example"}},
		", attestation: {apple: /a.pem, tpm: /t.pem}":   {Attestation: map[string]string{"apple": "/a.pem", "tpm": "/t.pem"}},
		", attestation: {packed: /p.pem, step: /p.pem}": {Attestation: map[string]string{"packed": "/p.pem", "step": "/p.pem"}},
		", subdomains: true":                            {Subdomains: true},
		", vantages: [[192.0.2.1], [192.0.2.2, '192.0.2.3:5353'], [192.0.2.4]], quorum: 2": {Quorum: 2,
			Vantages: [][]string{{"192.0.2.1:53"}, {"192.0.2.2:53", "192.0.2.3:5353"}, {"192.0.2.4:53"}}},
		", vantages: [[192.0.2.1], [192.0.2.2]]": {Quorum: 2, Vantages: [][]string{{"192.0.2.1:53"}, {"192.0.2.2:53"}}},
	} {
		c, err := withEndpoint(t, more, "")
		if err != nil {
			t.Errorf("%s: %v", more, err)
			continue
		}
		if diff := cmp.Diff(map[string]ACMEEndpoint{"e": want}, c.ACMEOf); diff != "" || len(c.Warnings) != len(plain.Warnings) {
			t.Errorf("%s: %v\n%s", more, c.Warnings, diff)
		}
		if c.Digest() == plain.Digest() {
			t.Errorf("%s: the digest has to change with it", more)
		}
	}
	c, err := withEndpoint(t, ", vantages: [[192.0.2.1], [192.0.2.2]], quorum: 1", "")
	if err != nil || len(c.Warnings) == 0 || !strings.Contains(c.Warnings[len(c.Warnings)-1], "no majority") {
		t.Errorf("%v, %v", c.Warnings, err)
	}
}

func TestACMEChallengesMistakes(t *testing.T) {
	for more, want := range map[string]string{
		", drafts: [dns-persist-01]":                                                              "dns-persist-01@draft-00, dns-persist-01@draft-02",
		", drafts: [dns-persist-01@draft-01]":                                                     "dns-account-01@draft-01, dns-account-01@draft-02, dns-account-01@draft-03, dns-persist-01@draft-00, dns-persist-01@draft-02",
		", drafts: [http-01@draft-01]":                                                            "is not a challenge type with the revision",
		", drafts: [dns-account-01@draft-01, dns-account-01@draft-02]":                            "stands here twice",
		", drafts: [dns-persist-01@draft-02]":                                                     "dns_persist_issuers, or caa",
		", dns_persist_issuers: [ca.example]":                                                     "only an endpoint with dns-persist-01",
		", drafts: [dns-persist-01@draft-02], dns_persist_issuers: ['*.example']":                 "is a DNS name such as",
		", caa: [a.example], drafts: [dns-persist-01@draft-02], dns_persist_issuers: [b.example]": "is not one of caa",
		", drafts: [dns-persist-01@draft-02], dns_persist_issuers: [a.a, b.a, c.a, d.a, e.a, f.a, g.a, h.a, i.a, j.a, k.a]": "at most 10",
		", attestation: {apple: roots.pem}":                              "absolute path",
		", attestation: {apple: ''}":                                     "",
		", attestation: {none: /a.pem}":                                  "unknown key",
		", quorum: 1":                                                    "there are none",
		", vantages: [[192.0.2.1]]":                                      "2 to 8 vantage points",
		", vantages: [[192.0.2.1], []]":                                  "at least one DNS server",
		", vantages: [[192.0.2.1], [dns.example]]":                       "a DNS server is an IP address",
		", vantages: [[192.0.2.1], [192.0.2.2]], quorum: 3":              "1 to 2",
		", vantages: [[192.0.2.1], [192.0.2.2]], quorum: 0":              "1 to 2",
		", resolvers: [192.0.2.9], vantages: [[192.0.2.1], [192.0.2.2]]": "not both",
	} {
		if _, err := withEndpoint(t, more, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", more, err)
		}
	}
}
