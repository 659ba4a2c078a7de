package harness

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// DNSServer is a DNS server on loopback, UDP and TCP on one port, that answers
// what a test told it. A name it was told nothing about has the address
// 127.0.0.1 and nothing else. Names are compared without regard to case.
type DNSServer struct {
	addr string

	mu      sync.Mutex
	records map[question][]dns.RR
	rcodes  map[string]int
	asked   map[question]int
}

type question struct {
	name string
	kind uint16
}

// DNS starts a server that stops with the test.
func DNS(t testing.TB) *DNSServer {
	t.Helper()
	s := &DNSServer{
		records: make(map[question][]dns.RR), rcodes: make(map[string]int), asked: make(map[question]int),
	}
	packets, streams, err := listenBoth()
	if err != nil {
		t.Fatalf("harness: DNS: %v", err)
	}
	s.addr = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets}, {Listener: streams}} {
		server.Handler = s
		started, ended := make(chan struct{}), make(chan error, 1)
		server.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- server.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-ended:
			t.Fatalf("harness: DNS: %v", err)
		}
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Errorf("harness: stop DNS: %v", err)
			}
			if err := <-ended; err != nil {
				t.Errorf("harness: DNS: %v", err)
			}
		})
	}
	return s
}

// listenBoth finds a port that is free for UDP and TCP.
func listenBoth() (net.PacketConn, net.Listener, error) {
	var err error
	for range 20 {
		var packets net.PacketConn
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		var streams net.Listener
		if streams, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, streams, nil
		}
		packets.Close()
	}
	return nil, nil, err
}

// Addr is the server's host:port, for UDP and TCP.
func (s *DNSServer) Addr() string { return s.addr }

// SetA sets a name's IPv4 addresses; none at all means that it has none.
func (s *DNSServer) SetA(name string, addresses ...netip.Addr) {
	s.set(name, dns.TypeA, len(addresses), func(h dns.RR_Header, i int) dns.RR {
		return &dns.A{Hdr: h, A: addresses[i].AsSlice()}
	})
}

// SetAAAA sets a name's IPv6 addresses.
func (s *DNSServer) SetAAAA(name string, addresses ...netip.Addr) {
	s.set(name, dns.TypeAAAA, len(addresses), func(h dns.RR_Header, i int) dns.RR {
		return &dns.AAAA{Hdr: h, AAAA: addresses[i].AsSlice()}
	})
}

// SetTXT sets a name's TXT records, each of one string of at most 255 octets.
func (s *DNSServer) SetTXT(name string, values ...string) {
	s.set(name, dns.TypeTXT, len(values), func(h dns.RR_Header, i int) dns.RR {
		return &dns.TXT{Hdr: h, Txt: []string{values[i]}}
	})
}

// SetCAA sets a name's CAA records, each an issue property with a value.
func (s *DNSServer) SetCAA(name string, issue ...string) {
	s.set(name, dns.TypeCAA, len(issue), func(h dns.RR_Header, i int) dns.RR {
		return &dns.CAA{Hdr: h, Tag: "issue", Value: issue[i]}
	})
}

// SetRcode answers every question for a name with a response code, for example
// dns.RcodeServerFailure; dns.RcodeSuccess goes back to its records.
func (s *DNSServer) SetRcode(name string, rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcodes[canonical(name)] = rcode
}

func (s *DNSServer) set(name string, kind uint16, n int, record func(dns.RR_Header, int) dns.RR) {
	name = canonical(name)
	all := make([]dns.RR, n)
	for i := range all {
		all[i] = record(dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}, i)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[question{name, kind}] = all
}

// Queries counts the questions for a name and type ("A", "AAAA", "TXT", ...).
func (s *DNSServer) Queries(name, kind string) int {
	code, ok := dns.StringToType[kind]
	if !ok {
		panic(fmt.Sprintf("harness: no DNS type %q", kind))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question{canonical(name), code}]
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// ServeDNS answers one query.
func (s *DNSServer) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	answer := new(dns.Msg).SetReply(query)
	answer.Authoritative, answer.RecursionAvailable = true, true
	s.mu.Lock()
	for _, asked := range query.Question {
		q := question{canonical(asked.Name), asked.Qtype}
		s.asked[q]++
		if rcode := s.rcodes[q.name]; rcode != dns.RcodeSuccess {
			answer.Rcode = rcode
			continue
		}
		records, told := s.records[q]
		if !told && q.kind == dns.TypeA {
			records = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A:   net.IPv4(127, 0, 0, 1),
			}}
		}
		for _, record := range records {
			record = dns.Copy(record)
			record.Header().Name = asked.Name // in the case it was asked in
			answer.Answer = append(answer.Answer, record)
		}
	}
	s.mu.Unlock()
	if w.LocalAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
			answer.SetEdns0(uint16(size), false)
		}
		answer.Truncate(size)
	}
	if err := w.WriteMsg(answer); err != nil {
		w.Close() // the client went away
	}
}
