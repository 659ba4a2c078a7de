package claim

import (
	"net/netip"
	"testing"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

func TestPattern(t *testing.T) {
	ip := func(text string) pkix.GeneralName { return pkix.IP(netip.MustParseAddr(text)) }
	for _, test := range []struct {
		pattern string
		name    pkix.GeneralName
		want    bool
	}{
		{"host.example", pkix.DNS("host.example"), true},
		{"Host.Example", pkix.DNS("HOST.example"), true},
		{"host.example", pkix.DNS("a.host.example"), false},
		{"host.example", pkix.DNS("*.host.example"), false},
		{"*.example", pkix.DNS("a.example"), true},
		{"*.example", pkix.DNS("a.b.example"), true},
		{"*.example", pkix.DNS("*.example"), true},
		{"*.example", pkix.DNS("example"), false},
		{"*.example", pkix.DNS(".example"), false},
		{"*.example", pkix.DNS("aexample"), false},
		{"*.example", ip("192.0.2.1"), false},
		{"192.0.2.1", ip("192.0.2.1"), true},
		{"192.0.2.1", ip("192.0.2.2"), false},
		{"192.0.2.1", pkix.DNS("192.0.2.1"), false},
		{"192.0.2.0/24", ip("192.0.2.77"), true},
		{"192.0.2.0/24", ip("192.0.3.77"), false},
		{"2001:db8::/32", ip("2001:db8::1"), true},
		{"2001:db8::/32", ip("192.0.2.1"), false},
		{"*.example", pkix.GeneralName{Kind: pkix.OtherName, Raw: []byte("a.example")}, false},
	} {
		p, err := ParsePattern(test.pattern)
		if err != nil || p.Matches(test.name) != test.want {
			t.Errorf("%s of %s: %v, %v", test.pattern, test.name, !test.want, err)
		}
	}
	for _, text := range []string{"", "*", "*.", "a.*.example", "**.example", "bücher.example", "192.0.2.1/24", "192.0.2.0/40", "::ffff:192.0.2.1", "fe80::1%eth0", "a/b"} {
		if _, err := ParsePattern(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if (Pattern{}).Matches(pkix.DNS("")) || (Pattern{}).Matches(pkix.DNS("a.example")) {
		t.Error("no pattern matches")
	}
}

// FuzzPattern: what is read matches the name that it is written as.
func FuzzPattern(f *testing.F) {
	for _, text := range []string{"host.example", "*.example", "192.0.2.1", "192.0.2.0/24", "2001:db8::/32"} {
		f.Add(text, "a.example")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		if p.name != "" && !p.Matches(pkix.DNS(text)) {
			t.Errorf("%q does not match itself", text)
		}
		p.Matches(pkix.DNS(name))
		p.Matches(pkix.GeneralName{Kind: pkix.IPAddress, Raw: []byte(name)})
	})
}
