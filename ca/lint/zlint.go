package lint

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/community" // registers its rules
	_ "github.com/zmap/zlint/v3/lints/rfc"       // registers its rules

	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// zrules are zlint's rules of the ruleset by what they read.
type zrules struct {
	byReads map[ruleset.Reads][]*zlint.CertificateLint
	config  zlint.Configuration
	newest  time.Time // from this notBefore on every rule is in force
}

// loadRules looks the ruleset up in zlint's registry, once.
var loadRules = sync.OnceValues(func() (*zrules, error) {
	z := &zrules{byReads: map[ruleset.Reads][]*zlint.CertificateLint{}, config: zlint.NewEmptyConfig()}
	registry := zlint.GlobalRegistry().CertificateLints()
	for name, reads := range ruleset.Rules() {
		l := registry.ByName(name)
		if l == nil || !l.IneffectiveDate.IsZero() {
			return nil, fmt.Errorf("zlint has no rule %s that stays in force", name)
		}
		z.byReads[reads] = append(z.byReads[reads], l)
		if l.EffectiveDate.After(z.newest) {
			z.newest = l.EffectiveDate
		}
	}
	return z, nil
})

// zcertificate is the certificate as zlint reads it.
type zcertificate struct {
	rules  *zrules
	parsed *x509.Certificate
}

// examine parses the bytes as zlint does, with a signature of the right shape.
func (c *certificate) examine(rules *zrules) (z *zcertificate, err error) {
	defer recovered(&err)
	der, err := pkix.Assemble(c.RawTBS, c.Algorithm, dummySignature(c.Algorithm))
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("zcrypto cannot read it: %w", err)
	}
	if !bytes.Equal(parsed.RawTBSCertificate, c.RawTBS) {
		return nil, disagree("to-be-signed bytes")
	}
	parsed.SelfSigned = c.selfSigned() // which the signature cannot show yet
	return &zcertificate{rules, parsed}, nil
}

// run applies the rules that read the one or the other.
func (z *zcertificate) run(reads ruleset.Reads) (findings []Finding, err error) {
	defer recovered(&err)
	for _, l := range z.rules.byReads[reads] {
		result := l.Execute(z.parsed, z.rules.config)
		if severity := severityOf(result.Status); severity != 0 {
			text := l.Description
			if result.Details != "" {
				text += " (" + result.Details + ")"
			}
			findings = append(findings, Finding{l.Name, l.Citation, text, severity})
		}
	}
	sortFindings(findings)
	return findings, nil
}

// severityOf is 0 where the rule is kept or does not apply.
func severityOf(s zlint.LintStatus) ruleset.Severity {
	switch s {
	case zlint.Notice:
		return ruleset.Notice
	case zlint.Warn:
		return ruleset.Warning
	case zlint.Error, zlint.Fatal:
		return ruleset.Error
	}
	return 0
}

// recovered turns a panic of code that is not ours into an error: the
// certificate is then not signed.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("zlint panicked: %v", r)
	}
}
