// Package outbound opens connections to hosts that strangers named: validation
// targets, webhooks, CRL locations. It resolves a host name once, checks every
// address of the answer against a Policy and dials exactly an address that was
// checked, so that a name which changes its answer (DNS rebinding) gains nothing.
//
// DNS is a stub resolver's part of RFC 1035 with EDNS(0) (RFC 6891): A, AAAA, TXT
// and CAA asked of recursive servers, TCP after a truncated answer. Authoritative servers
// are asked directly on request. Left out: search
// lists, /etc/hosts, DNSSEC validation (the recursive server's work), and the
// sorting rules of RFC 6724 beyond IPv6 before IPv4.
package outbound

import (
	"fmt"
	"net/netip"
)

// Policy decides which addresses may be dialed. The zero value permits global
// unicast addresses alone; NewPolicy adds exceptions.
type Policy struct {
	allow []netip.Prefix
}

// NewPolicy makes a policy that permits global unicast addresses and what allow
// covers. IPv4-mapped prefixes count as IPv4. Three things no wide prefix opens:
// unspecified, multicast and broadcast addresses are never dialed; the metadata
// services of cloud hosts need a prefix of that one address; an address inside
// the NAT64 prefix 64:ff9b::/96 needs its embedded IPv4 address permitted too.
func NewPolicy(allow []netip.Prefix) (Policy, error) {
	p := Policy{allow: make([]netip.Prefix, 0, len(allow))}
	for _, prefix := range allow {
		if !prefix.IsValid() {
			return Policy{}, fmt.Errorf("allow list holds an invalid prefix")
		}
		if addr := prefix.Addr(); addr.Is4In6() {
			if prefix.Bits() < 96 {
				return Policy{}, fmt.Errorf("allow list: %s mixes IPv4 and IPv6; write two prefixes", prefix)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
		p.allow = append(p.allow, prefix.Masked())
	}
	return p, nil
}

// Refusal gives the reason why addr must not be dialed, a short phrase that is
// safe to publish, or "" when addr may be dialed. An IPv4-mapped IPv6 address is
// judged as the IPv4 address that a socket would really reach.
func (p Policy) Refusal(addr netip.Addr) string {
	if !addr.IsValid() {
		return "not an address"
	}
	if addr.Zone() != "" {
		return "address with a zone"
	}
	addr = addr.Unmap()
	switch {
	case addr.IsUnspecified():
		return "unspecified address"
	case addr.IsMulticast():
		return "multicast address"
	case addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "broadcast address"
	}
	for _, metadata := range metadataServices {
		if addr == metadata && !p.allowsExactly(addr) {
			return "metadata service of a cloud host"
		}
	}
	if p.allows(addr) {
		return p.refusalInside(addr)
	}
	if addr.Is4() {
		return refusalIn(reserved4, addr)
	}
	if !globalUnicast6.Contains(addr) {
		if why := refusalIn(outside6, addr); why != "" {
			return why
		}
		return "not a global unicast address"
	}
	if isISATAP(addr) {
		return "IPv4 address inside an ISATAP address"
	}
	return refusalIn(reserved6, addr)
}

// refusalInside judges the IPv4 target of an allowed NAT64 address: allowing the
// translator must not allow everything that it can reach (RFC 6052 section 2.1).
func (p Policy) refusalInside(addr netip.Addr) string {
	if !nat64.Contains(addr) {
		return ""
	}
	b := addr.As16()
	if why := p.Refusal(netip.AddrFrom4([4]byte(b[12:]))); why != "" {
		return "NAT64 of: " + why
	}
	return ""
}

func (p Policy) allows(addr netip.Addr) bool {
	for _, prefix := range p.allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func (p Policy) allowsExactly(addr netip.Addr) bool {
	for _, prefix := range p.allow {
		if prefix.IsSingleIP() && prefix.Addr() == addr {
			return true
		}
	}
	return false
}
