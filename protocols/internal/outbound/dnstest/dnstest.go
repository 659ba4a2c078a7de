// Package dnstest is a recursive DNS server's double for tests: it answers on
// loopback, over UDP and TCP on one port, from records given as text.
package dnstest

import (
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Server answers from its records, chasing CNAMEs as a recursive server does.
// A name without any record is NXDOMAIN.
type Server struct {
	Addr string // host:port

	mu      sync.Mutex
	records []dns.RR
	asked   map[dns.Question]int
}

// New starts a Server that ends with the test. Records are in zone file form:
// "www.example. 60 IN A 192.0.2.1".
func New(t testing.TB, records ...string) *Server {
	s := &Server{asked: make(map[dns.Question]int)}
	s.Set(t, records...)
	s.Addr = Serve(t, s)
	return s
}

// Set replaces all records.
func (s *Server) Set(t testing.TB, records ...string) {
	t.Helper()
	parsed := make([]dns.RR, len(records))
	for i, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed[i] = rr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = parsed
}

// Asked counts the questions for name (any case, dot or not) and type so far.
func (s *Server) Asked(name string, qtype uint16) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[dns.Question{Name: dns.CanonicalName(name), Qtype: qtype, Qclass: dns.ClassINET}]
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := new(dns.Msg).SetReply(ask)
	question := ask.Question[0]
	question.Name = dns.CanonicalName(question.Name)
	s.asked[question]++
	owner, known := question.Name, false
	for range 20 {
		next := ""
		for _, rr := range s.records {
			if dns.CanonicalName(rr.Header().Name) != owner {
				continue
			}
			known = true
			if alias, ok := rr.(*dns.CNAME); ok {
				next = dns.CanonicalName(alias.Target)
				reply.Answer = append(reply.Answer, rr)
			} else if rr.Header().Rrtype == question.Qtype {
				reply.Answer = append(reply.Answer, rr)
			}
		}
		if next == "" {
			break
		}
		owner = next
	}
	if !known {
		reply.Rcode = dns.RcodeNameError
	}
	if w.LocalAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if opt := ask.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		reply.Truncate(size) // the client comes back over TCP
	}
	w.WriteMsg(reply)
}

// Serve answers with h over UDP and TCP on one port of 127.0.0.1 until the test
// ends, and gives the address.
func Serve(t testing.TB, h dns.Handler) string {
	t.Helper()
	packets, stream := listen(t)
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: h}, {Listener: stream, Handler: h}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		ended := make(chan error, 1)
		go func() { ended <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return stream.Addr().String()
}

// listen finds a port that is free for both transports.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		stream, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := stream.Addr().(*net.TCPAddr).Port
		packets, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return packets, stream
		}
		stream.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}
