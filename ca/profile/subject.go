package profile

import (
	"maps"
	"slices"
	"strconv"

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
