package profile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca/claim"
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
	w = w.clone()
	var problems problemList
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
	p.dns = compileNames(w.SubjectAltName.DNS, claim.DNS, &problems)
	p.ip = compileNames(w.SubjectAltName.IP, claim.IP, &problems)
	p.requestable = compileRequestExtensions(w.RequestExtensions, &problems)
	p.compilePolicies(w.Policies, &problems)
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
	names := p.dns != nil || p.ip != nil
	subject := p.cnFromDNS || len(p.subject.template)+len(p.subject.grants) > 0
	switch {
	case p.cnFromDNS && p.dns == nil:
		problems.add([]string{"subject", "cn_from_first_dns"}, "there is no first DNS name: subject_alt_name.dns is not written")
	case p.copyCN && p.dns == nil:
		problems.add([]string{"copy_cn_to_dns"}, "DNS names are not issued here: write subject_alt_name.dns too")
	case w.Kind == KindCA && !subject:
		problems.add([]string{"subject"}, "a CA certificate needs a subject (RFC 5280 section 4.1.2.6)")
	case w.Kind == KindCA && p.cnFromDNS:
		problems.add([]string{"subject", "cn_from_first_dns"}, "a CA is not named after a host; use template")
	case !names && !subject:
		problems.add([]string{"subject"}, "neither subject nor subject_alt_name is written: certificates would name nobody")
	}
	for _, block := range p.subject.template {
		for _, program := range block {
			for _, part := range program.parts {
				if (part.kind == provenDNS && p.dns == nil) || (part.kind == provenIP && p.ip == nil) {
					problems.add([]string{"subject", "template"}, "%s never has a value: subject_alt_name has no such names", part.name)
				}
			}
		}
	}
}

func (p *Profile) compilePolicies(written []string, problems *problemList) {
	var policies []pkix.OID
	for i, text := range written {
		path := []string{"policies", strconv.Itoa(i)}
		oid, ok := pkix.ParseOID(text)
		switch {
		case !ok:
			problems.add(path, "%q is not a dotted OID", clip(text))
		case slices.ContainsFunc(policies, oid.Equal):
			problems.add(path, "%q is listed twice (RFC 5280 section 4.2.1.4)", clip(text))
		default:
			policies = append(policies, oid)
		}
	}
	if len(policies) == 0 {
		return
	}
	extension, err := pkix.MarshalCertificatePolicies(policies)
	if err != nil {
		problems.add([]string{"policies"}, "%v", err)
	}
	p.policies, p.policyText = &extension, strings.Join(written, " ")
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
