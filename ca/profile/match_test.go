package profile

import (
	"net/netip"
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "anything", true}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "abd", false},
		{"*.example.com", "host.example.com", true}, {"*.example.com", "example.com", false}, {"a*b*c", "axxbyyc", true},
		{"a*b*c", "axxcyyb", false}, {"exact", "exact", true}, {"exact", "Exact", false}, {"exact", "exactly", false}, {"a**", "a", true},
		{strings.Repeat("a*", 50) + "b", strings.Repeat("a", 5000), false}, // no blow-up
	} {
		if got := glob(c.pattern).match(c.text); got != c.want {
			t.Errorf("%s on %.20s gave %v", c.pattern, c.text, got)
		}
	}
}

func TestDNSPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "any.thing", true}, {"Host.Example", "host.example", true}, {"host.example", "a.host.example", false},
		{"*.example", "a.example", true}, {"*.example", "a.b.example", true}, {"*.example", "example", false},
		{"*.example", "badexample", false}, {"*.example", "*.a.example", true}, {"*.example", "*.example", true}, {"example", "*.example", false},
	} {
		m, err := compileDNSPattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.match(c.name); got != c.want {
			t.Errorf("%s on %s gave %v", c.pattern, c.name, got)
		}
	}
}

func TestIPPattern(t *testing.T) {
	for text, want := range map[string]string{"10.0.0.0/8": "10.0.0.0/8", "192.0.2.1": "192.0.2.1/32", "2001:db8::/32": "2001:db8::/32", "::ffff:192.0.2.1": "192.0.2.1/32"} {
		if got, err := compileIPPattern(text); err != nil || got != netip.MustParsePrefix(want) {
			t.Errorf("%s gave %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10.0.0.1/8", "fe80::1%eth0", "::ffff:10.0.0.0/104", "host"} {
		if got, err := compileIPPattern(text); err == nil {
			t.Errorf("%q gave %v", text, got)
		}
	}
}
