package config

import (
	"log/slog"
	"net"
	"net/netip"
	"time"
)

const (
	maxRetries     = 20
	defaultRetries = 4
	maxResolvers   = 8
)

func (c *checker) acme(w writtenACME) ACME {
	a := ACME{
		HTTP01:              c.http01(w.HTTP01),
		TLSALPN01Port:       c.tlsalpn01(w.TLSALPN01),
		Resolvers:           c.resolvers("acme.resolvers", w.Resolvers),
		Authoritative:       w.Authoritative,
		AllowTargets:        c.targets("acme.allow_targets", w.AllowTargets),
		LocalhostToLoopback: w.LocalhostToLoopback,
		OrderLifetime:       c.duration("acme.order_lifetime", w.OrderLifetime, orderTimes),
		AuthLifetime:        c.duration("acme.authorization_lifetime", w.AuthorizationLifetime, orderTimes),
	}
	if w.LocalhostToLoopback && !c.dev {
		c.problem("acme.localhost_to_loopback", "this is for `serve --dev` alone: here it would let every local user prove names under localhost")
	}
	return a
}

func (c *checker) http01(w writtenHTTP01) HTTP01 {
	h := HTTP01{Port: 80, Timeout: c.duration("acme.http01.timeout", w.Timeout, http01Times)}
	if w.Port != nil {
		if *w.Port < 1 || *w.Port > 65535 {
			c.problem("acme.http01.port", "a port is a number from 1 to 65535, not %d", *w.Port)
		} else {
			h.Port = uint16(*w.Port)
		}
		if *w.Port != 80 && !c.dev {
			c.warn("acme.http01.port", "RFC 8555 section 8.3 asks port 80: whoever may open port %d on a host gets certificates for it", *w.Port)
		}
	}
	h.Waits = c.waits(w)
	return h
}

// waits makes the retry plan: as many waits as retries, the last interval repeated.
func (c *checker) waits(w writtenHTTP01) []time.Duration {
	const path = "acme.http01.intervals"
	intervals := []time.Duration{time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second}
	retries := defaultRetries
	if w.Intervals != nil {
		intervals, retries = nil, len(w.Intervals)
		for i, text := range w.Intervals {
			intervals = append(intervals, c.duration(c.items[path][i], text, retryWaits))
		}
	}
	if w.Retries != nil {
		retries = *w.Retries
	}
	switch {
	case w.Retries != nil && (retries < 0 || retries > maxRetries):
		c.problem("acme.http01.retries", "0 to %d retries are possible, not %d", maxRetries, retries)
		return nil
	case retries > maxRetries:
		c.problem(path, "at most %d retries are possible, and here are %d intervals", maxRetries, retries)
		return nil
	case w.Retries != nil && len(w.Intervals) > retries:
		c.problem(path, "there are %d intervals for %d retries; remove some or raise acme.http01.retries", len(w.Intervals), retries)
		return nil
	case retries > 0 && len(intervals) == 0:
		c.problem(path, "there are %d retries but no interval before them", retries)
		return nil
	}
	out := make([]time.Duration, retries)
	for i := range out {
		out[i] = intervals[min(i, len(intervals)-1)]
	}
	return out
}

// resolvers checks DNS servers, IP or IP:PORT; the port is 53 where none is written.
func (c *checker) resolvers(path string, written []string) []string {
	var out []string
	for i, text := range written {
		item := c.items[path][i]
		if !c.given(item, text) {
			continue
		}
		host, port := text, "53"
		if _, err := netip.ParseAddr(text); err != nil {
			if host, port, err = net.SplitHostPort(text); err != nil {
				host = ""
			}
		}
		if ip, err := netip.ParseAddr(host); err != nil || ip.IsUnspecified() || !validPort(port) {
			c.problem(item, "a DNS server is an IP address, or one with a port such as 192.0.2.53:5353 or [2001:db8::53]:53")
			continue
		}
		out = append(out, net.JoinHostPort(host, port))
	}
	if len(written) > maxResolvers {
		c.problem(path, "at most %d DNS servers are asked, and here are %d", maxResolvers, len(written))
	}
	return out
}

// targets checks address ranges that may be asked.
func (c *checker) targets(path string, written []string) []netip.Prefix {
	return c.prefixes(path, written, func(item string) {
		c.warn(item, "every address may be asked, this machine's own and the network's inner ones too; name the ranges that are needed")
	})
}

// prefixes checks address ranges in CIDR form; all is told of one that has every
// address.
func (c *checker) prefixes(path string, written []string, all func(item string)) []netip.Prefix {
	var out []netip.Prefix
	for i, text := range written {
		item := c.items[path][i]
		if !c.given(item, text) {
			continue
		}
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil || p.Addr().Is4In6():
			c.problem(item, "an address range is written as 10.1.0.0/16 or 2001:db8::/32; a single address ends with /32 or /128")
			continue
		case p != p.Masked():
			c.problem(item, "bits after the prefix are set; write %s, or %s for the one address", p.Masked(), netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
			continue
		case p.Bits() == 0:
			all(item)
		}
		out = append(out, p)
	}
	return out
}

func (c *checker) log(w writtenLog) Log {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level := c.oneOf("log.level", w.Level, "info", []string{"debug", "info", "warn", "error"})
	return Log{levels[level], c.oneOf("log.format", w.Format, "text", []string{"text", "json"})}
}
