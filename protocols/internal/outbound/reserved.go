package outbound

import "net/netip"

// reservedRange is a row of IANA's special-purpose address registries (RFC 6890)
// that is no place for a public target.
type reservedRange struct {
	prefix netip.Prefix
	why    string
}

func row(prefix, why string) reservedRange {
	return reservedRange{netip.MustParsePrefix(prefix), why}
}

var (
	globalUnicast6 = netip.MustParsePrefix("2000::/3") // RFC 4291 section 2.4: all that IANA hands out
	nat64          = netip.MustParsePrefix("64:ff9b::/96")

	reserved4 = []reservedRange{
		row("0.0.0.0/8", "address of this network (RFC 791)"),
		row("10.0.0.0/8", "private address (RFC 1918)"),
		row("100.64.0.0/10", "carrier-grade NAT address (RFC 6598)"),
		row("127.0.0.0/8", "loopback address"),
		row("169.254.0.0/16", "link-local address (RFC 3927)"),
		row("172.16.0.0/12", "private address (RFC 1918)"),
		row("192.0.0.0/24", "protocol assignment (RFC 6890)"),
		row("192.0.2.0/24", "documentation address (RFC 5737)"),
		row("192.31.196.0/24", "AS112 address (RFC 7535)"),
		row("192.52.193.0/24", "AMT relay address (RFC 7450)"),
		row("192.88.99.0/24", "6to4 relay address (RFC 7526)"),
		row("192.168.0.0/16", "private address (RFC 1918)"),
		row("192.175.48.0/24", "AS112 address (RFC 7534)"),
		row("198.18.0.0/15", "benchmarking address (RFC 2544)"),
		row("198.51.100.0/24", "documentation address (RFC 5737)"),
		row("203.0.113.0/24", "documentation address (RFC 5737)"),
		row("240.0.0.0/4", "reserved address (RFC 1112)"),
	}

	// outside6 names the ranges beyond 2000::/3 that deserve a better reason than
	// not being global unicast.
	outside6 = []reservedRange{
		row("::1/128", "loopback address"),
		row("::/96", "IPv4-compatible address (RFC 4291)"),
		row("64:ff9b::/96", "NAT64 address (RFC 6052)"),
		row("64:ff9b:1::/48", "NAT64 address (RFC 8215)"),
		row("100::/64", "discard-only address (RFC 6666)"),
		row("fc00::/7", "unique local address (RFC 4193)"),
		row("fe80::/10", "link-local address (RFC 4291)"),
		row("fec0::/10", "site-local address (RFC 3879)"),
	}

	reserved6 = []reservedRange{
		row("2001::/32", "Teredo address (RFC 4380)"),
		row("2001::/23", "protocol assignment (RFC 2928)"), // benchmarking, ORCHID, anycast services
		row("2001:db8::/32", "documentation address (RFC 3849)"),
		row("2002::/16", "6to4 address (RFC 3056)"),
		row("2620:4f:8000::/48", "AS112 address (RFC 7534)"),
		row("3fff::/20", "documentation address (RFC 9637)"),
	}

	// metadataServices hand out credentials of the host to whoever can ask from it.
	// Some lie in ranges that sites allow for other reasons, one is a public address.
	metadataServices = []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), // the common one
		netip.MustParseAddr("169.254.170.2"),   // AWS container credentials
		netip.MustParseAddr("169.254.170.23"),  // AWS pod identity
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("fd00:ec2::23"),    // AWS pod identity
		netip.MustParseAddr("fd20:ce::254"),    // Google
		netip.MustParseAddr("168.63.129.16"),   // Azure
		netip.MustParseAddr("100.100.100.200"), // Alibaba
		netip.MustParseAddr("192.0.0.192"),     // Oracle
		netip.MustParseAddr("169.254.42.42"),   // Scaleway
		netip.MustParseAddr("fd00:42::42"),     // Scaleway
	}
)

func refusalIn(table []reservedRange, addr netip.Addr) string {
	for _, r := range table {
		if r.prefix.Contains(addr) {
			return r.why
		}
	}
	return ""
}

// isISATAP tells whether the interface identifier embeds an IPv4 address that a
// tunnel router would deliver to (RFC 5214 section 6.1).
func isISATAP(addr netip.Addr) bool {
	b := addr.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
