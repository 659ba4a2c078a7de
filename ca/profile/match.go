package profile

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/enrollgate/enrollgate/ca/claim"
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
