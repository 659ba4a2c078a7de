package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
)

const defaultAdmin = "127.0.0.1:8444"

func (c *checker) listen(w writtenListen, endpoints []ca.Endpoint) Listen {
	if _, written := c.places["listen.admin"]; !written {
		w.Admin = defaultAdmin
	}
	listeners := []struct{ name, address string }{{"https", w.HTTPS}, {"http", w.HTTP}, {"est", w.EST}, {"admin", w.Admin}}
	for i, l := range listeners {
		path := "listen." + l.name
		if !c.given(path, l.address) || !c.address(path, l.address) {
			continue
		}
		for _, other := range listeners[:i] {
			if overlap(l.address, other.address) {
				c.problem(path, "listen.%s already takes this address; give each listener its own", other.name)
			}
		}
	}
	l := Listen{HTTPS: w.HTTPS, HTTP: w.HTTP, EST: w.EST, Admin: w.Admin}
	missing := map[string]bool{}
	for _, e := range endpoints {
		d, ok := doorOf(e.Door)
		if !ok || slices.ContainsFunc(d.listeners, func(name string) bool { return l.address(name) != "" || c.bad["listen."+name] }) || missing[d.listeners[0]] {
			continue
		}
		missing[d.listeners[0]] = true
		others := ""
		for _, name := range d.listeners[1:] {
			others += ", or on listen." + name
		}
		c.problem("listen."+d.listeners[0], "the key is missing: endpoint %q is served there%s", e.ID, others)
	}
	if host, _, err := net.SplitHostPort(w.Admin); err == nil && !loopback(host) {
		c.warn("listen.admin", "the admin listener speaks plain http to anybody who reaches it; keep it on a loopback address or behind a firewall")
	}
	l.TrustedProxies = c.prefixes("listen.trusted_proxies", w.TrustedProxies, func(item string) {
		c.problem(item, "with this range every client could say that it is another one; name the addresses of the proxies")
	})
	header := c.oneOf("listen.forwarded_header", w.ForwardedHeader, "X-Forwarded-For", []string{"X-Forwarded-For", "Forwarded"})
	if len(l.TrustedProxies) > 0 {
		l.ForwardedHeader = header
	} else if w.ForwardedHeader != "" {
		c.problem("listen.forwarded_header", "it is believed from nobody; name the proxies in listen.trusted_proxies")
	}
	return l
}

// address is where a listener of the doors listens, by its key; empty: it is not opened.
func (l Listen) address(key string) string {
	return map[string]string{"https": l.HTTPS, "http": l.HTTP, "est": l.EST}[key]
}

// address checks host:port, where host is an IP address, localhost or empty.
func (c *checker) address(path, address string) bool {
	host, port, err := net.SplitHostPort(address)
	number, numberErr := strconv.ParseUint(port, 10, 16)
	_, ipErr := netip.ParseAddr(host)
	switch {
	case err != nil || numberErr != nil || ipErr != nil && host != "" && host != "localhost":
		c.problem(path, "an address to listen on is HOST:PORT, where HOST is an IP address (IPv6 in brackets), localhost, or nothing for all addresses")
	case number == 0 && !c.dev:
		c.problem(path, "port 0 takes another port at each start, which clients cannot know; write a port")
	default:
		return true
	}
	return false
}

// overlap tells whether two listeners cannot both be bound. Text that is not an
// address overlaps with nothing.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	every := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.IsUnspecified()
	}
	return hostA == hostB || every(hostA) || every(hostB) || hostA == "localhost" && loopback(hostB) || hostB == "localhost" && loopback(hostA)
}

// loopback tells whether a host name or address stays on this machine.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (c *checker) baseURL(w writtenBaseURL, l Listen) BaseURL {
	return BaseURL{
		HTTPS: c.externalURL("https", "https", w.HTTPS, l.HTTPS),
		HTTP:  c.externalURL("http", "http", w.HTTP, l.HTTP),
		EST:   c.externalURL("est", "https", w.EST, l.EST),
	}
}

// externalURL checks a base URL and takes the slash at its end away. It is never
// guessed from the listener's address: clients must get the name in the
// certificate, and what went into certificates cannot be mended.
func (c *checker) externalURL(name, scheme, value, listener string) string {
	path := "base_url." + name
	if listener != "" && !c.dev {
		why := "clients reach listen." + name + " at this URL, and it goes into directories and certificates"
		if name == "est" {
			why = "clients reach listen.est at this URL, and `enrollgate urls` prints it"
		}
		if !c.required(path, value, why) {
			return ""
		}
	} else if !c.given(path, value) {
		return ""
	}
	if listener == "" {
		c.problem(path, "listen.%s is not set, so nobody serves this URL", name)
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme != scheme || u.Hostname() == "" || u.Opaque != "":
		c.problem(path, "%s://HOST or %s://HOST:PORT is wanted here", scheme, scheme)
	case u.User != nil:
		c.problem(path, "a base URL has no user or password")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		c.problem(path, "a base URL ends after host and port; some addresses below it (/.well-known/...) are fixed by their standards")
	case !validHost(u.Hostname()):
		c.problem(path, "the host is neither a DNS name nor an IP address")
	case u.Port() != "" && !validPort(u.Port()):
		c.problem(path, "a port is a number from 1 to 65535")
	default:
		return scheme + "://" + strings.ToLower(u.Host)
	}
	return ""
}

func validPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// validHost tells whether a text is an IP address or letters, digits, hyphens
// and dots as in a DNS name (RFC 1123 section 2.1).
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	return len(host) <= 253 && !slices.ContainsFunc(labels, func(label string) bool {
		bad := func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
		}
		return label == "" || len(label) > 63 || strings.ContainsFunc(label, bad)
	})
}
