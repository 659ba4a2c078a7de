package profile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
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
	text  string
	kind  partKind
	n     int // from 0
	grant *grant
	name  string // the variable as written
}

type partKind uint8

const (
	constant partKind = iota
	provenDNS
	provenIP
	asserted
)

type attributeProgram struct {
	oid   pkix.OID
	field string // "subject.CN"
	parts []part
}

func compileGrant(w WrittenGrant, i int, id string, before []*grant, problems *problemList) *grant {
	path := []string{"subject", "asserted", strconv.Itoa(i)}
	oid, ok := pkix.AttributeOID(w.Attribute)
	if !ok {
		problems.choose(append(path, "attribute"), append(pkix.AttributeNames(), "a dotted OID"), "%q is not a subject attribute", clip(w.Attribute))
	}
	if ok && slices.ContainsFunc(before, func(g *grant) bool { return g.oid.Equal(oid) }) {
		problems.add(append(path, "attribute"), "%q is granted twice", clip(w.Attribute))
	}
	g := &grant{oid: oid, source: "asserted, granted by profile " + id + " subject.asserted." + pkix.AttributeName(oid)}
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

func compileVariable(written string, path []string, grants []*grant, problems *problemList) (part, bool) {
	name, number := written, 1
	if at := strings.LastIndexByte(written, '.'); at >= 0 {
		if n, err := strconv.Atoi(written[at+1:]); err == nil {
			if _, dotted := pkix.ParseOID(written); !dotted {
				name, number = written[:at], n
			}
		}
	}
	p := part{n: number - 1, name: "<" + written + ">"}
	if number < 1 || number > mostNames {
		problems.add(path, "%s counts from 1 to %d", clip(p.name), mostNames)
		return p, false
	}
	switch strings.ToLower(name) {
	case "dns":
		p.kind = provenDNS
		return p, true
	case "ip":
		p.kind = provenIP
		return p, true
	}
	oid, ok := pkix.AttributeOID(name)
	if !ok {
		problems.choose(path, []string{"<dns.N>", "<ip.N>", "<ATTRIBUTE.N>"}, "%s is not a variable", clip(p.name))
		return p, false
	}
	at := slices.IndexFunc(grants, func(g *grant) bool { return g.oid.Equal(oid) })
	if at < 0 {
		problems.add(path, "%s is asserted by the request and needs a grant in subject.asserted", clip(p.name))
		return p, false
	}
	p.kind, p.grant = asserted, grants[at]
	return p, true
}

// buildTemplate runs the subject program.
func (d *deciding) buildTemplate(template [][]attributeProgram) (pkix.RawName, error) {
	rdns := make([]pkix.RDN, 0, len(template))
	for _, programs := range template {
		var rdn pkix.RDN
		for _, program := range programs {
			var text strings.Builder
			var sources []string
			for _, part := range program.parts {
				value, source, err := d.value(part, program.field)
				if err != nil {
					return nil, err
				}
				text.WriteString(value)
				if !slices.Contains(sources, source) {
					sources = append(sources, source)
				}
			}
			attribute, err := pkix.NewAttribute(program.oid, text.String())
			if err != nil {
				return nil, d.profile.denied(program.field, "subject.template", "%v", err)
			}
			d.field(program.field, text.String(), strings.Join(sources, "; "), "")
			rdn = append(rdn, attribute)
		}
		rdns = append(rdns, rdn)
	}
	name, err := pkix.MarshalName(rdns)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return name, nil
}

// value gives what a part of a template stands for, and where it came from.
func (d *deciding) value(p part, field string) (value, source string, err error) {
	missing := func() error {
		return d.profile.denied(field, "subject.template", "the request has no value for %s, which the subject needs", p.name)
	}
	switch p.kind {
	case constant:
		return p.text, d.profile.source.template, nil
	case asserted:
		values := d.assertedValues(p.grant.oid)
		if p.n >= len(values) {
			return "", "", missing()
		}
		text, ok := values[p.n].Text()
		if !ok || !p.grant.match(text) {
			return "", "", d.profile.denied(field, "subject.asserted", "the requested value %q is outside what the profile grants", clip(text))
		}
		return text, p.grant.source, nil
	}
	kind, n := pkix.DNSName, p.n
	if p.kind == provenIP {
		kind = pkix.IPAddress
	}
	for _, name := range d.out.AltNames {
		if name.Kind != kind {
			continue
		}
		if n == 0 {
			_, text, _ := strings.Cut(name.String(), ":")
			return text, d.sourceOf(name), nil
		}
		n--
	}
	return "", "", missing()
}
