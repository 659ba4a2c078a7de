package profile

import (
	"slices"
	"strconv"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// The kinds of profile.
const (
	KindEndEntity = "end-entity"
	KindCA        = "ca"
	KindResponder = "responder"
	KindRA        = "ra"
)

// Compile checks a written profile and does everything that need not wait for
// a request. The error is Problems: all of them at once.
func Compile(w Written) (*Profile, error) {
	w = deepCopy(w)
	var problems problemList
	if w.Extends != "" {
		problems.add([]string{"extends"}, "a profile is compiled flat; Flatten resolves extends")
	}
	if !validID(w.ID) {
		problems.add([]string{"id"}, "an id has 1 to 64 letters, digits and - _ ~; it is a part of URLs")
	}
	if w.Title == "" {
		w.Title = w.ID
	}
	w.Kind = oneOf(w.Kind, []string{"kind"}, []string{KindEndEntity, KindCA, KindResponder, KindRA}, &problems)
	p := &Profile{id: w.ID, kind: w.Kind, cnFromDNS: w.Subject.CNFromFirstDNS, copyCN: w.CopyCNToDNS}
	p.source = sourcesOf(w.ID)
	p.keys = compileKeys(w.Keys, &problems)
	p.keyUsage = compileKeyUsage(&w.KeyUsage, w.Kind, p.keys.families(), &problems)
	p.extKeyUsage = compileExtKeyUsage(&w.ExtKeyUsage, w.Kind, &problems)
	p.validity = compileValidity(&w.Validity, &problems)
	p.subject = compileSubject(&w.Subject, w.ID, &problems)
	p.compileAltName(&w.SubjectAltName, &problems)
	p.compileAssertedBy(&w.AssertedBy, &problems)
	p.requestable = compileRequestExtensions(w.RequestExtensions, &problems)
	p.compilePolicies(&w, &problems)
	p.compileExtensions(w.Extensions, &problems)
	p.compileCapabilities(w.SMIMECapabilities, &problems)
	p.compileMSTemplate(w.MSTemplate, &problems)
	w.MSSID = oneOf(w.MSSID, []string{"ms_sid"}, []string{"omit", "include", "require"}, &problems)
	p.sid = w.MSSID
	p.compileLife(&w, &problems)
	p.compileServerKeys(w.ServerKeys, &problems)
	p.extra = compileRules(w.Rules, w.ID, &problems)
	p.compileBasicConstraints(w.PathLen, &problems)
	p.compileRevocation(&w, &problems)
	p.compileURLs(&w.URLs)
	p.compileLint(w.Lint, &problems)
	p.crossCheck(&w, &problems)
	if err := problems.err(); err != nil {
		return nil, err
	}
	p.written = w
	return p, p.seal()
}

// crossCheck finds what is wrong between blocks that are each right.
func (p *Profile) crossCheck(w *Written, problems *problemList) {
	names := len(p.rules) > 0
	subject := p.cnFromDNS || len(p.subject.template)+len(p.subject.grants)+len(p.subject.cnFrom) > 0
	switch {
	case p.cnFromDNS && p.names[typeDNS] == nil:
		problems.add([]string{"subject", "cn_from_first_dns"}, "there is no first DNS name: subject_alt_name.dns is not written")
	case p.copyCN && p.names[typeDNS] == nil:
		problems.add([]string{"copy_cn_to_dns"}, "DNS names are not issued here: write subject_alt_name.dns too")
	case w.Kind == KindCA && !subject:
		problems.add([]string{"subject"}, "a CA certificate needs a subject (RFC 5280 section 4.1.2.6)")
	case w.Kind == KindCA && p.cnFromDNS:
		problems.add([]string{"subject", "cn_from_first_dns"}, "a CA is not named after a host; use template")
	case !names && !subject:
		problems.add([]string{"subject"}, "neither subject nor subject_alt_name is written: certificates would name nobody")
	}
	for _, rdn := range p.subject.template {
		for _, program := range rdn {
			p.checkVariables(program.parts, []string{"subject", "template"}, problems)
		}
	}
	for i, t := range p.subject.cnFrom {
		if p.names[t] == nil {
			problems.add([]string{"subject", "cn_from", strconv.Itoa(i)}, "subject_alt_name has no such names")
		}
	}
}

// checkVariables finds variables that never have a value.
func (p *Profile) checkVariables(parts []part, path []string, problems *problemList) {
	for _, part := range parts {
		if part.kind == issued && p.names[part.names] == nil {
			problems.add(path, "%s never has a value: subject_alt_name has no such names", part.name)
		}
	}
}

// hearing are the doors whose callers may use grants by assertion unless a
// profile says otherwise: not those where names are proven, by challenges
// (ACME) or by the directory (WSTEP: what a domain user asks for decides
// nothing; CVE-2022-26923).
var hearing = []string{string(caller.EST), string(caller.SCEP), string(caller.CMP), string(caller.Operator), string(caller.System)}

// heard tells whether anything is granted by assertion.
func (p *Profile) heard() bool {
	return len(p.subject.grants) > 0 || slices.ContainsFunc(p.rules, func(r *nameRule) bool { return r.asserted.written() })
}

func (p *Profile) compileAssertedBy(w *[]string, problems *problemList) {
	var doors []string
	for _, d := range caller.Doors() {
		doors = append(doors, string(d))
	}
	switch {
	case len(*w) > 0 && !p.heard():
		problems.add([]string{"asserted_by"}, "nothing is granted by assertion here: neither subject.asserted nor asserted in subject_alt_name")
	case len(*w) == 0 && p.heard():
		*w = slices.Clone(hearing)
	}
	for i, text := range *w {
		switch {
		case !slices.Contains(doors, text):
			problems.choose([]string{"asserted_by", strconv.Itoa(i)}, doors, "%q is not a door", clip(text))
		case slices.Contains((*w)[:i], text):
			problems.add([]string{"asserted_by", strconv.Itoa(i)}, "%q is listed twice", clip(text))
		}
		p.assertedBy = append(p.assertedBy, caller.Door(text))
	}
}

// hears tells whether the caller may use the grants by assertion. Who is no
// caller of a door at all decides offline: the core refuses that before.
func (d *deciding) hears() bool {
	door := d.request.Caller.Door()
	if d.trial != nil {
		door = d.trial.Door
	}
	return door == "" || slices.Contains(d.profile.assertedBy, door)
}

func (p *Profile) compileBasicConstraints(pathLen *int, problems *problemList) {
	bound := -1
	p.constraintText = "cA false"
	if p.kind == KindCA {
		p.constraintText = "cA true"
	}
	if pathLen != nil {
		bound = *pathLen
		p.constraintText += ", path length " + strconv.Itoa(bound)
		if p.kind != KindCA || bound < 0 || bound > 255 {
			problems.add([]string{"path_len"}, "path_len is a number from 0 to 255 in a profile of kind ca (RFC 5280 section 4.2.1.9)")
			return
		}
	}
	var err error
	if p.constraints, err = pkix.MarshalBasicConstraints(p.kind == KindCA, bound); err != nil {
		problems.add([]string{"path_len"}, "%v", err)
	}
}

func (p *Profile) compileURLs(w *WrittenURLs) {
	for _, s := range []struct {
		written **bool
		on      *bool
	}{{&w.AIA, &p.aia}, {&w.CRL, &p.crl}, {&w.OCSP, &p.ocsp}} {
		if *s.written == nil {
			yes := true
			*s.written = &yes
		}
		*s.on = **s.written
	}
}

func (p *Profile) compileLint(w *ruleset.Written, problems *problemList) {
	policy, wrong := ruleset.Compile(w)
	for _, problem := range wrong {
		problems.choose(append([]string{"lint"}, problem.Path...), problem.Allowed, "%s", problem.Message)
	}
	p.lint = policy
}

// oneOf gives the value, or the first choice where nothing was written.
func oneOf(value string, path, choices []string, problems *problemList) string {
	if value == "" {
		return choices[0]
	}
	if !slices.Contains(choices, value) {
		problems.choose(path, choices, "%q is not a choice", clip(value))
	}
	return value
}

func validID(id string) bool {
	ok := len(id) >= 1 && len(id) <= 64
	for i := 0; i < len(id); i++ {
		c := id[i]
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '~')
	}
	return ok
}
