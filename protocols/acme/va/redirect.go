package va

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

const (
	maxRedirects = 10
	maxLocation  = 2048 // octets of a Location header, and of the URL that comes of it
)

// target is a request that may be made: scheme, canonical name and port have been
// checked, its URL is rebuilt from them.
type target struct {
	host string
	port uint16
	url  *url.URL
}

// isRedirect lists the status codes that are followed, each with a GET.
func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// follow gives the target that the Location header of an answer to from leads to.
// The scheme is http or https, the port 80, 443 or own, the host a DNS name; there
// is no user information (RFC 8555 sections 8.3 and 10.2).
func follow(from target, location []string, own uint16) (target, error) {
	if len(location) != 1 {
		return target{}, fmt.Errorf("a redirect needs one Location header, it has %d", len(location))
	}
	if len(location[0]) > maxLocation {
		return target{}, fmt.Errorf("the Location header is longer than %d octets", maxLocation)
	}
	ref, err := url.Parse(location[0])
	if err != nil {
		return target{}, fmt.Errorf("the Location header is not a URL") // the parser's text quotes it
	}
	to := from.url.ResolveReference(ref)
	if to.Scheme != "http" && to.Scheme != "https" {
		return target{}, fmt.Errorf("the redirect leads to another scheme than http and https")
	}
	if to.User != nil {
		return target{}, fmt.Errorf("the redirect holds user information")
	}
	if to.Opaque != "" || to.Host == "" {
		return target{}, fmt.Errorf("the redirect names no host")
	}
	host, err := outbound.CanonicalName(to.Hostname())
	if literal, ok := canonicalHost(to.Hostname()); ok && literal == from.host {
		host, err = literal, nil // an address may be asked again where it is the identifier itself
	}
	if err != nil {
		return target{}, fmt.Errorf("the redirect leads to a host that is not a DNS name")
	}
	port := uint64(defaultPort(to.Scheme))
	if text := to.Port(); text != "" {
		port, err = strconv.ParseUint(text, 10, 16)
		if err != nil {
			return target{}, fmt.Errorf("the redirect holds an invalid port")
		}
	}
	if port != 80 && port != 443 && port != uint64(own) {
		return target{}, fmt.Errorf("the redirect leads to port %d, which is not permitted", port)
	}
	next := newTarget(to.Scheme, host, uint16(port), to)
	if len(next.url.String()) > maxLocation {
		return target{}, fmt.Errorf("the redirect leads to a URL of more than %d octets", maxLocation)
	}
	return next, nil
}

// newTarget builds the URL of a checked target; path and query come from rest.
func newTarget(scheme, host string, port uint16, rest *url.URL) target {
	authority := host
	if strings.Contains(host, ":") {
		authority = "[" + host + "]" // RFC 3986 section 3.2.2
	}
	if port != defaultPort(scheme) {
		authority = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return target{host: host, port: port, url: &url.URL{
		Scheme: scheme, Host: authority, Path: rest.Path, RawPath: rest.RawPath,
		RawQuery: encode(rest.RawQuery), ForceQuery: rest.ForceQuery,
	}}
}

// encode percent-encodes what must not stand in a request line (RFC 3986 section
// 3.4); url.Parse leaves spaces and bytes beyond ASCII in a query as they are.
func encode(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}
