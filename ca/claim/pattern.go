package claim

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Pattern stands for names: one DNS name, every name below one ("*.example.com",
// however many labels), an address, or a range of addresses.
type Pattern struct {
	name   string // the name itself, or ".example.com"
	prefix netip.Prefix
}

// ParsePattern reads a pattern: a DNS name in A-label form, maybe with "*." before
// it, an IP address, or a range of addresses such as 10.1.0.0/16.
func ParsePattern(text string) (Pattern, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" || a.Is4In6() {
			return Pattern{}, errors.New("an address in a pattern has no zone and its own form")
		}
		return Pattern{prefix: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() || p != p.Masked() {
			return Pattern{}, errors.New("a range of addresses is written as 10.1.0.0/16 or 2001:db8::/32, without bits after the prefix")
		}
		return Pattern{prefix: p}, nil
	}
	text = strings.ToLower(text)
	if err := CheckDNSName(text); err != nil {
		return Pattern{}, err
	}
	return Pattern{name: strings.TrimPrefix(text, "*")}, nil
}

// Matches tells whether a name is one that the pattern stands for. A wildcard
// name is where every name that it stands for is. Names of other kinds than
// dNSName and iPAddress never are.
func (p Pattern) Matches(n pkix.GeneralName) bool {
	switch n.Kind {
	case pkix.DNSName:
		name := strings.ToLower(string(n.Raw))
		if strings.HasPrefix(p.name, ".") {
			return len(name) > len(p.name) && strings.HasSuffix(name, p.name)
		}
		return p.name != "" && name == p.name
	case pkix.IPAddress:
		a, ok := netip.AddrFromSlice(n.Raw)
		return ok && p.prefix.IsValid() && p.prefix.Contains(a.Unmap())
	}
	return false
}
