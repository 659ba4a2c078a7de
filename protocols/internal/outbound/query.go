package outbound

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/miekg/dns"
)

var (
	errForeign   = errors.New("the answer is to another question")
	errMalformed = errors.New("the answer is malformed")
)

// query asks one question of the servers in order, round after round, until one
// gives a usable answer: NOERROR, perhaps empty. NXDOMAIN ends the search at once;
// every other code, a timeout or nonsense leads to the next server.
func (r *Resolver) query(ctx context.Context, name string, qtype uint16) (*dns.Msg, *Error) {
	var failure *Error
	for range r.rounds {
		for _, server := range r.servers {
			if err := ctx.Err(); err != nil {
				return nil, &Error{Kind: DNS, Host: name, Reason: dialReason(err), Err: err}
			}
			msg, err := r.exchange(ctx, name, qtype, server)
			switch {
			case err != nil:
				failure = &Error{Kind: DNS, Host: name, Reason: exchangeReason(err), Err: err}
			case msg.Rcode == dns.RcodeSuccess:
				return msg, nil
			case msg.Rcode == dns.RcodeNameError:
				return nil, &Error{Kind: DNS, Host: name, Reason: "there is no such name (NXDOMAIN)"}
			default:
				failure = &Error{Kind: DNS, Host: name, Reason: "the resolver answered " + rcodeText(msg.Rcode)}
			}
		}
	}
	return nil, failure
}

// exchange sends the question to one server from a fresh socket, hence with a
// random port beside the random id (RFC 5452 section 9.2), and again over TCP if
// the answer was truncated (RFC 7766 section 5).
func (r *Resolver) exchange(ctx context.Context, name string, qtype uint16, server string) (*dns.Msg, error) {
	ask := new(dns.Msg)
	ask.SetQuestion(dns.Fqdn(name), qtype) // a random id and the recursion bit
	ask.SetEdns0(udpPayloadSize, false)
	for _, network := range []string{"udp", "tcp"} {
		client := &dns.Client{Net: network, Timeout: r.timeout}
		attempt, cancel := context.WithTimeout(ctx, r.timeout)
		msg, _, err := client.ExchangeContext(attempt, ask, server)
		cancel()
		if err != nil {
			var netErr net.Error
			if errors.As(err, &netErr) || ctx.Err() != nil {
				return nil, err
			}
			return nil, errMalformed // the parser's text may quote the answer
		}
		if !answers(msg, ask) {
			return nil, errForeign
		}
		if !msg.Truncated {
			return msg, nil
		}
	}
	return nil, errMalformed // truncated over TCP
}

// answers tells whether msg replies to the question of ask; the client has
// compared the ids already.
func answers(msg, ask *dns.Msg) bool {
	if !msg.Response || len(msg.Question) != 1 {
		return false
	}
	got, want := msg.Question[0], ask.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
}

func exchangeReason(err error) string {
	switch {
	case errors.Is(err, errForeign), errors.Is(err, errMalformed):
		return "the resolver's answer is malformed"
	case dialReason(err) == "timed out":
		return "the resolver did not answer in time"
	default:
		return "the resolver could not be reached"
	}
}

func rcodeText(rcode int) string {
	if text, ok := dns.RcodeToString[rcode]; ok {
		return text
	}
	return "an unknown code"
}
