package outbound

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const headerSize = 12 // octets of a message before its sections (RFC 1035 section 4.1.1)

var (
	errForeign   = errors.New("the answer is to another question")
	errMalformed = errors.New("the answer is malformed")
)

// exchange sends questions to one server from a fresh socket, hence with a random
// port beside the random ids (RFC 5452 section 9.2), and again over TCP those whose
// answer was truncated (RFC 7766 section 5).
func (r *Resolver) exchange(ctx context.Context, asks []*question, server string) {
	attempt, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if err := overUDP(attempt, asks, server); err != nil {
		for _, q := range asks {
			if q.msg == nil && q.err == nil {
				q.err = err
			}
		}
	}
	for _, q := range asks {
		if q.err == nil && q.msg.Truncated {
			r.overTCP(ctx, q, server)
		}
	}
}

// overUDP sends all questions and reads until each has its answer, whatever comes
// first. What carries no id of theirs is passed over: it may be late or forged.
func overUDP(ctx context.Context, asks []*question, server string) error {
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "udp", server)
	if err != nil {
		return err
	}
	defer socket.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := socket.SetDeadline(deadline); err != nil {
			return err
		}
	}
	var space [udpPayloadSize]byte
	for _, q := range asks {
		packed, err := q.ask.PackBuffer(space[:])
		if err != nil {
			return errMalformed
		}
		if _, err := socket.Write(packed); err != nil {
			return err
		}
	}
	for open := len(asks); open > 0; {
		n, err := socket.Read(space[:])
		if err != nil {
			return err
		}
		msg := new(dns.Msg)
		malformed := msg.Unpack(space[:n]) // the id is read first
		i := slices.IndexFunc(asks, func(q *question) bool { return q.ask.Id == msg.Id && q.msg == nil && q.err == nil })
		switch {
		case n < headerSize || i < 0:
			continue
		case malformed != nil:
			asks[i].err = errMalformed // the parser's text may quote the answer
		case !answers(msg, asks[i].ask):
			asks[i].err = errForeign
		default:
			asks[i].msg = msg
		}
		open--
	}
	return nil
}

// overTCP asks one question again.
func (r *Resolver) overTCP(ctx context.Context, q *question, server string) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	client := &dns.Client{Net: "tcp", Timeout: r.timeout}
	msg, _, err := client.ExchangeContext(ctx, q.ask, server)
	var netErr net.Error
	switch {
	case err != nil && (errors.As(err, &netErr) || ctx.Err() != nil):
		q.err = err
	case err != nil, msg.Truncated:
		q.err = errMalformed
	case !answers(msg, q.ask):
		q.err = errForeign
	}
	q.msg = msg
}

// answers tells whether msg replies to the question of ask; the ids were
// compared already.
func answers(msg, ask *dns.Msg) bool {
	if !msg.Response || len(msg.Question) != 1 {
		return false
	}
	got, want := msg.Question[0], ask.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
}
