package profile

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

var oidCommonName = pkix.OID{2, 5, 4, 3}

// maxCN is ub-common-name (RFC 5280 appendix A.1), in characters.
const maxCN = 64

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

// subjectRule is the compiled subject block.
type subjectRule struct {
	grants   []*grant
	template [][]attributeProgram
	fixed    pkix.RawName // the encoded template where it has no variable
}

func compileSubject(w *WrittenSubject, id string, problems *problemList) (rule subjectRule) {
	if w.CNFromFirstDNS && len(w.Template)+len(w.Asserted) > 0 {
		problems.add([]string{"subject", "cn_from_first_dns"}, "cn_from_first_dns makes the whole subject; it excludes template and asserted")
	}
	for i, written := range w.Asserted {
		rule.grants = append(rule.grants, compileGrant(written, i, id, rule.grants, problems))
	}
	used := map[*grant]bool{}
	variables := false
	for i, item := range w.Template {
		var rdn []attributeProgram
		if len(item) == 0 {
			problems.add([]string{"subject", "template", strconv.Itoa(i)}, "the item is empty")
		}
		for _, name := range slices.Sorted(maps.Keys(item)) {
			path := []string{"subject", "template", strconv.Itoa(i), name}
			oid, ok := pkix.AttributeOID(name)
			if !ok {
				problems.choose(path, append(pkix.AttributeNames(), "a dotted OID"), "%q is not a subject attribute", clip(name))
				continue
			}
			program := attributeProgram{oid: oid, field: "subject." + pkix.AttributeName(oid)}
			program.parts = compileValue(item[name], path, rule.grants, problems)
			for _, p := range program.parts {
				variables = variables || p.kind != constant
				used[p.grant] = true
			}
			rdn = append(rdn, program)
		}
		rule.template = append(rule.template, rdn)
	}
	for i, g := range rule.grants {
		if len(rule.template) > 0 && !used[g] {
			problems.add([]string{"subject", "asserted", strconv.Itoa(i)}, "the template has no variable that uses this grant")
		}
	}
	if len(rule.template) > 0 && !variables && len(problems.all) == 0 {
		d := &deciding{profile: &Profile{}}
		name, err := d.buildTemplate(rule.template)
		if err != nil {
			problems.add([]string{"subject", "template"}, "%s", ca.AsError(err).Public)
		}
		rule.fixed = name
	}
	return rule
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

// decideSubject sets the subject.
func (d *deciding) decideSubject() error {
	rule := &d.profile.subject
	var err error
	switch {
	case d.profile.cnFromDNS:
		err = d.subjectFromDNS()
	case rule.fixed != nil:
		d.out.Subject = rule.fixed
		d.field("subject", rule.fixed.String(), d.profile.source.template, "")
	case len(rule.template) > 0:
		d.out.Subject, err = d.buildTemplate(rule.template)
	default:
		err = d.copyGranted()
	}
	if err != nil {
		return err
	}
	d.noteUngranted()
	if d.out.Subject.Empty() {
		d.out.Subject = pkix.EmptyName
		d.field("subject", "", d.profile.source.subject, d.emptyNote+"subjectAltName is critical")
	}
	return nil
}

// subjectFromDNS makes CN from the asserted CN that is a proven name, else from the first DNS name.
func (d *deciding) subjectFromDNS() error {
	p := d.profile
	var cn, source string
	for _, text := range d.assertedCNs {
		n := pkix.DNS(lowerASCII(text))
		if !containsName(d.out.AltNames, n) {
			return p.denied("subject.CN", "subject.cn_from_first_dns", "the requested CN %q is not one of the names whose control was proven", clip(text))
		}
		if cn == "" {
			cn, source = string(n.Raw), d.sourceOf(n)
		}
	}
	for _, n := range d.out.AltNames {
		if cn == "" && n.Kind == pkix.DNSName {
			cn, source = string(n.Raw), d.sourceOf(n)
		}
	}
	switch {
	case cn == "":
		d.emptyNote = "there is no DNS name; "
		return nil
	case len(cn) > maxCN:
		d.emptyNote = "the DNS name is longer than a CN can be; "
		return nil
	}
	attribute, err := pkix.NewAttribute(oidCommonName, cn)
	if err != nil {
		return ca.InternalError(err)
	}
	if d.out.Subject, err = pkix.MarshalName([]pkix.RDN{{attribute}}); err != nil {
		return ca.InternalError(err)
	}
	d.field("subject.CN", cn, source, "")
	return nil
}

// sourceOf finds where a chosen name came from in the record so far.
func (d *deciding) sourceOf(n pkix.GeneralName) string {
	text := n.String()
	for _, f := range d.out.Fields {
		if f.Value == text && f.Note == "" {
			return f.Source
		}
	}
	return d.profile.source.subject
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

// copyGranted copies the granted attributes of the asserted subject as they are.
func (d *deciding) copyGranted() error {
	var rdns []pkix.RDN
	for _, asked := range d.assertedRDNs {
		var rdn pkix.RDN
		for _, a := range asked {
			at := slices.IndexFunc(d.profile.subject.grants, func(g *grant) bool { return g.oid.Equal(a.Type) })
			if at < 0 {
				continue
			}
			g, field := d.profile.subject.grants[at], "subject."+pkix.AttributeName(a.Type)
			text, _ := a.Text()
			if err := a.Check(); err != nil {
				return d.profile.denied(field, "subject.asserted", "%v", err)
			}
			if !g.match(text) {
				return d.profile.denied(field, "subject.asserted", "the requested value %q is outside what the profile grants", clip(text))
			}
			rdn = append(rdn, a)
			d.field(field, clip(text), g.source, "")
		}
		if len(rdn) > 0 {
			rdns = append(rdns, rdn)
		}
	}
	name, err := pkix.MarshalName(rdns)
	if err != nil {
		return ca.InternalError(err)
	}
	d.out.Subject = name
	return nil
}

// noteUngranted records the asserted attributes that the certificate does not have.
func (d *deciding) noteUngranted() {
	if d.profile.cnFromDNS && len(d.assertedRDNs) == 1 && len(d.assertedCNs) == 1 && len(d.assertedRDNs[0]) == 1 {
		return // the usual request: nothing but a CN that was checked above
	}
	for _, rdn := range d.assertedRDNs {
		for _, a := range rdn {
			granted := slices.ContainsFunc(d.profile.subject.grants, func(g *grant) bool { return g.oid.Equal(a.Type) })
			if granted || (d.profile.cnFromDNS && a.Type.Equal(oidCommonName)) {
				continue
			}
			text, _ := a.Text()
			d.field("subject."+pkix.AttributeName(a.Type), clip(text), "asserted", "not granted by the profile, left out")
		}
	}
}

func (d *deciding) assertedValues(oid pkix.OID) (values []pkix.Attribute) {
	for _, rdn := range d.assertedRDNs {
		for _, a := range rdn {
			if a.Type.Equal(oid) {
				values = append(values, a)
			}
		}
	}
	return values
}
