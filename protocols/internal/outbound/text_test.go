package outbound

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

func TestLookupTXT(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprintf("_many.example. 1 IN TXT \"%d %s\"", i, strings.Repeat("x", 200))
	}
	server := dnstest.New(t, append(many,
		`_one.example. 1 IN TXT "one"`,
		`_two.example. 1 IN TXT "a"`,
		`_two.example. 1 IN TXT "b" "c"`,
		`_alias.example. 1 IN CNAME _Two.example.`,
		`_circle.example. 1 IN CNAME _elcric.example.`,
		`_elcric.example. 1 IN CNAME _circle.example.`,
		`_raw.example. 1 IN TXT "\000\"\200"`,
		`host.example. 1 IN A 192.0.2.1`,
	)...)
	r := resolver(t, server.Addr)
	for name, want := range map[string][]string{
		"_one.example":   {"one"},
		"_ONE.example.":  {"one"},
		"_two.example":   {"a", "bc"},
		"_alias.example": {"a", "bc"},
		"_raw.example":   {`\000\"\200`},
	} {
		got, err := r.LookupTXT(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got, err := r.LookupTXT(t.Context(), "_many.example"); err != nil || len(got) != maxTexts {
		t.Errorf("of 100 records came %d, %v; want %d", len(got), err, maxTexts)
	}
	for name, want := range map[string]string{
		"_missing.example":                    "NXDOMAIN",
		"host.example":                        "no TXT record",
		"_circle.example":                     "no TXT record",
		"a..example":                          "not a DNS host name",
		"a b.example":                         "not a DNS host name",
		"192.0.2.1":                           "not a DNS host name",
		strings.Repeat("a.", 127) + "example": "not a DNS host name",
	} {
		_, err := r.LookupTXT(t.Context(), name)
		var e *Error
		if !errors.As(err, &e) || e.Kind != DNS || !strings.Contains(e.Public(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// TestLookupTXTKeepsNothing sees a record that appears after a negative answer.
func TestLookupTXTKeepsNothing(t *testing.T) {
	server := dnstest.New(t)
	r := resolver(t, server.Addr)
	if _, err := r.LookupTXT(t.Context(), "_late.example"); err == nil {
		t.Fatal("found before it was set")
	}
	server.Set(t, `_late.example. 3600 IN TXT "now"`)
	if got, err := r.LookupTXT(t.Context(), "_late.example"); err != nil || len(got) != 1 || got[0] != "now" {
		t.Errorf("%q, %v", got, err)
	}
	if n := server.Asked("_late.example", dns.TypeTXT); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}
