// Package lint looks at the bytes that are about to be signed: it reads them
// again with our own reader and with crypto/x509, compares every field with
// the template they were made from, holds them against checks of our own (RFC
// 5280, RFC 8813 and RFC 9295 for key usages) and against zlint's rules for
// private trust (package ruleset says which, and which are left out and why).
// What does not pass is never signed.
//
// The readings and our own checks are made on every certificate. zlint costs
// some ten times as much as all of them, and its verdicts repeat, so:
//
//   - A rule that reads only the shape of a certificate (everything but serial,
//     dates, key bits, and the values of subject and subjectAltName) runs once
//     for each distinct shape; what it found is remembered, for a bounded
//     number of shapes.
//   - A rule that reads values runs on each certificate, unless all values are
//     plain: DNS names that are not internationalized, addresses, ordinary
//     mailboxes, short attributes. On plain values that pass our own checks no
//     such rule fires, so that zlint need not even parse the certificate.
//
// TestWhereZlintIsNotAsked holds both against zlint itself. zlint's rules about the key (RSA primes too close) are the
// floor's too (ca.CheckKey), which every request passes before it comes here.
//
// Left out: checks against the issuer's own certificate.
package lint

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Linter implements ca.Linter. The zero value is ready to use and the
// strictest: every rule on every certificate, the default policy, nobody told
// of warnings. It is safe for concurrent use.
type Linter struct {
	shapes   *cache
	policies map[string]ruleset.Policy
	log      *slog.Logger
	observer Observer
}

var _ ca.Linter = Linter{}

// Options are what a Linter of a running daemon is made of.
type Options struct {
	Policies map[string]ruleset.Policy // by profile id; others have the default
	Log      *slog.Logger              // told of findings that do not refuse; required
	Observer Observer                  // nil: nobody counts
}

// Observer counts. Its methods must not wait, and may be called at the same
// time. What they are given comes from closed sets.
type Observer interface {
	// LintFound: a rule of ours or zlint's was broken, and what became of it.
	LintFound(rule, action string)
	// LintDepth: how far a certificate was looked at: "full" for all rules,
	// "values" where the shape was known, "known" where values were plain too.
	LintDepth(depth string)
}

const (
	depthFull   = "full"
	depthValues = "values"
	depthKnown  = "known"
)

// New makes a Linter that remembers shapes.
func New(o Options) (Linter, error) {
	if o.Log == nil {
		return Linter{}, errors.New("lint: nobody would read of warnings")
	}
	if _, err := loadRules(); err != nil {
		return Linter{}, fmt.Errorf("lint: %w", err)
	}
	return Linter{&cache{}, maps.Clone(o.Policies), o.Log, o.Observer}, nil
}

// Finding is one rule that a certificate breaks.
type Finding struct {
	Rule     string // stable name: "serial", "san-critical", "e_ext_san_no_entries", ...
	Section  string // where the rule stands: "RFC 5280 section 4.1.2.2"
	Text     string // what is wrong, for people
	Severity ruleset.Severity
}

func (f Finding) String() string { return f.Text + " (" + f.Section + ")" }

func sortFindings(all []Finding) {
	slices.SortFunc(all, func(a, b Finding) int { return cmp.Compare(a.Rule, b.Rule) })
}

// Lint re-parses tbs and checks it against the template, our own rules and
// zlint's, and does what the profile says about findings; "" is what belongs
// to no profile. Errors: Internal where the bytes are not what the template
// says or cannot be read back, Denied with Rule naming the section where a
// rule is broken.
func (l Linter) Lint(tbs []byte, t *pkix.Template, profile string) error {
	c, err := read(tbs, t)
	if err != nil {
		return ca.InternalError(fmt.Errorf("lint: %w", err))
	}
	findings := c.check()
	if slices.ContainsFunc(findings, ours) { // zlint need not look at what is refused anyway
		return l.act(c, findings, profile)
	}
	more, depth, err := l.zlint(c)
	if err != nil {
		return ca.InternalError(fmt.Errorf("lint: %w", err))
	}
	if l.observer != nil {
		l.observer.LintDepth(depth)
	}
	return l.act(c, slices.Concat(findings, more), profile)
}

// ours tells whether a finding refuses whatever a profile says.
func ours(f Finding) bool {
	return f.Severity == ruleset.Error && slices.ContainsFunc(rules, func(r rule) bool { return r.name == f.Rule })
}

// zlint gives what zlint's rules find, and how far it had to look.
func (l Linter) zlint(c *certificate) ([]Finding, string, error) {
	rules, err := loadRules()
	if err != nil {
		return nil, "", err
	}
	// Where a rule is not in force yet, its silence says nothing about the shape.
	remembered := l.shapes != nil && !c.NotBefore.Before(rules.newest)
	shape, known, findings, depth := c.shape(), false, []Finding(nil), depthFull
	if remembered {
		if findings, known = l.shapes.get(shape); known && c.plain() {
			return findings, depthKnown, nil
		}
	}
	z, err := c.examine(rules)
	if err != nil {
		return nil, "", err
	}
	if known {
		depth = depthValues
	} else {
		if findings, err = z.run(ruleset.Shape); err != nil {
			return nil, "", err
		}
		if remembered {
			l.shapes.put(shape, findings)
		}
	}
	ofValues, err := z.run(ruleset.Values)
	return slices.Concat(findings, ofValues), depth, err
}

// act does what the profile says about each finding.
func (l Linter) act(c *certificate, findings []Finding, profile string) error {
	if len(findings) == 0 {
		return nil
	}
	policy := l.policies[profile]
	var refusing, logged []Finding
	for _, f := range findings {
		action := ruleset.Refuse
		if !ours(f) {
			action = policy.Action(f.Rule, f.Severity)
		}
		switch action {
		case ruleset.Refuse:
			refusing = append(refusing, f)
		case ruleset.Log:
			logged = append(logged, f)
		}
		if l.observer != nil {
			l.observer.LintFound(f.Rule, action.String())
		}
	}
	if len(refusing) > 0 {
		return refusal(refusing)
	}
	if len(logged) > 0 && l.log != nil {
		l.log.Warn("certificate.lint", "profile", profile, "serial", fmt.Sprintf("%x", c.Serial), "findings", texts(logged))
	}
	return nil
}

func texts(findings []Finding) string {
	all := make([]string, len(findings))
	for i, f := range findings {
		all[i] = f.Rule + ": " + f.String()
	}
	return strings.Join(all, "; ")
}

// refusal names the first finding to the requester, and all to the log.
func refusal(findings []Finding) error {
	first := findings[0]
	advice := "the profile, or what the request asks for, has to change"
	if !ours(first) {
		advice += ", or the profile acknowledges it under lint"
	}
	e := ca.Errorf(ca.Denied, "the certificate would break a rule for certificates: %s (%s, %s); %s", first.Text, first.Rule, first.Section, advice)
	e.Field, e.Rule = "lint."+first.Rule, first.Section
	e.Err = errors.New(texts(findings))
	return e
}

// read parses the bytes twice and compares each reading with the template.
func read(tbs []byte, t *pkix.Template) (*certificate, error) {
	parsed, err := pkix.ParseTBS(tbs)
	if err != nil {
		return nil, err
	}
	if err := compare(parsed, t); err != nil {
		return nil, err
	}
	c, err := newCertificate(parsed)
	if err != nil {
		return nil, err
	}
	der, err := pkix.Assemble(tbs, t.Signature, dummySignature(t.Signature))
	if err != nil {
		return nil, err
	}
	other, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("crypto/x509 cannot read it: %w", err)
	}
	return c, c.compareWith(other)
}

// dummySignature is a value of the shape that the algorithm's signatures have.
func dummySignature(a *pkix.SignatureAlgorithm) []byte {
	switch {
	case strings.HasPrefix(a.Name, "ecdsa"):
		return []byte{0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01} // ECDSA-Sig-Value, RFC 3279 section 2.2.3
	case strings.HasSuffix(a.Name, "RSAEncryption"):
		return make([]byte, 256)
	}
	return make([]byte, 64)
}
