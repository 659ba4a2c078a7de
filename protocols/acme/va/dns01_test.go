package va

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

func TestDNS01(t *testing.T) {
	sum := sha256.Sum256([]byte(keyAuth))
	digest := base64.RawURLEncoding.EncodeToString(sum[:])
	txt := func(name, value string) string { return fmt.Sprintf("_acme-challenge.%s. 1 IN TXT %q", name, value) }
	half := len(digest) / 2
	server := dnstest.New(t,
		txt("good.example", digest),
		txt("many.example", "another order's"), txt("many.example", digest), txt("many.example", secret),
		fmt.Sprintf("_acme-challenge.split.example. 1 IN TXT %q %q", digest[:half], digest[half:]),
		"_acme-challenge.alias.example. 1 IN CNAME validation.example.",
		fmt.Sprintf("validation.example. 1 IN TXT %q", digest),
		txt("wrong.example", secret), txt("wrong.example", digest[:len(digest)-1]),
		txt("padded.example", digest+"="),
		txt("plain.example", keyAuth),
		"_acme-challenge.none.example. 1 IN A 192.0.2.1",
		txt("*.star.example", digest),
	)
	validator, err := NewDNS01(Options{Resolvers: []string{server.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		typ, detail string // empty: proven
		retry       bool
		texts       int
	}{
		"good.example":            {texts: 1},
		"Good.Example.":           {texts: 1},
		"many.example":            {texts: 3},
		"split.example":           {texts: 1},
		"alias.example":           {texts: 1},
		"wrong.example":           {TypeUnauthorized, "none of the 2 TXT records of _acme-challenge.wrong.example", true, 2},
		"padded.example":          {TypeUnauthorized, "none of the 1 TXT records", true, 1},
		"plain.example":           {TypeUnauthorized, "none of the 1 TXT records", true, 1},
		"none.example":            {TypeDNS, "_acme-challenge.none.example failed: it has no TXT record", true, 0},
		"missing.example":         {TypeDNS, "_acme-challenge.missing.example failed: there is no such name", true, 0},
		"*.star.example":          {TypeMalformed, "not a DNS name", false, 0},
		"192.0.2.1":               {TypeMalformed, "not a DNS name", false, 0},
		strings.Repeat("a.", 120): {TypeMalformed, "not a DNS name", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			record, err := validator.Validate(t.Context(), Question{Identifier: name, Token: token, KeyAuthorization: keyAuth})
			if record.DNS == nil || record.DNS.Texts != test.texts {
				t.Errorf("record %+v, want %d texts", record.DNS, test.texts)
			}
			if test.typ == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var p *Problem
			if !errors.As(err, &p) || p.Type != test.typ || p.Retry != test.retry || !strings.Contains(p.Detail, test.detail) {
				t.Fatalf("%+v, want %s: %s, retry %t", err, test.typ, test.detail, test.retry)
			}
			if strings.Contains(p.Error(), secret) || strings.Contains(p.Error(), digest) {
				t.Errorf("the error repeats a record: %v", p)
			}
		})
	}
	if _, err := validator.Validate(t.Context(), Question{Identifier: "good.example", Token: "another-token", KeyAuthorization: keyAuth}); err == nil {
		t.Error("a key authorization of another token was compared")
	}
}

// TestDNS01Unreachable fails in a way that may mend itself, without the servers' words.
func TestDNS01Unreachable(t *testing.T) {
	failing := dnstest.Serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
		w.WriteMsg(new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure))
	}))
	for name, server := range map[string]string{"SERVFAIL": failing, "could not be reached": "127.0.0.1:1"} {
		validator, err := NewDNS01(Options{Resolvers: []string{server}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = validator.Validate(t.Context(), Question{Identifier: "host.example", Token: token, KeyAuthorization: keyAuth})
		var p *Problem
		if !errors.As(err, &p) || p.Type != TypeDNS || !p.Retry || !strings.Contains(p.Detail, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
