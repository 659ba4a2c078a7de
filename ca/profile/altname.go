package profile

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// nameRule is the compiled rule for names of one type.
type nameRule struct {
	path     string // "subject_alt_name.dns"
	field    string // "san.dns"
	methods  []claim.Method
	min, max int
	dns      []dnsMatcher
	ip       []netip.Prefix
	limited  bool // a list of patterns was written
	wildcard bool
}

const (
	defaultMaxNames = 100
	mostNames       = 256
)

func compileNames(w *WrittenNames, kind claim.Kind, problems *problemList) *nameRule {
	if w == nil {
		return nil
	}
	path := func(key string, at ...int) []string {
		p := []string{"subject_alt_name", string(kind), key}
		for _, i := range at {
			p = append(p, strconv.Itoa(i))
		}
		return p
	}
	rule := &nameRule{path: "subject_alt_name." + string(kind), field: "san." + string(kind), min: w.Min, wildcard: w.Wildcard, limited: len(w.Allow) > 0}
	var methods []string
	for _, m := range claim.MethodsFor(kind) {
		methods = append(methods, string(m))
	}
	if len(w.Methods) == 0 {
		problems.choose(path("methods"), methods, "methods is missing: nothing says how a name must have been proven")
	}
	for i, text := range w.Methods {
		if !slices.Contains(methods, text) {
			problems.choose(path("methods", i), methods, "%q is not a way to prove a name of this type", clip(text))
		}
		rule.methods = append(rule.methods, claim.Method(text))
	}
	if w.Max == nil {
		w.Max = new(int)
		*w.Max = defaultMaxNames
	}
	rule.max = *w.Max
	switch {
	case rule.max < 1 || rule.max > mostNames:
		problems.add(path("max"), "max is a number from 1 to %d; leave the block out to allow no such name", mostNames)
	case rule.min < 0 || rule.min > rule.max:
		problems.add(path("min"), "min is a number from 0 to max")
	case w.Wildcard && kind != claim.DNS:
		problems.add(path("wildcard"), "only DNS names have wildcards")
	case w.Wildcard && !slices.Contains(rule.methods, claim.DNS01) && !slices.Contains(rule.methods, claim.Service):
		problems.add(path("wildcard"), "wildcard names are proven by dns-01, which methods does not list (RFC 8555 section 7.1.3)")
	}
	for i, text := range w.Allow {
		var err error
		if kind == claim.DNS {
			var m dnsMatcher
			m, err = compileDNSPattern(text)
			rule.dns = append(rule.dns, m)
		} else {
			var prefix netip.Prefix
			prefix, err = compileIPPattern(text)
			rule.ip = append(rule.ip, prefix)
		}
		if err != nil {
			problems.add(path("allow", i), "%q cannot be used as a pattern: %v", clip(text), err)
		}
	}
	return rule
}

// rule finds the rule for names of a kind, nil where none of them get in.
func (p *Profile) rule(kind pkix.NameKind) *nameRule {
	switch kind {
	case pkix.DNSName:
		return p.dns
	case pkix.IPAddress:
		return p.ip
	}
	return nil
}

// permit holds one normalized name against type, wildcard and patterns.
func (p *Profile) permit(n pkix.GeneralName) error {
	rule := p.rule(n.Kind)
	if rule == nil {
		return p.denied(clip(n.String()), "subject_alt_name", "names of type %s are not issued here", n.Kind)
	}
	matched := !rule.limited
	if n.Kind == pkix.DNSName {
		name := string(n.Raw)
		if err := claim.CheckDNSName(name); err != nil {
			return p.denied(clip(n.String()), rule.path, "the name is not a DNS name that can be issued")
		}
		if strings.HasPrefix(name, "*.") && !rule.wildcard {
			return p.denied(clip(n.String()), rule.path+".wildcard", "wildcard names are not issued here")
		}
		matched = matched || slices.ContainsFunc(rule.dns, func(m dnsMatcher) bool { return m.match(name) })
	} else {
		a, ok := netip.AddrFromSlice(n.Raw)
		matched = ok && (matched || slices.ContainsFunc(rule.ip, func(p netip.Prefix) bool { return p.Contains(a) }))
	}
	if !matched {
		return p.denied(clip(n.String()), rule.path+".allow", "the name is outside what is issued here")
	}
	return nil
}

// Methods lists how a name of a kind may be proven under the profile; nil where
// no such name is issued.
func (p *Profile) Methods(kind claim.Kind) []claim.Method {
	rule := p.dns
	if kind == claim.IP {
		rule = p.ip
	}
	if rule == nil {
		return nil
	}
	return slices.Clone(rule.methods)
}

// Permit says whether these names could be in one certificate of the profile
// once they are proven: nil, or Denied with Field naming the first that could not.
func (p *Profile) Permit(names []pkix.GeneralName) error {
	unique := make([]pkix.GeneralName, 0, len(names))
	for _, n := range names {
		n = normalized(n)
		if err := p.permit(n); err != nil {
			return err
		}
		if !containsName(unique, n) {
			unique = append(unique, n)
		}
	}
	return p.countNames(unique, false)
}

// countNames holds the number of names of each type against its bounds.
func (p *Profile) countNames(names []pkix.GeneralName, least bool) error {
	for _, kind := range [...]pkix.NameKind{pkix.DNSName, pkix.IPAddress} {
		rule := p.rule(kind)
		if rule == nil {
			continue
		}
		count := 0
		for _, n := range names {
			if n.Kind == kind {
				count++
			}
		}
		if count > rule.max {
			return p.denied(rule.field, rule.path+".max", "a certificate has at most %d names of type %s here", rule.max, kind)
		}
		if least && count < rule.min {
			return p.denied(rule.field, rule.path+".min", "a certificate has at least %d names of type %s here", rule.min, kind)
		}
	}
	return nil
}
