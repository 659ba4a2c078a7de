package profile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// grant is a subject attribute that a request may set.
type grant struct {
	oid      pkix.OID
	patterns []glob
	source   string
}

func (g *grant) match(text string) bool {
	return slices.ContainsFunc(g.patterns, func(p glob) bool { return p.match(text) })
}

// part is one piece of a template value: text, or the n-th value of a variable.
type part struct {
	text     string
	kind     partKind
	n        int        // from 0
	names    nameType   // of kind issued
	claims   claim.Kind // of kind fact
	key      string     // of a directory attribute
	oid      pkix.OID   // of kind asserted
	grant    *grant     // of kind asserted
	optional bool       // <x?>: without a value, what is made of it is left out
	name     string     // the variable as written
}

type partKind uint8

const (
	constant partKind = iota
	issued            // a name of the certificate
	fact              // a claim that is no name
	asserted          // an attribute of the asserted subject
)

type attributeProgram struct {
	oid   pkix.OID
	tag   uint8  // string type; 0: the attribute's own
	field string // "subject.CN"
	parts []part
}

// anyAttribute is a grant for every attribute that has a name.
const anyAttribute = "any"

func compileGrant(w WrittenGrant, i int, id string, before []*grant, problems *problemList) *grant {
	path := []string{"subject", "asserted", strconv.Itoa(i)}
	g := &grant{}
	name := anyAttribute
	if w.Attribute != anyAttribute {
		oid, ok := pkix.AttributeOID(w.Attribute)
		if !ok {
			problems.choose(append(path, "attribute"), append(pkix.AttributeNames(), anyAttribute, "a dotted OID"), "%q is not a subject attribute", clip(w.Attribute))
		}
		g.oid, name = oid, pkix.AttributeName(oid)
	}
	if slices.ContainsFunc(before, func(b *grant) bool { return b.oid.Equal(g.oid) }) && (g.oid != nil || w.Attribute == anyAttribute) {
		problems.add(append(path, "attribute"), "%q is granted twice", clip(w.Attribute))
	}
	g.source = "asserted, granted by profile " + id + " subject.asserted." + name
	if len(w.Match) == 0 {
		problems.add(append(path, "match"), "match is missing; write * to grant any value")
	}
	for k, pattern := range w.Match {
		if pattern == "" {
			problems.add(append(path, "match", strconv.Itoa(k)), "an empty pattern matches nothing")
		}
		g.patterns = append(g.patterns, glob(pattern))
	}
	return g
}

// grantFor finds the grant for an attribute: its own, else the one for any
// attribute where it has a name; nil for none.
func grantFor(grants []*grant, oid pkix.OID) *grant {
	var any *grant
	for _, g := range grants {
		switch {
		case g.oid == nil:
			any = g
		case g.oid.Equal(oid):
			return g
		}
	}
	if any != nil && pkix.AttributeName(oid) == oid.String() {
		return nil
	}
	return any
}

// compileValue splits a template value into text and <variables>.
func compileValue(text string, path []string, grants []*grant, problems *problemList) (parts []part) {
	if text == "" {
		problems.add(path, "the value is empty")
	}
	for text != "" {
		before, rest, found := strings.Cut(text, "<")
		if strings.Contains(before, ">") {
			problems.add(path, "there is a > without its <; variables are written <dns.1>")
		}
		if before != "" {
			parts = append(parts, part{text: before})
		}
		if !found {
			return parts
		}
		name, after, closed := strings.Cut(rest, ">")
		if !closed {
			problems.add(path, "there is a < without its >; variables are written <dns.1>")
			return parts
		}
		if p, ok := compileVariable(name, path, grants, problems); ok {
			parts = append(parts, p)
		}
		text = after
	}
	return parts
}

// factKinds are the variables that stand for claims which are no names.
var factKinds = map[string]claim.Kind{"sid": claim.SID, "serial": claim.Serial, "principal": claim.Principal, "directory": claim.Directory, "attested": claim.Attested}

// keyed tells whether claims of a kind are KEY=VALUE.
func keyed(kind claim.Kind) bool { return kind == claim.Directory || kind == claim.Attested }

func compileVariable(written string, path []string, grants []*grant, problems *problemList) (part, bool) {
	name, number := written, 1
	name, optional := strings.CutSuffix(name, "?")
	bare := name
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		if n, err := strconv.Atoi(name[at+1:]); err == nil {
			if _, dotted := pkix.ParseOID(name); !dotted {
				name, number = name[:at], n
			}
		}
	}
	p := part{n: number - 1, name: "<" + bare + ">", optional: optional}
	if number < 1 || number > mostNames {
		problems.add(path, "%s counts from 1 to %d", clip(p.name), mostNames)
		return p, false
	}
	lower := strings.ToLower(name)
	if t := slices.Index(nameTypeKeys[:nameTypes], lower); t >= 0 {
		p.kind, p.names = issued, nameType(t)
		return p, true
	}
	word, key, _ := strings.Cut(name, ".")
	if kind, ok := factKinds[strings.ToLower(word)]; ok {
		p.kind, p.claims, p.key = fact, kind, key
		if keyed(kind) != (key != "") {
			problems.add(path, "%s is not a variable: a directory attribute is written <directory.KEY>, what a device attested <attested.KEY>, other facts have no key", clip(p.name))
		}
		return p, true
	}
	oid, ok := pkix.AttributeOID(name)
	if !ok {
		problems.choose(path, []string{"<dns.N>", "<ip.N>", "<email.N>", "<uri.N>", "<rid.N>", "<dirname.N>", "<upn.N>", "<hardware.N>", "<permanent.N>", "<sid>", "<serial>", "<principal>", "<directory.KEY>", "<attested.KEY>", "<ATTRIBUTE.N>"}, "%s is not a variable", clip(p.name))
		return p, false
	}
	if p.grant = grantFor(grants, oid); p.grant == nil {
		problems.add(path, "%s is asserted by the request and needs a grant in subject.asserted", clip(p.name))
		return p, false
	}
	p.kind, p.oid = asserted, oid
	return p, true
}

// text runs a template value. ok is false where an optional variable has no
// value: what is made of it is then left out. rule names what refuses.
func (d *deciding) text(parts []part, field, rule string) (text, source string, ok bool, err error) {
	var b strings.Builder
	var sources []string
	for _, part := range parts {
		value, source, found, err := d.value(part, field)
		switch {
		case err != nil:
			return "", "", false, err
		case !found && part.optional:
			return "", "", false, nil
		case !found:
			return "", "", false, d.profile.denied(field, rule, "the request has no value for %s, which is needed here", part.name)
		}
		b.WriteString(value)
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	return b.String(), strings.Join(sources, "; "), true, nil
}

// buildTemplate runs the subject program.
func (d *deciding) buildTemplate(template [][]attributeProgram) (pkix.RawName, error) {
	rdns := make([]pkix.RDN, 0, len(template))
	for _, programs := range template {
		var rdn pkix.RDN
		for _, program := range programs {
			text, source, ok, err := d.text(program.parts, program.field, "subject.template")
			if err != nil {
				return nil, err
			}
			if !ok {
				d.field(program.field, "", d.profile.source.template, "nothing to say, left out")
				continue
			}
			attribute, err := pkix.NewAttributeAs(program.oid, text, program.tag)
			if err != nil {
				return nil, d.profile.denied(program.field, "subject.template", "%v", err)
			}
			if err := attribute.Check(); err != nil {
				return nil, d.profile.denied(program.field, "subject.template", "%v", err)
			}
			d.field(program.field, text, source, "")
			rdn = append(rdn, attribute)
		}
		if len(rdn) > 0 {
			rdns = append(rdns, rdn)
		}
	}
	name, err := pkix.MarshalName(rdns)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return name, nil
}

// value gives what a part of a template stands for, and where it came from;
// found is false where it has no value.
func (d *deciding) value(p part, field string) (value, source string, found bool, err error) {
	n := p.n
	switch p.kind {
	case constant:
		return p.text, d.profile.source.template, true, nil
	case asserted:
		values := d.assertedValues(p.oid)
		if p.n >= len(values) || !d.hears() {
			return "", "", false, nil
		}
		text, ok := values[p.n].Text()
		if !ok || !p.grant.match(text) {
			return "", "", false, d.profile.denied(field, "subject.asserted", "the requested value %q is outside what the profile grants", clip(text))
		}
		return text, p.grant.source, true, nil
	case fact:
		for _, c := range d.request.Claims {
			if c.Kind() != p.claims {
				continue
			}
			text := c.Text()
			if keyed(p.claims) {
				key, what, _ := strings.Cut(text, "=")
				if !strings.EqualFold(key, p.key) {
					continue
				}
				text = what
			}
			if n == 0 {
				return text, c.Source(), true, nil
			}
			n--
		}
		return "", "", false, nil
	}
	for _, name := range d.out.AltNames {
		if rule := d.profile.rule(name); rule == nil || rule.kind != p.names {
			continue
		}
		if n == 0 {
			text, _ := name.Text()
			return text, d.sourceOf(name), true, nil
		}
		n--
	}
	return "", "", false, nil
}
