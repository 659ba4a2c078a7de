package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

func resolver(t *testing.T, servers ...string) *Resolver {
	t.Helper()
	r, err := NewResolver(ResolverConfig{Servers: servers, Timeout: 500 * time.Millisecond, LocalhostToLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func texts(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func TestLookup(t *testing.T) {
	chain := []string{"c12.example. 1 IN A 192.0.2.9"}
	for i := range 12 {
		chain = append(chain, fmt.Sprintf("c%d.example. 1 IN CNAME c%d.example.", i, i+1))
	}
	server := dnstest.New(t, append(chain,
		"both.example. 1 IN A 192.0.2.1",
		"both.example. 1 IN A 192.0.2.1",
		"both.example. 1 IN A 192.0.2.2",
		"both.example. 1 IN AAAA 2001:db8::1",
		"four.example. 1 IN A 192.0.2.3",
		"six.example. 1 IN AAAA 2001:db8::3",
		"mapped.example. 1 IN AAAA ::ffff:127.0.0.1",
		"alias.example. 1 IN CNAME Both.Example.",
		"circle.example. 1 IN CNAME elcric.example.",
		"elcric.example. 1 IN CNAME circle.example.",
		"text.example. 1 IN TXT hello",
	)...)
	r := resolver(t, server.Addr)
	for name, want := range map[string][]string{
		"both.example":   {"2001:db8::1", "192.0.2.1", "192.0.2.2"},
		"BOTH.example.":  {"2001:db8::1", "192.0.2.1", "192.0.2.2"},
		"alias.example":  {"2001:db8::1", "192.0.2.1", "192.0.2.2"},
		"four.example":   {"192.0.2.3"},
		"six.example":    {"2001:db8::3"},
		"mapped.example": {"::ffff:127.0.0.1"},
		"c2.example":     {"192.0.2.9"},
		"localhost":      {"::1", "127.0.0.1"},
		"a.b.localhost":  {"::1", "127.0.0.1"},
		"192.0.2.77":     {"192.0.2.77"},
		"2001:db8::77":   {"2001:db8::77"},
	} {
		got, err := r.Lookup(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, texts(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name, want := range map[string]string{
		"missing.example": "NXDOMAIN",
		"text.example":    "neither an A nor an AAAA",
		"circle.example":  "neither an A nor an AAAA",
		"c0.example":      "neither an A nor an AAAA", // 12 steps
		"bad_name":        "not a DNS host name",
	} {
		_, err := r.Lookup(t.Context(), name)
		var e *Error
		if !errors.As(err, &e) || e.Kind != DNS || !strings.Contains(e.Public(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func TestLookupAsksLocalhostOnlyWithoutTheOption(t *testing.T) {
	server := dnstest.New(t, "x.localhost. 1 IN A 192.0.2.1")
	r, err := NewResolver(ResolverConfig{Servers: []string{server.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Lookup(t.Context(), "x.localhost")
	if err != nil || len(got) != 1 || server.Asked("x.localhost", dns.TypeA) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestLookupTruncatedGoesToTCP(t *testing.T) {
	var overTCP atomic.Int32
	addr := dnstest.Serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
		reply := new(dns.Msg).SetReply(ask)
		if w.RemoteAddr().Network() == "udp" {
			reply.Truncated = true
		} else {
			overTCP.Add(1)
			if ask.Question[0].Qtype == dns.TypeA {
				for i := range 40 {
					rr, err := dns.NewRR(fmt.Sprintf("%s 1 IN A 192.0.2.%d", ask.Question[0].Name, i))
					if err != nil {
						t.Error(err)
					}
					reply.Answer = append(reply.Answer, rr)
				}
			}
		}
		w.WriteMsg(reply)
	}))
	got, err := resolver(t, addr).Lookup(t.Context(), "big.example")
	if err != nil || len(got) != maxAddresses || overTCP.Load() != 2 {
		t.Errorf("got %d addresses, %v, %d questions over TCP", len(got), err, overTCP.Load())
	}
}

func TestLookupNextServer(t *testing.T) {
	good := dnstest.New(t, "host.example. 1 IN A 192.0.2.1")
	bad := map[string]func(w dns.ResponseWriter, ask *dns.Msg){
		"servfail": func(w dns.ResponseWriter, ask *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure))
		},
		"refused": func(w dns.ResponseWriter, ask *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetRcode(ask, dns.RcodeRefused))
		},
		"garbage": func(w dns.ResponseWriter, ask *dns.Msg) {
			w.Write([]byte{byte(ask.Id >> 8), byte(ask.Id), 0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0, 0xc0})
		},
		"other question": func(w dns.ResponseWriter, ask *dns.Msg) {
			reply := new(dns.Msg).SetReply(ask)
			reply.Question[0].Name = "other.example."
			w.WriteMsg(reply)
		},
		"silent": func(dns.ResponseWriter, *dns.Msg) {},
	}
	for name, handler := range bad {
		t.Run(name, func(t *testing.T) {
			addr := dnstest.Serve(t, dns.HandlerFunc(handler))
			got, err := resolver(t, addr, good.Addr).Lookup(t.Context(), "host.example")
			if err != nil || len(got) != 1 {
				t.Errorf("got %v, %v", got, err)
			}
			_, err = resolver(t, addr).Lookup(t.Context(), "host.example")
			var e *Error
			if !errors.As(err, &e) || e.Kind != DNS || !strings.Contains(e.Public(), "the resolver") {
				t.Errorf("alone: %v", err)
			}
		})
	}
}

func TestLookupForgedIDIsIgnored(t *testing.T) {
	addr := dnstest.Serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
		forged := new(dns.Msg).SetReply(ask)
		forged.Id++
		forged.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: ask.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{6, 6, 6, 6}}}
		w.WriteMsg(forged)
		w.WriteMsg(new(dns.Msg).SetReply(ask))
	}))
	if got, err := resolver(t, addr).Lookup(t.Context(), "host.example"); err == nil {
		t.Errorf("a forged answer was taken: %v", got)
	}
}

// TestLookupAsksFromOneSocket: both questions leave together, and the answers
// may come in any order.
func TestLookupAsksFromOneSocket(t *testing.T) {
	for _, first := range []uint16{dns.TypeA, dns.TypeAAAA} {
		answered := make(chan struct{})
		from := make(chan string, 2)
		addr := dnstest.Serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
			from <- w.RemoteAddr().String()
			text := ask.Question[0].Name + " 1 IN A 192.0.2.1"
			if ask.Question[0].Qtype == dns.TypeAAAA {
				text = ask.Question[0].Name + " 1 IN AAAA 2001:db8::1"
			}
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Error(err)
			}
			answer := new(dns.Msg).SetReply(ask)
			answer.Answer = []dns.RR{rr}
			if ask.Question[0].Qtype == first {
				defer close(answered)
			} else {
				<-answered
			}
			w.WriteMsg(answer)
		}))
		got, err := resolver(t, addr).Lookup(t.Context(), "host.example")
		if want := []string{"2001:db8::1", "192.0.2.1"}; err != nil || !slices.Equal(texts(got), want) {
			t.Errorf("type %d first: got %v, %v", first, got, err)
		}
		if a, b := <-from, <-from; a != b {
			t.Errorf("asked from %s and %s", a, b)
		}
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	addr := dnstest.Serve(t, dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) {}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := resolver(t, addr).Lookup(ctx, "host.example"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNewResolver(t *testing.T) {
	for _, bad := range []ResolverConfig{
		{Servers: []string{"192.0.2.1"}}, {Servers: []string{":53"}}, {Servers: []string{"192.0.2.1:0"}},
		{Servers: []string{"192.0.2.1:65536"}}, {Servers: []string{"192.0.2.1:dns"}}, {Timeout: -1}, {Rounds: -1},
	} {
		if _, err := NewResolver(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	if _, err := NewResolver(ResolverConfig{}); err != nil {
		t.Error(err)
	}
}

func TestSystemServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	for content, want := range map[string][]string{
		"nameserver 192.0.2.53\nsearch example\nnameserver 2001:db8::53\n": {"192.0.2.53:53", "[2001:db8::53]:53"},
		"search example\n": {"127.0.0.1:53", "[::1]:53"},
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, systemServers(file)); diff != "" {
			t.Error(diff)
		}
	}
	if got := systemServers(file + ".missing"); len(got) != 2 {
		t.Errorf("without a file: %v", got)
	}
}
