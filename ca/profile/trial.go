package profile

import (
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
)

// Trial is a request that an offline tool supposes: who would ask, without any
// evidence. It has no caller, so that the core would refuse it.
type Trial struct {
	Request *ca.Request // Caller stays empty
	Issuer  *ca.Facts

	Door       caller.Door // whose callers would ask; "": one that every grant is for
	Caller     string      // the rest is what rules see
	Endpoint   string
	Tenant     string
	Methods    []caller.Method
	Possession string
}

// Step is what one step of a decision came to.
type Step struct {
	Name    string `json:"step"` // the keys of the profile that it goes by
	Verdict string `json:"verdict"`
}

// Verdicts of a Step; those of rules are "holds" and "does not apply" too.
const (
	VerdictHolds      = "holds"
	VerdictRefused    = "refused"
	VerdictNotReached = "not reached"
)

// Attempt is how a Trial went: the decision, or as far as it got.
type Attempt struct {
	Decision *ca.Decision // of a refused one, the fields alone mean something
	Steps    []Step
	Err      error // the first refusal; *ca.Error
}

// Try decides a trial and says how each step went. Rules are all run, so that
// the first one that refuses does not hide the others.
func (p *Profile) Try(t *Trial, now time.Time) *Attempt {
	d := &deciding{profile: p, request: t.Request, facts: t.Issuer, now: now, trial: t}
	a := &Attempt{Decision: &d.out}
	for i := range steps[:len(steps)-1] { // all but the rules
		a.step(steps[i].name, func() error { return steps[i].run(d) })
	}
	var seen ruleFacts
	if len(p.extra) > 0 && a.Err == nil {
		seen = d.ruleFacts()
	}
	reached := a.Err == nil
	for i := range p.extra {
		rule := &p.extra[i]
		if !reached {
			a.Steps = append(a.Steps, Step{rule.name, VerdictNotReached})
			continue
		}
		verdict, err := rule.judge(seen)
		if err != nil {
			a.refused(rule.name, err)
			continue
		}
		a.Steps = append(a.Steps, Step{rule.name, verdict})
		d.field(rule.name, verdict, rule.source, "")
	}
	return a
}

// step runs one step, unless an earlier one refused.
func (a *Attempt) step(name string, run func() error) {
	if a.Err != nil {
		a.Steps = append(a.Steps, Step{name, VerdictNotReached})
		return
	}
	if err := run(); err != nil {
		a.refused(name, err)
		return
	}
	a.Steps = append(a.Steps, Step{name, VerdictHolds})
}

// refused notes a refusal, in the record too.
func (a *Attempt) refused(name string, err error) {
	e := ca.AsError(err)
	a.Steps = append(a.Steps, Step{name, VerdictRefused})
	a.Decision.Fields = append(a.Decision.Fields, ca.Field{Name: e.Field, Source: e.Rule, Note: e.Public, Denied: true})
	if a.Err == nil {
		a.Err = e
	}
}

// MethodFor gives a method by which the profile takes a claim as proven: for a
// name the first one of its type, dns-01 for a wildcard name where it is
// listed; else, and for facts that are no names, the directory's.
func (p *Profile) MethodFor(kind claim.Kind, value string) claim.Method {
	at := slices.Index(nameTypeKeys[:nameTypes], string(kind))
	if at < 0 || p.names[at] == nil || len(p.names[at].methods) == 0 {
		return claim.DirectoryEntry
	}
	methods := p.names[at].methods
	if strings.HasPrefix(value, "*.") && slices.Contains(methods, claim.DNS01) {
		return claim.DNS01
	}
	return methods[0]
}
