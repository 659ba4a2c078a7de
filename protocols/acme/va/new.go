package va

import (
	"context"
	"net/netip"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// Options configure the validators; zero values take their defaults.
type Options struct {
	Resolvers           []string       // host:port of DNS servers; empty: the system's
	Allow               []netip.Prefix // http-01, tls-alpn-01: refused address ranges that may be asked all the same
	LocalhostToLoopback bool           // localhost and *.localhost are loopback without DNS; dev only
	Port                uint16         // http-01: asked first
	Timeout             time.Duration  // http-01: of one attempt
	TLSPort             uint16         // tls-alpn-01
	Authoritative       bool           // TXT and CAA records are asked of the zones' own servers
}

// records gives what TXT and CAA records are asked of.
func (o Options) records() (interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupCAA(ctx context.Context, name string) ([]outbound.CAA, error)
}, error) {
	resolver, err := o.resolver()
	if err != nil || !o.Authoritative {
		return resolver, err
	}
	policy, err := outbound.NewPolicy(o.Allow)
	if err != nil {
		return nil, err
	}
	return outbound.NewAuthoritative(resolver, policy), nil
}

// NewHTTP01 makes a validator with a resolver and an address policy of its own.
func NewHTTP01(o Options) (*HTTP01, error) {
	dialer, err := o.dialer()
	if err != nil {
		return nil, err
	}
	return &HTTP01{Dialer: dialer, Port: o.Port, Timeout: o.Timeout}, nil
}

// NewTLSALPN01 makes a validator under the same address policy.
func NewTLSALPN01(o Options) (*TLSALPN01, error) {
	dialer, err := o.dialer()
	if err != nil {
		return nil, err
	}
	return &TLSALPN01{Dialer: dialer, Port: o.TLSPort}, nil
}

func (o Options) dialer() (*outbound.Dialer, error) {
	policy, err := outbound.NewPolicy(o.Allow)
	if err != nil {
		return nil, err
	}
	resolver, err := o.resolver()
	if err != nil {
		return nil, err
	}
	return outbound.NewDialer(resolver, policy, 0)
}

// NewDNS01 makes a validator that asks the same resolvers.
func NewDNS01(o Options) (*DNS01, error) {
	resolver, err := o.records()
	if err != nil {
		return nil, err
	}
	return &DNS01{Resolver: resolver}, nil
}

// NewDNSAccount01 makes a validator that asks the same resolvers.
func NewDNSAccount01(o Options) (*DNSAccount01, error) {
	resolver, err := o.records()
	if err != nil {
		return nil, err
	}
	return &DNSAccount01{Resolver: resolver}, nil
}

// NewDNSPersist01 makes a validator that asks the same resolvers for records that
// name one of these issuer domain names; see DNSPersist01 for the prefix.
func NewDNSPersist01(o Options, issuers []string, prefix string, now func() time.Time) (*DNSPersist01, error) {
	resolver, err := o.records()
	if err != nil {
		return nil, err
	}
	return &DNSPersist01{Resolver: resolver, Issuers: issuers, Prefix: prefix, Now: now}, nil
}

// NewCAA makes a check of CAA records that lets these issuer domain names issue.
func NewCAA(o Options, issuers []string) (*CAA, error) {
	resolver, err := o.records()
	if err != nil {
		return nil, err
	}
	return &CAA{Resolver: resolver, Issuers: issuers}, nil
}

func (o Options) resolver() (*outbound.Resolver, error) {
	return outbound.NewResolver(outbound.ResolverConfig{Servers: o.Resolvers, LocalhostToLoopback: o.LocalhostToLoopback})
}
