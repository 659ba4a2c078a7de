package profile

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// glob is a pattern in which * stands for any run of characters. Matching goes
// back to the last star at most, so its cost is bounded by pattern times text.
type glob string

func (g glob) match(text string) bool {
	p, t := 0, 0
	star, mark := -1, 0
	for t < len(text) {
		switch {
		case p < len(g) && g[p] == '*':
			star, mark = p, t
			p++
		case p < len(g) && g[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(string(g[p:]), "*") == ""
}

// patterns is a compiled list of patterns for names of one type.
type patterns struct {
	dns   []dnsMatcher
	ip    []netip.Prefix
	globs []glob
}

func compilePatterns(written []string, kind nameType, path func(i int) []string, problems *problemList) (p patterns) {
	for i, text := range written {
		var err error
		switch {
		case kind == typeDNS:
			var m dnsMatcher
			m, err = compileDNSPattern(text)
			p.dns = append(p.dns, m)
		case kind == typeIP && text == "*":
			p.ip = append(p.ip, netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0))
		case kind == typeIP:
			var prefix netip.Prefix
			prefix, err = compileIPPattern(text)
			p.ip = append(p.ip, prefix)
		case text == "":
			err = errors.New("an empty pattern matches nothing")
		default:
			p.globs = append(p.globs, glob(text))
		}
		if err != nil {
			problems.add(path(i), "%q cannot be used as a pattern: %v", clip(text), err)
		}
	}
	return p
}

func (p *patterns) written() bool { return len(p.dns)+len(p.ip)+len(p.globs) > 0 }

// match holds a well-formed name against the patterns.
func (p *patterns) match(n pkix.GeneralName) bool {
	switch n.Kind {
	case pkix.DNSName:
		name := string(n.Raw)
		return slices.ContainsFunc(p.dns, func(m dnsMatcher) bool { return m.match(name) })
	case pkix.IPAddress:
		a, ok := netip.AddrFromSlice(n.Raw)
		return ok && slices.ContainsFunc(p.ip, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	text, ok := n.Text()
	return ok && slices.ContainsFunc(p.globs, func(g glob) bool { return g.match(text) })
}

// dnsMatcher is one compiled DNS pattern.
type dnsMatcher struct {
	exact  string // the name itself
	suffix string // ".example": any name below example
	any    bool
}

func compileDNSPattern(text string) (dnsMatcher, error) {
	text = strings.ToLower(text)
	if text == "*" {
		return dnsMatcher{any: true}, nil
	}
	if err := claim.CheckDNSName(text); err != nil {
		return dnsMatcher{}, err
	}
	if below, ok := strings.CutPrefix(text, "*"); ok {
		return dnsMatcher{suffix: below}, nil
	}
	return dnsMatcher{exact: text}, nil
}

// match takes a lower-case name; a wildcard name matches where every name it
// stands for does.
func (m dnsMatcher) match(name string) bool {
	switch {
	case m.any:
		return true
	case m.suffix != "":
		return len(name) > len(m.suffix) && strings.HasSuffix(name, m.suffix)
	}
	return name == m.exact
}

func compileIPPattern(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() || prefix != prefix.Masked() {
		return netip.Prefix{}, errors.New("not an address, nor a prefix without host bits such as 10.0.0.0/8")
	}
	return prefix, nil
}

// checkName holds a name against the form of its type (RFC 5280 section 4.2.1.6).
func checkName(n pkix.GeneralName, kind nameType) error {
	switch kind {
	case typeDNS:
		if claim.CheckDNSName(string(n.Raw)) != nil {
			return errors.New("the name is not a DNS name that can be issued")
		}
	case typeIP:
		if _, ok := netip.AddrFromSlice(n.Raw); !ok {
			return errors.New("the name is not an IP address")
		}
	case typeEmail:
		return claim.CheckEmail(string(n.Raw))
	case typeURI:
		return claim.CheckURI(string(n.Raw))
	case typeDirectory:
		return checkDirectoryName(n.Raw)
	case typeUPN:
		if text, ok := n.UPN(); !ok || !strings.Contains(text, "@") || len(n.Raw) > maxNameOctets {
			return errors.New("the name is not a user principal name such as user@corp.example")
		}
	default:
		if _, ok := n.Text(); !ok || len(n.Raw) > maxNameOctets {
			return errors.New("the name is malformed, or longer than what is issued")
		}
	}
	return nil
}

// maxNameOctets bounds an otherName, a registeredID and a directoryName.
const maxNameOctets = 1024

func checkDirectoryName(raw []byte) error {
	rdns, err := pkix.ParseName(raw)
	if err != nil || len(rdns) == 0 || len(raw) > maxNameOctets {
		return errors.New("the name is not a directory name with attributes, or longer than what is issued")
	}
	for _, rdn := range rdns {
		for _, a := range rdn {
			if err := a.Check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// isSecurityIDURI tells whether a URI carries a Windows security identifier
// (tag:microsoft.com,2022-09-14:sid:...), with which its holder logs on as
// somebody. It never comes from a request.
func isSecurityIDURI(n pkix.GeneralName) bool {
	if n.Kind != pkix.URI {
		return false
	}
	text := string(n.Raw)
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	text = strings.ToLower(text)
	return strings.HasPrefix(text, "tag:microsoft.com,") && strings.Contains(text, ":sid:")
}
