package outbound

import (
	"net/netip"
	"strings"
	"testing"
)

func prefixes(t *testing.T, list ...string) Policy {
	t.Helper()
	var parsed []netip.Prefix
	for _, p := range list {
		parsed = append(parsed, netip.MustParsePrefix(p))
	}
	policy, err := NewPolicy(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestPolicyDefault(t *testing.T) {
	for _, text := range []string{
		"8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
		"192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2600::1", "2a00:1450:4001::8a", "2001:200::1",
		"::ffff:8.8.8.8",
	} {
		if why := (Policy{}).Refusal(netip.MustParseAddr(text)); why != "" {
			t.Errorf("%s is refused: %s", text, why)
		}
	}
	for text, want := range map[string]string{
		"0.0.0.0":                "unspecified",
		"0.1.2.3":                "this network",
		"10.0.0.1":               "private",
		"100.64.0.1":             "carrier-grade",
		"100.127.255.255":        "carrier-grade",
		"100.100.100.200":        "metadata",
		"127.0.0.1":              "loopback",
		"127.255.255.254":        "loopback",
		"169.254.0.1":            "link-local",
		"169.254.169.254":        "metadata",
		"168.63.129.16":          "metadata",
		"172.16.0.1":             "private",
		"172.31.255.255":         "private",
		"192.0.0.8":              "protocol assignment",
		"192.0.2.1":              "documentation",
		"192.88.99.1":            "6to4",
		"192.168.1.1":            "private",
		"198.18.0.1":             "benchmarking",
		"198.19.255.255":         "benchmarking",
		"198.51.100.1":           "documentation",
		"203.0.113.1":            "documentation",
		"224.0.0.1":              "multicast",
		"239.255.255.255":        "multicast",
		"240.0.0.1":              "reserved",
		"255.255.255.255":        "broadcast",
		"::":                     "unspecified",
		"::1":                    "loopback",
		"::127.0.0.1":            "IPv4-compatible",
		"::ffff:127.0.0.1":       "loopback",
		"::ffff:10.1.1.1":        "private",
		"::ffff:169.254.169.254": "metadata",
		"::ffff:0:10.0.0.1":      "not a global unicast",
		"64:ff9b::a00:1":         "NAT64",
		"64:ff9b::808:808":       "NAT64",
		"64:ff9b:1::1":           "NAT64",
		"100::1":                 "discard-only",
		"2001::1":                "Teredo",
		"2001:0:53aa:64c::1":     "Teredo",
		"2001:2::1":              "protocol assignment",
		"2001:20::1":             "protocol assignment",
		"2001:db8::1":            "documentation",
		"2002:7f00:1::1":         "6to4",
		"3fff::1":                "documentation",
		"2600::5efe:7f00:1":      "ISATAP",
		"2600::200:5efe:7f00:1":  "ISATAP",
		"4000::1":                "not a global unicast",
		"5f00::1":                "not a global unicast",
		"fc00::1":                "unique local",
		"fd12:3456::1":           "unique local",
		"fd00:ec2::254":          "metadata",
		"fe80::1":                "link-local",
		"fe80::1%eth0":           "zone",
		"2600::1%eth0":           "zone",
		"fec0::1":                "site-local",
		"ff02::1":                "multicast",
		"ffff::1":                "multicast",
	} {
		if why := (Policy{}).Refusal(netip.MustParseAddr(text)); !strings.Contains(why, want) {
			t.Errorf("%s: refused for %q, want %q", text, why, want)
		}
	}
	if (Policy{}).Refusal(netip.Addr{}) == "" {
		t.Error("the zero address is permitted")
	}
}

func TestPolicyAllow(t *testing.T) {
	policy := prefixes(t, "127.0.0.0/8", "::1/128", "10.1.0.0/16", "fd00::/8", "::ffff:172.16.0.0/108", "169.254.0.0/16",
		"64:ff9b::/96", "100.100.100.200/32", "224.0.0.0/3", "0.0.0.0/8")
	for text, permitted := range map[string]bool{
		"127.0.0.1":          true,
		"::ffff:127.0.0.1":   true,
		"::1":                true,
		"10.1.2.3":           true,
		"10.2.0.1":           false,
		"172.16.5.5":         true,
		"172.32.0.1":         true, // public
		"fd12::1":            true,
		"fd00:ec2::254":      false, // metadata needs its own entry
		"169.254.3.4":        true,
		"169.254.169.254":    false,
		"100.100.100.200":    true,
		"64:ff9b::808:808":   true,
		"64:ff9b::a02:1":     false, // 10.2.0.1 behind the translator
		"64:ff9b::a01:1":     true,  // 10.1.0.1
		"64:ff9b::a9fe:a9fe": false,
		"224.0.0.1":          false,
		"255.255.255.255":    false,
		"0.0.0.0":            false,
		"::":                 false,
		"fe80::1":            false,
	} {
		if why := policy.Refusal(netip.MustParseAddr(text)); (why == "") != permitted {
			t.Errorf("%s: permitted is %v, want %v (%s)", text, !permitted, permitted, why)
		}
	}
}

func TestNewPolicyRefusesBadPrefixes(t *testing.T) {
	for _, p := range []netip.Prefix{{}, netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.0"), 8)} {
		if _, err := NewPolicy([]netip.Prefix{p}); err == nil {
			t.Errorf("%v is accepted", p)
		}
	}
}

func TestCanonicalName(t *testing.T) {
	long := strings.Repeat("a.", 126) + "b"
	for in, want := range map[string]string{
		"Host.Example":                       "host.example",
		"host.example.":                      "host.example",
		"localhost":                          "localhost",
		"xn--bcher-kva.example":              "xn--bcher-kva.example",
		"1.2.3.example":                      "1.2.3.example",
		"a.b-c.0xfg":                         "a.b-c.0xfg",
		long:                                 long,
		"":                                   "",
		".":                                  "",
		"a..b":                               "",
		".a":                                 "",
		"a.":                                 "a",
		"a..":                                "",
		"-a.example":                         "",
		"a-.example":                         "",
		"a_b.example":                        "",
		"*.example":                          "",
		"bücher.example":                     "",
		"a b":                                "",
		"a/b":                                "",
		"a\x00.example":                      "",
		"127.0.0.1":                          "",
		"127.1":                              "",
		"2130706433":                         "",
		"0x7f000001":                         "",
		"0x7f.1":                             "",
		"example.0x":                         "",
		"017700000001":                       "",
		"::1":                                "",
		"fe80::1%eth0":                       "",
		"[::1]":                              "",
		long + "c":                           "",
		strings.Repeat("a", 64) + ".example": "",
	} {
		got, err := CanonicalName(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("CanonicalName(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}
