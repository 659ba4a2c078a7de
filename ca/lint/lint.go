// Package lint looks at the bytes that are about to be signed: it reads them
// again with our own reader and with crypto/x509, compares every field with
// the template they were made from, and holds them against RFC 5280 (with RFC
// 8813 and RFC 9295 for key usages). What does not pass is never signed.
//
// Everything is checked on every certificate. Left out until zlint comes in
// behind the same seam: the CA/Browser Forum's requirements, which private
// trust does not follow, and checks against the issuer's own certificate.
package lint

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Linter implements ca.Linter. The zero value is ready to use and safe for
// concurrent use.
type Linter struct{}

var _ ca.Linter = Linter{}

// Finding is one rule that a certificate breaks.
type Finding struct {
	Rule    string // stable name: "serial", "san-critical", ...
	Section string // where the rule stands: "RFC 5280 section 4.1.2.2"
	Text    string // what is wrong, for people
}

func (f Finding) String() string { return f.Text + " (" + f.Section + ")" }

// Lint re-parses tbs and checks it against the template and RFC 5280. Errors:
// Internal where the bytes are not what the template says or cannot be read
// back, Denied with Rule naming the section where a rule is broken.
func (Linter) Lint(tbs []byte, t *pkix.Template) error {
	c, err := read(tbs, t)
	if err != nil {
		return ca.InternalError(fmt.Errorf("lint: %w", err))
	}
	findings := c.check()
	if len(findings) == 0 {
		return nil
	}
	texts := make([]string, len(findings))
	for i, f := range findings {
		texts[i] = f.String()
	}
	e := ca.Errorf(ca.Denied, "the certificate would break a rule for certificates: %s", findings[0].Text)
	e.Field, e.Rule = "lint."+findings[0].Rule, findings[0].Section
	e.Err = errors.New(strings.Join(texts, "; "))
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
