package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// TestTrustedProxies: nobody is believed unless named, in one header.
func TestTrustedProxies(t *testing.T) {
	one := []netip.Prefix{netip.MustParsePrefix("10.1.0.5/32"), netip.MustParsePrefix("2001:db8::/64")}
	for lines, want := range map[string]Listen{
		"": {},
		"trusted_proxies: [10.1.0.5/32, 2001:db8::/64]":                              {TrustedProxies: one, ForwardedHeader: "X-Forwarded-For"},
		"trusted_proxies: [10.1.0.5/32, 2001:db8::/64], forwarded_header: Forwarded": {TrustedProxies: one, ForwardedHeader: "Forwarded"},
		"trusted_proxies: []": {},
	} {
		c, err := ParseOver([]byte(minimal), "f", []byte("listen: {"+lines+"}"), Options{})
		if err != nil {
			t.Fatalf("%s: %v", lines, err)
		}
		if got := c.Listen; !reflect.DeepEqual(got.TrustedProxies, want.TrustedProxies) || got.ForwardedHeader != want.ForwardedHeader {
			t.Errorf("%s: %+v", lines, got)
		}
	}
	for lines, want := range map[string]string{
		"forwarded_header: Forwarded":                                 "believed from nobody",
		"trusted_proxies: [0.0.0.0/0]":                                "every client could say",
		"trusted_proxies: [\"::/0\"]":                                 "every client could say",
		"trusted_proxies: [10.1.0.5]":                                 "an address range is written as",
		"trusted_proxies: [10.1.0.5/8]":                               "bits after the prefix",
		"trusted_proxies: [10.1.0.5/32], forwarded_header: X-Real-IP": "listen.forwarded_header",
	} {
		if _, err := ParseOver([]byte(minimal), "f", []byte("listen: {"+lines+"}"), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", lines, err)
		}
	}
}
