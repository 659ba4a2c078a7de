package profile

import (
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

var oidCommonName = pkix.OID{2, 5, 4, 3}

// maxCN is ub-common-name (RFC 5280 appendix A.1), in characters.
const maxCN = 64

// subjectRule is the compiled subject block.
type subjectRule struct {
	grants   []*grant
	template [][]attributeProgram
	fixed    pkix.RawName // the encoded template where it has no variable
	cnFrom   []nameType
	cnTag    uint8
	parent   pkix.RawName // nil: none
	above    []ca.Field   // the parent's attributes, as recorded
}

// stringTypes are the string types that a profile may choose (X.680 section 41).
var stringTypes = map[string]uint8{"utf8": 12, "printable": 19, "ia5": 22, "bmp": 30}

func compileSubject(w *WrittenSubject, id string, problems *problemList) (rule subjectRule) {
	ways := 0
	for _, written := range []bool{w.CNFromFirstDNS, len(w.CNFrom) > 0, len(w.Template)+len(w.Asserted) > 0} {
		if written {
			ways++
		}
	}
	if ways > 1 {
		key := "cn_from"
		if w.CNFromFirstDNS {
			key = "cn_from_first_dns"
		}
		problems.add([]string{"subject", key}, "cn_from_first_dns and cn_from make the whole subject; each excludes the other, template and asserted")
	}
	tags := compileStringTypes(w.StringTypes, problems)
	rule.cnFrom, rule.cnTag = compileCNFrom(w.CNFrom, problems), tags[oidCommonName.String()]
	for i, written := range w.Asserted {
		rule.grants = append(rule.grants, compileGrant(written, i, id, rule.grants, problems))
	}
	rule.template = compileRDNs(w.Template, []string{"subject", "template"}, rule.grants, tags, problems)
	variables, used := false, map[*grant]bool{}
	for _, rdn := range rule.template {
		for _, program := range rdn {
			for _, p := range program.parts {
				variables = variables || p.kind != constant
				used[p.grant] = true
			}
		}
	}
	for i, g := range rule.grants {
		if len(rule.template) > 0 && !used[g] {
			problems.add([]string{"subject", "asserted", strconv.Itoa(i)}, "the template has no variable that uses this grant")
		}
	}
	parent := compileRDNs(w.Parent, []string{"subject", "parent"}, nil, tags, problems)
	if len(problems.all) > 0 {
		return rule
	}
	if len(parent) > 0 {
		rule.parent, rule.above = constantName(parent, "parent", id, problems)
	}
	if len(rule.template) > 0 && !variables {
		rule.fixed, _ = constantName(rule.template, "template", id, problems)
		if rule.parent != nil && rule.fixed != nil {
			joined, err := rule.parent.Join(rule.fixed)
			if err != nil {
				problems.add([]string{"subject", "parent"}, "%v", err)
			}
			rule.fixed = joined
		}
	}
	return rule
}

// constantName encodes RDNs that have no variables.
func constantName(rdns [][]attributeProgram, key, id string, problems *problemList) (pkix.RawName, []ca.Field) {
	for _, rdn := range rdns {
		for _, program := range rdn {
			if slices.ContainsFunc(program.parts, func(p part) bool { return p.kind != constant }) {
				problems.add([]string{"subject", key}, "%s holds a variable; only constants stand here", program.field)
				return nil, nil
			}
		}
	}
	d := &deciding{profile: &Profile{source: sources{template: "profile " + id + " subject." + key}}}
	name, err := d.buildTemplate(rdns)
	if err != nil {
		problems.add([]string{"subject", key}, "%s", ca.AsError(err).Public)
	}
	return name, d.out.Fields
}

func compileStringTypes(w map[string]string, problems *problemList) map[string]uint8 {
	tags := map[string]uint8{}
	for _, name := range slices.Sorted(maps.Keys(w)) {
		path := []string{"subject", "string_types", name}
		oid, ok := pkix.AttributeOID(name)
		tag, known := stringTypes[w[name]]
		switch {
		case !ok:
			problems.choose(path, append(pkix.AttributeNames(), "a dotted OID"), "%q is not a subject attribute", clip(name))
		case !known:
			problems.choose(path, slices.Sorted(maps.Keys(stringTypes)), "%q is not a string type", clip(w[name]))
		case pkix.FixedStringType(oid):
			problems.add(path, "the string type of %s is fixed by its definition (RFC 5280 appendix A.1)", pkix.AttributeName(oid))
		default:
			tags[oid.String()] = tag
		}
	}
	return tags
}

func compileCNFrom(w []string, problems *problemList) (order []nameType) {
	for i, text := range w {
		t := slices.Index(nameTypeKeys[:nameTypes], text)
		switch {
		case t < 0:
			problems.choose([]string{"subject", "cn_from", strconv.Itoa(i)}, nameTypeKeys[:nameTypes], "%q is not a type of names", clip(text))
		case slices.Contains(order, nameType(t)):
			problems.add([]string{"subject", "cn_from", strconv.Itoa(i)}, "%q is listed twice", clip(text))
		default:
			order = append(order, nameType(t))
		}
	}
	return order
}

func compileRDNs(items []map[string]string, at []string, grants []*grant, tags map[string]uint8, problems *problemList) (rdns [][]attributeProgram) {
	for i, item := range items {
		var rdn []attributeProgram
		if len(item) == 0 {
			problems.add(append(slices.Clone(at), strconv.Itoa(i)), "the item is empty")
		}
		for _, name := range slices.Sorted(maps.Keys(item)) {
			path := append(slices.Clone(at), strconv.Itoa(i), name)
			oid, ok := pkix.AttributeOID(name)
			if !ok {
				problems.choose(path, append(pkix.AttributeNames(), "a dotted OID"), "%q is not a subject attribute", clip(name))
				continue
			}
			if slices.ContainsFunc(rdn, func(p attributeProgram) bool { return p.oid.Equal(oid) }) {
				problems.add(path, "the attribute is in this item twice, under another name")
			}
			program := attributeProgram{oid: oid, tag: tags[oid.String()], field: "subject." + pkix.AttributeName(oid)}
			program.parts = compileValue(item[name], path, grants, problems)
			rdn = append(rdn, program)
		}
		rdns = append(rdns, rdn)
	}
	return rdns
}

// decideSubject sets the subject.
func (d *deciding) decideSubject() error {
	rule := &d.profile.subject
	var err error
	switch {
	case d.profile.cnFromDNS:
		err = d.subjectFromDNS()
	case len(rule.cnFrom) > 0:
		err = d.subjectFromNames()
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
	if err := d.addParent(); err != nil {
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
		n := nameOfCN(text)
		if !containsName(d.out.AltNames, n) {
			return p.denied("subject.CN", "subject.cn_from_first_dns", "the requested CN %q is not one of the names whose control was proven", clip(text))
		}
		if cn == "" && n.Kind == pkix.DNSName { // an address is named where it is matched, in the alternative names
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
	return d.onlyCN(cn, source)
}

// onlyCN makes the subject a single CN.
func (d *deciding) onlyCN(cn, source string) error {
	attribute, err := pkix.NewAttributeAs(oidCommonName, cn, d.profile.subject.cnTag)
	if err != nil {
		return d.profile.denied("subject.CN", "subject", "%v", err)
	}
	if d.out.Subject, err = pkix.MarshalName([]pkix.RDN{{attribute}}); err != nil {
		return ca.InternalError(err)
	}
	d.cn = cn
	d.field("subject.CN", cn, source, "")
	return nil
}

// subjectFromNames makes CN from the first name of the first type, in the
// order of the profile, that the certificate has.
func (d *deciding) subjectFromNames() error {
	for _, t := range d.profile.subject.cnFrom {
		for _, n := range d.out.AltNames {
			if rule := d.profile.rule(n); rule == nil || rule.kind != t {
				continue
			}
			text, ok := n.Text()
			if !ok || utf8.RuneCountInString(text) > maxCN {
				d.emptyNote = "the name is longer than a CN can be; "
				return nil
			}
			return d.onlyCN(text, d.sourceOf(n))
		}
	}
	d.emptyNote = "there is no name to make a CN of; "
	return nil
}

// addParent puts the parent's RDNs before the subject's, where they are not
// there yet. An empty subject stays empty: a parent alone names nobody.
func (d *deciding) addParent() error {
	rule := &d.profile.subject
	if rule.parent == nil || rule.fixed != nil || d.out.Subject.Empty() || d.out.Subject.StartsWith(rule.parent) {
		return nil
	}
	joined, err := rule.parent.Join(d.out.Subject)
	if err != nil {
		return ca.InternalError(err)
	}
	d.out.Subject = joined
	d.out.Fields = append(d.out.Fields, rule.above...)
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

// copyGranted copies the granted attributes of the asserted subject as they are.
func (d *deciding) copyGranted() error {
	var rdns []pkix.RDN
	for _, asked := range d.assertedRDNs {
		var rdn pkix.RDN
		for _, a := range asked {
			g := d.granted(a)
			if g == nil {
				continue
			}
			field := "subject." + pkix.AttributeName(a.Type)
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

// granted finds the grant that this caller may use for an attribute, nil for none.
func (d *deciding) granted(a pkix.Attribute) *grant {
	if len(d.profile.subject.grants) == 0 || !d.hears() {
		return nil
	}
	return grantFor(d.profile.subject.grants, a.Type)
}

// noteUngranted records the asserted attributes that the certificate does not have.
func (d *deciding) noteUngranted() {
	for _, rdn := range d.assertedRDNs {
		for _, a := range rdn {
			if d.granted(a) != nil {
				continue
			}
			text, ok := a.Text()
			note := "not granted by the profile, left out"
			if d.profile.cnFromDNS && a.Type.Equal(oidCommonName) {
				if ok && d.cn != "" && lowerASCII(text) == d.cn {
					continue
				}
				note = "the subject has another CN or none, left out"
			}
			if err := a.Check(); err != nil {
				text, note = "", "left out: "+err.Error()
			}
			d.field("subject."+pkix.AttributeName(a.Type), clip(text), "asserted", note)
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
