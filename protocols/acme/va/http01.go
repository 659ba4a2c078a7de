package va

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

const (
	defaultHopTimeout = 10 * time.Second
	defaultTimeout    = 30 * time.Second
	maxToken          = 128
)

// HTTP01 validates http-01 challenges (RFC 8555 section 8.3). It is safe for
// concurrent use; the fields are set once.
type HTTP01 struct {
	Dialer     *outbound.Dialer
	Port       uint16        // the port that is asked first; 0 means 80
	UserAgent  string        // sent with each request; empty means "enrollgate"
	HopTimeout time.Duration // from a hop's DNS question to the last octet of its answer; 0 means 10 s
	Timeout    time.Duration // for all hops together; 0 means 30 s
}

// Validate asks http://IDENTIFIER/.well-known/acme-challenge/TOKEN, on the configured
// port, and follows up to 10 redirects. It succeeds when an answer 200 holds the
// key authorization, with or without white space after it. Certificates of https
// targets are not verified: the challenge proves control of the name over plain
// http, and no certificate may exist yet. The identifier may be an
// address (RFC 8738 section 4). The error is a *Problem.
func (h HTTP01) Validate(ctx context.Context, q Question) (Record, error) {
	var record Record
	next, problem := h.first(q.Identifier, q.Token)
	if problem != nil {
		return record, problem
	}
	if q.KeyAuthorization == "" {
		return record, incomplete()
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(h.Timeout, defaultTimeout))
	defer cancel()
	seen := make(map[string]bool, maxRedirects+1)
	for n := 1; ; n++ {
		where := fmt.Sprintf("hop %d: ", n)
		seen[next.url.String()] = true
		hop, location, problem := h.ask(ctx, where, next, q.KeyAuthorization)
		record.Hops = append(record.Hops, hop)
		if problem != nil {
			return record, problem
		}
		if !isRedirect(hop.Status) {
			return record, nil
		}
		if n > maxRedirects {
			return record, final(where+"more than %d redirects", maxRedirects)
		}
		to, err := follow(next, location, h.port())
		if err != nil {
			return record, final(where+"%s port %d: %v", next.host, next.port, err)
		}
		if seen[to.url.String()] {
			return record, final(where+"%s port %d redirects to an address that was asked before", next.host, next.port)
		}
		next = to
	}
}

// first is the target that the challenge prescribes.
func (h HTTP01) first(domain, token string) (target, *Problem) {
	host, ok := canonicalHost(domain)
	if !ok {
		return target{}, &Problem{Type: TypeMalformed, Detail: "the identifier is neither a DNS name nor an address that http-01 can ask"}
	}
	if token == "" || len(token) > maxToken || strings.Trim(token, base64url) != "" {
		return target{}, &Problem{Type: TypeMalformed, Detail: "the challenge's token is not base64url"}
	}
	return newTarget("http", host, h.port(), &url.URL{Path: "/.well-known/acme-challenge/" + token}), nil
}

// canonicalHost gives a DNS name in lower case, or an address in its short form
// (RFC 5952, without brackets).
func canonicalHost(identifier string) (host string, ok bool) {
	if addr, err := netip.ParseAddr(identifier); err == nil {
		return addr.String(), addr.Zone() == ""
	}
	host, err := outbound.CanonicalName(identifier)
	return host, err == nil
}

// base64url is the alphabet of tokens (RFC 8555 section 8.3).
const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (h HTTP01) port() uint16 {
	if h.Port == 0 {
		return 80
	}
	return h.Port
}

func (h HTTP01) userAgent() string {
	if h.UserAgent == "" {
		return "enrollgate"
	}
	return h.UserAgent
}

// final is a failure of redirection that no further attempt mends.
func final(format string, args ...any) *Problem {
	return &Problem{Type: TypeConnection, Detail: fmt.Sprintf(format, args...)}
}

// mayRetry tells whether a status can change by itself: the client may still be
// putting the file in place, or its server is overloaded.
func mayRetry(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
