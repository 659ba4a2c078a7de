package outbound

import (
	"context"
	"errors"
	"slices"

	"github.com/miekg/dns"
)

// reply is the outcome of one question; err is nil if msg holds a usable answer.
type reply struct {
	msg *dns.Msg
	err *Error
}

// query asks questions about one name of the servers in order, round after round,
// until each has a usable answer: NOERROR, perhaps empty. NXDOMAIN ends the search
// at once; every other code, a timeout or nonsense leads to the next server.
func (r *Resolver) query(ctx context.Context, name string, qtypes ...uint16) []reply {
	replies := make([]reply, len(qtypes))
	open := make([]int, len(qtypes)) // places of the questions that go on
	for i := range open {
		open[i] = i
	}
	for range r.rounds {
		for _, server := range r.servers {
			if err := ctx.Err(); err != nil {
				for _, i := range open {
					replies[i].err = &Error{Kind: DNS, Host: name, Reason: dialReason(err), Err: err}
				}
				return replies
			}
			asks := make([]*question, len(open))
			for n, i := range open {
				asks[n] = newQuestion(name, qtypes[i], asks[:n])
				asks[n].direct = r.direct
				asks[n].ask.RecursionDesired = !r.direct
			}
			r.exchange(ctx, asks, server)
			left := open[:0]
			for n, i := range open {
				var final bool
				if replies[i], final = asks[n].judge(name); !final {
					left = append(left, i)
				}
			}
			if open = left; len(open) == 0 {
				return replies
			}
		}
	}
	return replies
}

// question is one that was asked of one server, and what came of it.
type question struct {
	ask, msg *dns.Msg
	err      error
	direct   bool
}

// newQuestion has a random id that none of the others has, and the recursion bit.
func newQuestion(name string, qtype uint16, others []*question) *question {
	q := &question{ask: new(dns.Msg)}
	q.ask.SetQuestion(dns.Fqdn(name), qtype)
	for slices.ContainsFunc(others, func(o *question) bool { return o.ask.Id == q.ask.Id }) {
		q.ask.Id = dns.Id()
	}
	q.ask.SetEdns0(udpPayloadSize, false)
	return q
}

// judge tells what a server's answer means; final is false where the next server
// may know better.
func (q *question) judge(name string) (out reply, final bool) {
	switch {
	case q.err != nil:
		return reply{err: &Error{Kind: DNS, Host: name, Reason: exchangeReason(q.err), Err: q.err}}, false
	case q.direct && !q.msg.Authoritative && (q.msg.Rcode == dns.RcodeSuccess || q.msg.Rcode == dns.RcodeNameError):
		return reply{err: &Error{Kind: DNS, Host: name, Reason: "a name server of the zone does not answer for it"}}, false
	case q.msg.Rcode == dns.RcodeSuccess:
		return reply{msg: q.msg}, true
	case q.msg.Rcode == dns.RcodeNameError:
		return reply{err: &Error{Kind: DNS, Host: name, Reason: "there is no such name (NXDOMAIN)", Absent: true}}, true
	default:
		return reply{err: &Error{Kind: DNS, Host: name, Reason: "the resolver answered " + rcodeText(q.msg.Rcode)}}, false
	}
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
