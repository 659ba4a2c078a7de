package profile

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// nameType is a type of names as profiles write it.
type nameType uint8

const (
	typeDNS nameType = iota
	typeIP
	typeEmail
	typeURI
	typeRID
	typeDirectory
	typeUPN
	typeHardware
	typePermanent
	nameTypes // those above have one rule a profile
	typeOther // otherName of another type: one rule an OID
)

var nameTypeKeys = [...]string{"dns", "ip", "email", "uri", "rid", "dirname", "upn", "hardware", "permanent", "", "other"}

func (t nameType) String() string { return nameTypeKeys[t] }

// typeOf classes a name; oid is the type of an otherName. ok is false for
// names that no profile can issue (x400Address, ediPartyName) and for
// otherNames that do not read.
func typeOf(n pkix.GeneralName) (t nameType, oid pkix.OID, ok bool) {
	switch n.Kind {
	case pkix.DNSName:
		return typeDNS, nil, true
	case pkix.IPAddress:
		return typeIP, nil, true
	case pkix.RFC822Name:
		return typeEmail, nil, true
	case pkix.URI:
		return typeURI, nil, true
	case pkix.RegisteredID:
		return typeRID, nil, true
	case pkix.DirectoryName:
		return typeDirectory, nil, true
	case pkix.OtherName:
		id, _, err := n.OtherNameValue()
		switch {
		case err != nil:
			return 0, nil, false
		case id.Equal(pkix.OIDUPN):
			return typeUPN, id, true
		case id.Equal(pkix.OIDHardwareModule):
			return typeHardware, id, true
		case id.Equal(pkix.OIDPermanentIdentifier):
			return typePermanent, id, true
		}
		return typeOther, id, true
	}
	return 0, nil, false
}

// NameField gives the decision field that records a name: "san.dns", "san.upn", ...
func NameField(n pkix.GeneralName) string {
	if t, _, ok := typeOf(n); ok {
		return "san." + t.String()
	}
	return "san." + n.Kind.String()
}

// nameRule is the compiled rule for names of one type.
type nameRule struct {
	path     string // "subject_alt_name.dns"
	field    string // "san.dns"
	source   string // of asserted names
	kind     nameType
	oid      pkix.OID // of kind typeOther
	methods  []claim.Method
	min, max int
	allow    patterns
	asserted patterns
	wildcard bool
}

const (
	defaultMaxNames = 100
	mostNames       = 256
)

// blocks gives the block of each type, in the order of the types.
func (w *WrittenAltName) blocks() [nameTypes]**WrittenNames {
	return [nameTypes]**WrittenNames{&w.DNS, &w.IP, &w.Email, &w.URI, &w.RID, &w.DirName, &w.UPN, &w.Hardware, &w.Permanent}
}

func (p *Profile) compileAltName(w *WrittenAltName, problems *problemList) {
	for t, block := range w.blocks() {
		if *block != nil && (*block).Max != nil && *(*block).Max == 0 { // as if the type were not written
			*block = nil
		}
		if *block == nil {
			continue
		}
		p.names[t] = p.compileNames(*block, nameType(t), []string{"subject_alt_name", nameType(t).String()}, problems)
		p.rules = append(p.rules, p.names[t])
	}
	for i := range w.Other {
		block, path := &w.Other[i], []string{"subject_alt_name", "other", strconv.Itoa(i)}
		oid, ok := pkix.ParseOID(block.OID)
		switch {
		case !ok:
			problems.add(append(path, "oid"), "%s is not a dotted OID", quoted(block.OID))
		case oid.Equal(pkix.OIDUPN), oid.Equal(pkix.OIDHardwareModule), oid.Equal(pkix.OIDPermanentIdentifier):
			problems.add(append(path, "oid"), "this type has a block of its own: upn, hardware, permanent")
		case oid.Equal(oidSecurityIDValue):
			problems.add(append(path, "oid"), "the Microsoft security identifier is no name; write ms_sid")
		case slices.ContainsFunc(p.others, func(r *nameRule) bool { return r.oid.Equal(oid) }):
			problems.add(append(path, "oid"), "%s is listed twice", quoted(block.OID))
		}
		names := WrittenNames{Asserted: block.Asserted, Min: block.Min, Max: block.Max, Allow: block.Allow}
		rule := p.compileNames(&names, typeOther, path, problems)
		block.Max, rule.oid = names.Max, oid
		p.others, p.rules = append(p.others, rule), append(p.rules, rule)
	}
}

var oidSecurityIDValue = pkix.OID{1, 3, 6, 1, 4, 1, 311, 25, 2, 1}

// provers lists how names of a type can be proven: addresses by all but DNS (RFC
// 8738), and what names a device by its attestation.
func provers(kind nameType) (all []string) {
	for _, m := range claim.Methods() {
		var other bool
		switch m {
		case claim.DNS01:
			other = kind == typeIP
		case claim.DNSAccount01, claim.DNSPersist01:
			other = kind != typeDNS
		case claim.DeviceAttest01:
			other = kind != typeHardware && kind != typePermanent
		}
		if !other {
			all = append(all, string(m))
		}
	}
	return all
}

// provesWildcards tells whether a method proves names that begin with the
// wildcard label.
func provesWildcards(m claim.Method) bool { return m.Wildcards() || m == claim.Service }

// claimless are the types whose names nothing but a request can bring.
var claimless = []nameType{typeRID, typeDirectory, typeOther}

func (p *Profile) compileNames(w *WrittenNames, kind nameType, at []string, problems *problemList) *nameRule {
	path := func(key string, more ...int) []string {
		full := append(slices.Clone(at), key)
		for _, i := range more {
			full = append(full, strconv.Itoa(i))
		}
		return full
	}
	name := strings.Join(at, ".")
	rule := &nameRule{path: name, field: "san." + kind.String(), source: "asserted, granted by profile " + p.id + " " + name + ".asserted", kind: kind, min: w.Min, wildcard: w.Wildcard}
	methods := provers(kind)
	switch {
	case slices.Contains(claimless, kind) && len(w.Methods) > 0:
		problems.add(path("methods"), "names of this type are not proven, only asserted; write asserted")
	case slices.Contains(claimless, kind) && len(w.Asserted) == 0:
		problems.add(path("asserted"), "asserted is missing: nothing else brings names of this type")
	case len(w.Methods)+len(w.Asserted) == 0:
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
		problems.add(path("max"), "max is a number from 1 to %d; 0, or no block at all, allows no such name", mostNames)
	case rule.min < 0 || rule.min > rule.max:
		problems.add(path("min"), "min is a number from 0 to max")
	case w.Wildcard && kind != typeDNS:
		problems.add(path("wildcard"), "only DNS names have wildcards")
	case w.Wildcard && len(w.Methods) > 0 && len(w.Asserted) == 0 && !slices.ContainsFunc(rule.methods, provesWildcards):
		problems.add(path("wildcard"), "wildcard names are proven by dns-01, which methods does not list (RFC 8555 section 7.1.3)")
	}
	rule.allow = compilePatterns(w.Allow, kind, func(i int) []string { return path("allow", i) }, problems)
	rule.asserted = compilePatterns(w.Asserted, kind, func(i int) []string { return path("asserted", i) }, problems)
	return rule
}

// rule finds the rule for a name, nil where none of its type get in.
func (p *Profile) rule(n pkix.GeneralName) *nameRule {
	switch n.Kind {
	case pkix.DNSName:
		return p.names[typeDNS]
	case pkix.IPAddress:
		return p.names[typeIP]
	}
	t, oid, ok := typeOf(n)
	switch {
	case !ok:
		return nil
	case t < nameTypes:
		return p.names[t]
	}
	if at := slices.IndexFunc(p.others, func(r *nameRule) bool { return r.oid.Equal(oid) }); at >= 0 {
		return p.others[at]
	}
	return nil
}

// permit holds one normalized name against type, form, wildcard and patterns.
func (p *Profile) permit(n pkix.GeneralName) error {
	rule := p.rule(n)
	if rule == nil {
		return p.denied(clip(n.String()), "subject_alt_name", "names of type %s are not issued here", n.Kind)
	}
	if err := checkName(n, rule.kind); err != nil {
		return p.denied(clip(n.String()), rule.path, "%v", err)
	}
	if rule.kind == typeDNS && strings.HasPrefix(string(n.Raw), "*.") && !rule.wildcard {
		return p.denied(clip(n.String()), rule.path+".wildcard", "wildcard names are not issued here")
	}
	if rule.allow.written() && !rule.allow.match(n) {
		return p.denied(clip(n.String()), rule.path+".allow", "the name is outside what is issued here")
	}
	return nil
}

// Methods lists how a name of a kind may be proven under the profile; nil where
// no such name is issued.
func (p *Profile) Methods(kind claim.Kind) []claim.Method {
	t := slices.Index(nameTypeKeys[:nameTypes], string(kind))
	if t < 0 || p.names[t] == nil {
		return nil
	}
	return slices.Clone(p.names[t].methods)
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
	for _, rule := range p.rules {
		count := 0
		for _, n := range names {
			if p.rule(n) == rule {
				count++
			}
		}
		if count > rule.max {
			return p.denied(rule.field, rule.path+".max", "a certificate has at most %d names of type %s here", rule.max, rule.kind)
		}
		if least && count < rule.min {
			return p.denied(rule.field, rule.path+".min", "a certificate has at least %d names of type %s here", rule.min, rule.kind)
		}
	}
	return nil
}

// normalized gives DNS names and the domains of mailboxes in lower case (RFC
// 4343) and addresses in their short form. Everything else stays as it is.
func normalized(n pkix.GeneralName) pkix.GeneralName {
	switch n.Kind {
	case pkix.DNSName:
		n.Raw = []byte(lowerASCII(string(n.Raw)))
	case pkix.RFC822Name:
		if local, domain, ok := strings.Cut(string(n.Raw), "@"); ok {
			n.Raw = []byte(local + "@" + lowerASCII(domain))
		}
	case pkix.IPAddress:
		if a, ok := netip.AddrFromSlice(n.Raw); ok && a.Is4In6() {
			n = pkix.IP(a)
		}
	}
	return n
}
