package outbound

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// maxZoneServers is how many servers of one zone are asked.
const maxZoneServers = 4

// Authoritative asks for records at the servers that their zone names as its own,
// so that no cache stands between a change and its answer. Which servers those
// are, and their addresses, it learns from a Resolver; the addresses are held
// against a Policy, since whoever has a domain chooses them. It is safe for
// concurrent use.
type Authoritative struct {
	resolver *Resolver
	policy   Policy
	port     uint16
}

// NewAuthoritative makes one that asks port 53.
func NewAuthoritative(r *Resolver, p Policy) *Authoritative { return &Authoritative{r, p, 53} }

// LookupTXT is Resolver.LookupTXT.
func (a *Authoritative) LookupTXT(ctx context.Context, name string) ([]string, error) {
	name, err := recordName(name)
	if err != nil {
		return nil, &Error{Kind: DNS, Host: "the record", Reason: ErrName.Error(), Err: err}
	}
	msg, owner, err := a.ask(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	return textRecords(msg, owner)
}

// LookupCAA is Resolver.LookupCAA.
func (a *Authoritative) LookupCAA(ctx context.Context, name string) ([]CAA, error) {
	name, err := recordName(name)
	if err != nil {
		return nil, &Error{Kind: DNS, Host: "the record", Reason: ErrName.Error(), Err: err}
	}
	msg, owner, err := a.ask(ctx, name, dns.TypeCAA)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return caaRecords(msg, owner)
}

// ask gives the answer of a zone's own servers, and the name that it is about:
// another one where aliases lead into other zones.
func (a *Authoritative) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, string, error) {
	for range maxChain + 1 {
		servers, err := a.servers(ctx, name)
		if err != nil {
			return nil, "", err
		}
		direct := &Resolver{servers: servers, timeout: a.resolver.timeout, rounds: a.resolver.rounds, direct: true}
		answer := direct.query(ctx, name, qtype)[0]
		if answer.err != nil {
			return nil, "", answer.err
		}
		found, _ := chainRecords(answer.msg, name, qtype)
		next := lastAlias(answer.msg, name)
		if len(found) > 0 || next == name {
			return answer.msg, name, nil
		}
		if name, err = recordName(next); err != nil {
			return nil, "", &Error{Kind: DNS, Host: "the record", Reason: "an alias leads to what is not a name", Err: err}
		}
	}
	return nil, "", &Error{Kind: DNS, Host: name, Reason: "its aliases do not come to an end"}
}

// lastAlias follows the CNAME records in an answer to the last name; a circle ends
// after maxChain steps.
func lastAlias(msg *dns.Msg, name string) string {
	owner := dns.CanonicalName(name)
	for range maxChain {
		at := slices.IndexFunc(msg.Answer, func(rr dns.RR) bool {
			_, alias := rr.(*dns.CNAME)
			return alias && dns.CanonicalName(rr.Header().Name) == owner
		})
		if at < 0 {
			break
		}
		owner = dns.CanonicalName(msg.Answer[at].(*dns.CNAME).Target)
	}
	return strings.TrimSuffix(owner, ".")
}

// servers finds the permitted addresses of the servers of the zone that holds a
// name: of the nearest name at or above it that has NS records of its own.
func (a *Authoritative) servers(ctx context.Context, name string) ([]string, error) {
	for zone := name; zone != ""; _, zone, _ = strings.Cut(zone, ".") {
		answer := a.resolver.query(ctx, zone, dns.TypeNS)[0]
		if answer.err != nil {
			if answer.err.Absent {
				continue
			}
			return nil, answer.err
		}
		var hosts []string
		for _, rr := range answer.msg.Answer {
			if ns, ok := rr.(*dns.NS); ok && dns.CanonicalName(ns.Hdr.Name) == dns.CanonicalName(zone) && len(hosts) < maxZoneServers {
				hosts = append(hosts, ns.Ns)
			}
		}
		if len(hosts) > 0 {
			return a.addresses(ctx, zone, hosts)
		}
	}
	return nil, &Error{Kind: DNS, Host: name, Reason: "no zone above it names its servers"}
}

func (a *Authoritative) addresses(ctx context.Context, zone string, hosts []string) ([]string, error) {
	var found []string
	var refused []Note
	var last error
	for _, host := range hosts {
		all, err := a.resolver.Lookup(ctx, host)
		if err != nil {
			last = err
			continue
		}
		for _, addr := range all[:min(len(all), 2)] {
			if why := a.policy.Refusal(addr); why != "" {
				refused = append(refused, Note{addr, why})
				continue
			}
			found = append(found, net.JoinHostPort(netip.Addr.String(addr.Unmap()), strconv.Itoa(int(a.port))))
		}
	}
	switch {
	case len(found) > 0:
		return found[:min(len(found), maxZoneServers)], nil
	case len(refused) > 0:
		return nil, &Error{Kind: DNS, Host: zone, Reason: "its name servers are not permitted targets", Err: refusedError(refused)}
	}
	return nil, &Error{Kind: DNS, Host: zone, Reason: "its name servers have no address", Err: last}
}
