// Package forwarded finds the address of a client that comes through reverse
// proxies at layer 7: in X-Forwarded-For, or in Forwarded (RFC 7239), where only
// the parameter "for" is read. The header is believed as far as proxies wrote it
// that are trusted by their own address: it is read from its end, and the first
// address of nobody trusted is the client. What stands before that came from the
// client itself and is not even parsed.
//
// Left out: every other header (X-Real-IP, X-Forwarded-Host and -Proto: the
// external URL is configured), the PROXY protocol, and obfuscated or unknown
// nodes (RFC 7239 section 6), which name no address.
package forwarded

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers that can be believed, one at a time: of two a client could choose
// the one that its proxy does not write.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// What became of a request's header, for counting.
const (
	Taken     = "taken"     // the client's address was found
	Missing   = "missing"   // a trusted proxy sent no address; its own counts
	Malformed = "malformed" // neither did it write one that can be read; its own counts
	Ignored   = "ignored"   // somebody who is not trusted sent the header
)

// Outcomes lists them.
func Outcomes() []string { return []string{Taken, Missing, Malformed, Ignored} }

const (
	maxHops    = 32  // list elements that are looked at, empty ones included
	maxElement = 512 // octets of one
)

// Options are what an installation has before its listeners.
type Options struct {
	Trusted []netip.Prefix // addresses of proxies; needed
	Header  string         // XForwardedFor or Forwarded
	Observe func(outcome string)
}

// Proxies knows which ones are trusted.
type Proxies struct {
	Options
	last func(line string) (element, rest string, ok bool)
	node func(element string) (netip.AddrPort, bool)
}

// New checks the options.
func New(o Options) (*Proxies, error) {
	if len(o.Trusted) == 0 || o.Observe == nil {
		return nil, errors.New("forwarded: a part is missing")
	}
	switch o.Header {
	case XForwardedFor:
		return &Proxies{o, lastPlain, parseNode}, nil
	case Forwarded:
		return &Proxies{o, lastUnquoted, parseElement}, nil
	}
	return nil, fmt.Errorf("forwarded: the header %q is not known", o.Header)
}

// Handler gives requests of trusted proxies on with the client's address as
// RemoteAddr, with port 0 where the proxy does not tell it; every other request
// as it came.
func (p *Proxies) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := r.Header[p.Header]
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !p.trusts(peer.Addr()) {
			if len(lines) > 0 {
				p.Observe(Ignored)
			}
			next.ServeHTTP(w, r)
			return
		}
		client, outcome := p.client(lines)
		p.Observe(outcome)
		if outcome == Taken {
			r = r.WithContext(r.Context()) // a copy: the server's own keeps the peer
			r.RemoteAddr = client.String()
		}
		next.ServeHTTP(w, r)
	})
}

func (p *Proxies) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(p.Trusted, func(t netip.Prefix) bool { return t.Contains(a) })
}

// client walks the header's lines, which are one list (RFC 9110 section 5.3),
// from the end to the first address that is not trusted. Where all are, the
// client is one of them: the one that the list begins with.
func (p *Proxies) client(lines []string) (found netip.AddrPort, outcome string) {
	hops := 0
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			element, rest, ok := p.last(line)
			if hops++; !ok || hops > maxHops {
				return netip.AddrPort{}, Malformed
			}
			more = len(element) < len(line)
			line = rest
			if strings.Trim(element, " \t") == "" { // RFC 9110 section 5.6.1.2
				continue
			}
			if found, ok = p.node(element); !ok {
				return netip.AddrPort{}, Malformed
			}
			if !p.trusts(found.Addr()) {
				return found, Taken
			}
		}
	}
	if !found.IsValid() {
		return found, Missing
	}
	return found, Taken
}
