package outbound

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const dialTimeout = 5 * time.Second

// Dialer connects to hosts that strangers named. It is safe for concurrent use.
type Dialer struct {
	resolver *Resolver
	policy   Policy
	timeout  time.Duration
}

// NewDialer makes a Dialer; timeout bounds one dial to one address, 0 means 5 s.
func NewDialer(resolver *Resolver, policy Policy, timeout time.Duration) (*Dialer, error) {
	if resolver == nil {
		return nil, fmt.Errorf("dialer: no resolver")
	}
	if timeout < 0 {
		return nil, fmt.Errorf("dialer: timeout must not be negative")
	}
	if timeout == 0 {
		timeout = dialTimeout
	}
	return &Dialer{resolver: resolver, policy: policy, timeout: timeout}, nil
}

// Path records how a connection came about, for the audit.
type Path struct {
	Resolved []netip.Addr `json:"resolved"`          // every address of the answer
	Refused  []Note       `json:"refused,omitempty"` // those the Policy refused
	Failed   []Note       `json:"failed,omitempty"`  // those dialed in vain
	Used     netip.Addr   `json:"used,omitzero"`     // the one connected to
}

// Dial resolves host once, checks every address and connects over TCP to the first
// permitted IPv6 address, else to the first permitted IPv4 address: two dials at
// the most. Addresses that the Policy refuses are left out; a host with no other is
// refused. Host is a DNS name or an address literal without brackets. The error is
// an *Error; the Path says what happened in either case.
func (d *Dialer) Dial(ctx context.Context, host string, port uint16) (net.Conn, Path, error) {
	var path Path
	addrs, err := d.resolver.Lookup(ctx, host)
	if err != nil {
		return nil, path, err
	}
	path.Resolved = addrs
	name := addrs[0].String()
	if canonical, err := CanonicalName(host); err == nil {
		name = canonical
	}
	var six, four netip.Addr
	for _, addr := range addrs {
		switch why := d.policy.Refusal(addr); {
		case why != "":
			path.Refused = append(path.Refused, Note{addr, why})
		case addr.Unmap().Is4() && !four.IsValid():
			four = addr.Unmap()
		case addr.Is6() && !addr.Is4In6() && !six.IsValid():
			six = addr
		}
	}
	if !six.IsValid() && !four.IsValid() {
		return nil, path, &Error{Kind: Refused, Host: name, Port: port, Notes: path.Refused, Err: refusedError(path.Refused)}
	}
	// The address literal goes to the socket: no name is resolved a second time.
	tcp := net.Dialer{Timeout: d.timeout, KeepAlive: -1}
	var cause error
	for _, addr := range []netip.Addr{six, four} {
		if !addr.IsValid() {
			continue
		}
		conn, err := tcp.DialContext(ctx, "tcp", netip.AddrPortFrom(addr, port).String())
		if err == nil {
			path.Used = addr
			return conn, path, nil
		}
		cause = err
		path.Failed = append(path.Failed, Note{addr, dialReason(err)})
	}
	return nil, path, &Error{Kind: Connection, Host: name, Port: port, Notes: path.Failed, Err: cause}
}
