package outbound

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

// listener accepts and closes connections on addr; it gives the port.
func listener(t *testing.T, addr string) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

func dialer(t *testing.T, r *Resolver, policy Policy) *Dialer {
	t.Helper()
	d, err := NewDialer(r, policy, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDial(t *testing.T) {
	server := dnstest.New(t,
		"four.example. 1 IN A 127.0.0.1",
		"fallback.example. 1 IN AAAA ::1",
		"fallback.example. 1 IN A 127.0.0.1",
		"mixed.example. 1 IN A 10.0.0.1",
		"mixed.example. 1 IN AAAA fe80::1",
		"mixed.example. 1 IN A 127.0.0.1",
		"inside.example. 1 IN A 10.0.0.1",
		"inside.example. 1 IN AAAA ::ffff:169.254.169.254",
		"mapped.example. 1 IN AAAA ::ffff:127.0.0.1",
	)
	port := listener(t, "127.0.0.1:0")
	d := dialer(t, resolver(t, server.Addr), prefixes(t, "127.0.0.0/8", "::1/128"))
	for host, failed := range map[string]int{
		"four.example": 0, "fallback.example": 1, "mixed.example": 0, "mapped.example": 0, "x.localhost": 1, "127.0.0.1": 0, "::ffff:127.0.0.1": 0,
	} {
		conn, path, err := d.Dial(t.Context(), host, port)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if got := netip.MustParseAddrPort(conn.RemoteAddr().String()); got.Addr() != path.Used || path.Used.String() != "127.0.0.1" {
			t.Errorf("%s: connected to %s, path %+v", host, got, path)
		}
		if len(path.Failed) != failed {
			t.Errorf("%s: failed dials %v, want %d", host, path.Failed, failed)
		}
		if failed == 1 && path.Failed[0].Addr != netip.IPv6Loopback() {
			t.Errorf("%s: IPv6 was not tried first: %v", host, path.Failed)
		}
		conn.Close()
	}
	if _, path, _ := d.Dial(t.Context(), "mixed.example", port); len(path.Refused) != 2 || len(path.Resolved) != 3 {
		t.Errorf("mixed: %+v", path)
	}

	_, _, err := d.Dial(t.Context(), "Inside.example", port)
	var e *Error
	if !errors.As(err, &e) || e.Kind != Refused || len(e.Notes) != 2 || !strings.HasPrefix(e.Public(), "inside.example port ") {
		t.Errorf("inside: %v", err)
	}
	_, _, err = d.Dial(t.Context(), "missing.example", port)
	if !errors.As(err, &e) || e.Kind != DNS {
		t.Errorf("missing: %v", err)
	}
}

func TestDialPrefersIPv6(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this host has no IPv6 loopback: %v", err)
	}
	probe.Close()
	server := dnstest.New(t, "both.example. 1 IN AAAA ::1", "both.example. 1 IN A 127.0.0.1")
	port := listener(t, "[::1]:0")
	d := dialer(t, resolver(t, server.Addr), prefixes(t, "127.0.0.0/8", "::1/128"))
	conn, path, err := d.Dial(t.Context(), "both.example", port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if path.Used != netip.IPv6Loopback() {
		t.Errorf("used %s", path.Used)
	}
}

func TestDialConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	l.Close()
	d := dialer(t, resolver(t, "127.0.0.1:1"), prefixes(t, "127.0.0.0/8"))
	_, path, err := d.Dial(t.Context(), "x.localhost", port)
	var e *Error
	if !errors.As(err, &e) || e.Kind != Connection || !strings.Contains(e.Public(), "127.0.0.1: connection refused") {
		t.Errorf("got %v", err)
	}
	if len(path.Refused) != 1 || len(path.Failed) != 1 {
		t.Errorf("path %+v", path)
	}
}

// The name answers with a permitted address first and with another one ever after.
// One question a dial, and a connection to the address that was checked, show that
// nothing is resolved behind the check.
func TestDialRebinding(t *testing.T) {
	for _, c := range []struct{ name, first, then string }{
		{"good then bad", "127.0.0.1", "127.0.0.2"},
		{"bad then good", "127.0.0.2", "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := make(chan uint16, 16)
			answer := c.first
			addr := dnstest.Serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
				asked <- ask.Question[0].Qtype
				reply := new(dns.Msg).SetReply(ask)
				if ask.Question[0].Qtype == dns.TypeA {
					rr, err := dns.NewRR("rebind.example. 0 IN A " + answer)
					if err != nil {
						t.Error(err)
					}
					reply.Answer, answer = []dns.RR{rr}, c.then
				}
				w.WriteMsg(reply)
			}))
			port := listener(t, "127.0.0.1:0")
			d := dialer(t, resolver(t, addr), prefixes(t, "127.0.0.1/32"))
			conn, path, err := d.Dial(t.Context(), "rebind.example", port)
			if c.first == "127.0.0.1" {
				if err != nil {
					t.Fatal(err)
				}
				conn.Close()
				if path.Used.String() != c.first {
					t.Errorf("connected to %s", path.Used)
				}
			} else if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != Refused {
				t.Errorf("got %v", err)
			}
			if len(asked) != 2 {
				t.Errorf("%d questions, want one A and one AAAA", len(asked))
			}
		})
	}
}

func TestNewDialer(t *testing.T) {
	if _, err := NewDialer(nil, Policy{}, 0); err == nil {
		t.Error("no resolver is accepted")
	}
	if _, err := NewDialer(resolver(t, "127.0.0.1:1"), Policy{}, -1); err == nil {
		t.Error("a negative timeout is accepted")
	}
}
