package harness

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestDNS(t *testing.T) {
	s := DNS(t)
	s.SetA("two.test", netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3"))
	s.SetAAAA("six.test", netip.MustParseAddr("::1"))
	s.SetA("six.test")
	s.SetTXT("_acme-challenge.txt.test", "one", "two")
	s.SetTXT("long.test", strings.Repeat("a", 255), strings.Repeat("b", 255), strings.Repeat("c", 255))
	s.SetRcode("broken.test", dns.RcodeServerFailure)
	tests := []struct {
		network, name, kind string
		want                []string
		rcode               int
		truncated           bool
	}{
		{network: "udp", name: "any.test", kind: "A", want: []string{"127.0.0.1"}},
		{network: "tcp", name: "any.test", kind: "A", want: []string{"127.0.0.1"}},
		{network: "udp", name: "any.test", kind: "AAAA"},
		{network: "udp", name: "TwO.test", kind: "A", want: []string{"127.0.0.2", "127.0.0.3"}},
		{network: "udp", name: "six.test", kind: "A"},
		{network: "udp", name: "six.test", kind: "AAAA", want: []string{"::1"}},
		{network: "tcp", name: "_acme-challenge.txt.test", kind: "TXT", want: []string{`"one"`, `"two"`}},
		{network: "udp", name: "broken.test", kind: "A", rcode: dns.RcodeServerFailure},
		{network: "udp", name: "long.test", kind: "TXT", want: []string{`"` + strings.Repeat("a", 255) + `"`}, truncated: true},
	}
	for _, test := range tests {
		t.Run(test.network+" "+test.name+" "+test.kind, func(t *testing.T) {
			before := s.Queries(test.name, test.kind)
			query := new(dns.Msg).SetQuestion(dns.Fqdn(test.name), dns.StringToType[test.kind])
			answer, _, err := (&dns.Client{Net: test.network}).ExchangeContext(t.Context(), query, s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, record := range answer.Answer {
				if record.Header().Name != dns.Fqdn(test.name) {
					t.Errorf("answered for %s", record.Header().Name)
				}
				got = append(got, strings.SplitN(record.String(), "\t", 5)[4])
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if answer.Rcode != test.rcode || answer.Truncated != test.truncated {
				t.Errorf("rcode %d truncated %v", answer.Rcode, answer.Truncated)
			}
			if n := s.Queries(test.name, test.kind) - before; n != 1 {
				t.Errorf("counted %d queries", n)
			}
		})
	}
}
