package va

import (
	"net/netip"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// Options configure HTTP01; zero values take the defaults of HTTP01.
type Options struct {
	Resolvers           []string       // host:port of DNS servers; empty: the system's
	Allow               []netip.Prefix // refused address ranges that may be asked all the same
	LocalhostToLoopback bool           // localhost and *.localhost are loopback without DNS; dev only
	Port                uint16
	Timeout             time.Duration
}

// NewHTTP01 makes a validator with a resolver and an address policy of its own.
func NewHTTP01(o Options) (*HTTP01, error) {
	policy, err := outbound.NewPolicy(o.Allow)
	if err != nil {
		return nil, err
	}
	resolver, err := outbound.NewResolver(outbound.ResolverConfig{Servers: o.Resolvers, LocalhostToLoopback: o.LocalhostToLoopback})
	if err != nil {
		return nil, err
	}
	dialer, err := outbound.NewDialer(resolver, policy, 0)
	if err != nil {
		return nil, err
	}
	return &HTTP01{Dialer: dialer, Port: o.Port, Timeout: o.Timeout}, nil
}
