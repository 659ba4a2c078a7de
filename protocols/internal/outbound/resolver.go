package outbound

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"
)

const (
	queryTimeout   = 2 * time.Second
	queryRounds    = 2    // how often the list of servers is gone through
	maxChain       = 10   // CNAME records followed in one answer
	maxAddresses   = 16   // addresses kept of each family
	udpPayloadSize = 1232 // EDNS(0): fits every path without fragments
)

// ResolverConfig says whom a Resolver asks.
type ResolverConfig struct {
	// Servers are recursive DNS servers as host:port, asked in this order. Empty
	// means the nameservers of /etc/resolv.conf, and where there are none the
	// servers on 127.0.0.1 and ::1.
	Servers []string
	// Timeout bounds one query to one server; 0 means 2 s.
	Timeout time.Duration
	// Rounds is how often the list is gone through before giving up; 0 means 2.
	Rounds int
	// LocalhostToLoopback answers localhost and *.localhost with ::1 and 127.0.0.1
	// without asking anyone (RFC 6761 section 6.3). For development.
	LocalhostToLoopback bool
}

// Resolver asks recursive DNS servers. It is safe for concurrent use.
type Resolver struct {
	servers  []string
	timeout  time.Duration
	rounds   int
	loopback bool
	direct   bool // asks authoritative servers: no recursion, and answers of their own
}

// NewResolver checks the configuration and makes a Resolver. The file
// /etc/resolv.conf is read here, once, and only if no server is configured.
func NewResolver(c ResolverConfig) (*Resolver, error) {
	if c.Timeout < 0 || c.Rounds < 0 {
		return nil, fmt.Errorf("resolver: timeout and rounds must not be negative")
	}
	for _, server := range c.Servers {
		host, port, err := net.SplitHostPort(server)
		if err != nil || host == "" {
			return nil, fmt.Errorf("resolver: server %q is not host:port", server)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("resolver: server %q has no port between 1 and 65535", server)
		}
	}
	r := &Resolver{servers: slices.Clone(c.Servers), timeout: c.Timeout, rounds: c.Rounds, loopback: c.LocalhostToLoopback}
	if len(r.servers) == 0 {
		r.servers = systemServers("/etc/resolv.conf")
	}
	if r.timeout == 0 {
		r.timeout = queryTimeout
	}
	if r.rounds == 0 {
		r.rounds = queryRounds
	}
	return r, nil
}

// systemServers reads the nameservers of a resolv.conf(5). A file that is missing
// or names none means a server on this host, as it does for the C library.
func systemServers(path string) []string {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil || len(conf.Servers) == 0 {
		return []string{"127.0.0.1:53", "[::1]:53"}
	}
	servers := make([]string, len(conf.Servers))
	for i, server := range conf.Servers {
		servers[i] = net.JoinHostPort(server, conf.Port)
	}
	return servers
}

// Lookup gives the addresses of host, IPv6 first, with one A and one AAAA question
// (each repeated over the servers until one answers). An address literal
// is its own answer. The error is an *Error of kind DNS; it is nil whenever one of
// the two questions brought an address.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	name, err := CanonicalName(host)
	if err != nil {
		return nil, &Error{Kind: DNS, Host: "the host", Reason: ErrName.Error(), Err: err}
	}
	if r.loopback && isLocalhost(name) {
		return []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	replies := r.query(ctx, name, dns.TypeAAAA, dns.TypeA)
	six, four := replies[0], replies[1]
	var all []netip.Addr
	if six.err == nil {
		all = addresses(six.msg, name, dns.TypeAAAA)
	}
	if four.err == nil {
		all = append(all, addresses(four.msg, name, dns.TypeA)...)
	}
	switch {
	case len(all) > 0:
		return all, nil
	case four.err != nil: // the question that matters to most hosts first
		return nil, four.err
	case six.err != nil:
		return nil, six.err
	default:
		return nil, &Error{Kind: DNS, Host: name, Reason: "it has neither an A nor an AAAA record"}
	}
}

// addresses collects the addresses that msg gives for name.
func addresses(msg *dns.Msg, name string, qtype uint16) []netip.Addr {
	var found []netip.Addr
	for _, rr := range records(msg, name, qtype) {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A.To4()
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok && !slices.Contains(found, addr) && len(found) < maxAddresses {
			found = append(found, addr)
		}
	}
	return found
}

// records gives the records of a type that msg holds for name, following the CNAME
// records that the recursive server put into the same answer (RFC 1034 section
// 3.6.2). A longer chain than maxChain, or a circle, gives none.
func records(msg *dns.Msg, name string, qtype uint16) []dns.RR {
	found, _ := chainRecords(msg, name, qtype)
	return found
}

// chainRecords is records; whole is false where the chain did not come to its end.
func chainRecords(msg *dns.Msg, name string, qtype uint16) (found []dns.RR, whole bool) {
	owner := dns.CanonicalName(name)
	for range maxChain + 1 {
		found = nil
		next := ""
		for _, rr := range msg.Answer {
			h := rr.Header()
			if dns.CanonicalName(h.Name) != owner || h.Class != dns.ClassINET {
				continue
			}
			if alias, ok := rr.(*dns.CNAME); ok {
				next = dns.CanonicalName(alias.Target)
			} else if h.Rrtype == qtype {
				found = append(found, rr)
			}
		}
		if len(found) > 0 || next == "" {
			return found, true
		}
		owner = next
	}
	return nil, false
}
