// Package equality holds two certificates against each other that were issued
// to one identity under one profile through two doors, or through a door and the
// Go API: their to-be-signed bytes are equal, apart from what the mask names.
//
// The mask is all that may differ, and nothing more of it than said here:
//
//   - the serial number, not its length;
//   - the dates, where both certificates live equally long, or end with their issuer
//     or on a date of the profile at the same moment;
//   - the subject's public key;
//   - the subject key identifier, where each is that of its own key;
//   - of the key usages those that some type of key cannot have, where the two keys
//     are of different types (RFC 3279 section 2.3.1, RFC 8813 section 3, RFC 9295
//     section 3);
//   - the shard that the CRL distribution point names, which follows from the serial
//     number; not its CA, its generation or whether there are shards.
//
// Order, string types, criticality and number of extensions are never masked.
package equality

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Difference is a field that the mask does not cover, or not in this way.
type Difference struct {
	Field     string // "subject", "validity", "extension 2.5.29.17 critical", ...
	One, Two  string // as hex where it is no text
	Predicate string // what should hold and does not; empty: equality
}

func (d Difference) String() string {
	want := d.Predicate
	if want == "" {
		want = "equal"
	}
	return fmt.Sprintf("%s is not %s:\n one %s\n two %s", d.Field, want, d.One, d.Two)
}

// comparison gathers differences.
type comparison []Difference

func (c *comparison) equal(field string, one, two any) {
	if a, b := text(one), text(two); a != b {
		*c = append(*c, Difference{field, a, b, ""})
	}
}

func (c *comparison) hold(ok bool, field, predicate string, one, two any) {
	if !ok {
		*c = append(*c, Difference{field, text(one), text(two), predicate})
	}
}

func text(v any) string {
	if octets, ok := v.([]byte); ok {
		return fmt.Sprintf("%x", octets)
	}
	return fmt.Sprint(v)
}

// Compare gives the differences that no mask covers, none for certificates that
// are the same. Both are read by pkix.ParseCertificate or pkix.ParseTBS.
func Compare(one, two *pkix.Certificate) []Difference {
	var c comparison
	c.equal("length of the serial number", len(one.Serial), len(two.Serial))
	c.equal("signature algorithm", one.Algorithm.DER(), two.Algorithm.DER())
	c.equal("issuer", []byte(one.Issuer), []byte(two.Issuer))
	c.equal("subject", []byte(one.Subject), []byte(two.Subject))
	c.hold(one.NotAfter.Sub(one.NotBefore) == two.NotAfter.Sub(two.NotBefore) || one.NotAfter.Equal(two.NotAfter), "validity", "as long, nor does it end at the same moment",
		[]any{one.NotBefore, one.NotAfter}, []any{two.NotBefore, two.NotAfter})
	c.equal("number of extensions", len(one.Extensions), len(two.Extensions))
	for i := range min(len(one.Extensions), len(two.Extensions)) {
		c.extension(i, one, two)
	}
	if len(c) == 0 {
		c.rest(one, two)
	}
	return c
}

// extension compares those at one place.
func (c *comparison) extension(i int, one, two *pkix.Certificate) {
	a, b := one.Extensions[i], two.Extensions[i]
	if !a.ID.Equal(b.ID) {
		c.equal(fmt.Sprintf("extension at place %d", i), a.ID, b.ID)
		return
	}
	field := "extension " + a.ID.String()
	c.equal(field+" critical", a.Critical, b.Critical)
	switch {
	case a.ID.Equal(pkix.OIDSubjectKeyID):
		c.hold(isOwnKeyID(one, a) && isOwnKeyID(two, b), field, "the identifier of the certificate's own key", a.Value, b.Value)
	case a.ID.Equal(pkix.OIDKeyUsage) && one.Key.Algorithm() != two.Key.Algorithm():
		c.keyUsage(field, a.Value, b.Value)
	case a.ID.Equal(pkix.OIDCRLDistPoints):
		c.equal(field, unsharded(a.Value), unsharded(b.Value))
	default:
		c.equal(field, a.Value, b.Value)
	}
}

func isOwnKeyID(cert *pkix.Certificate, e pkix.Extension) bool {
	id, err := pkix.ParseSubjectKeyID(e.Value)
	return err == nil && bytes.Equal(id, cert.Key.KeyID())
}

// byKeyType are the usages that some type of key cannot have.
const byKeyType = pkix.KeyEncipherment | pkix.DataEncipherment | pkix.KeyAgreement | pkix.EncipherOnly | pkix.DecipherOnly

func (c *comparison) keyUsage(field string, one, two []byte) {
	a, errA := pkix.ParseKeyUsageValue(one)
	b, errB := pkix.ParseKeyUsageValue(two)
	c.hold(errA == nil && errB == nil && a&^byKeyType == b&^byKeyType, field, "the same but for what follows from the key's type", one, two)
}

// unsharded gives the distribution points of an extension without the number of a
// shard; where it does not read, the extension itself.
func unsharded(value []byte) string {
	urls, err := pkix.ParseCRLDistributionPoints(value)
	if err != nil {
		return text(value)
	}
	for i, url := range urls {
		folder, file := path.Split(url)
		name, isCRL := strings.CutSuffix(file, ".crl")
		if generation, shard, ok := ca.ParseCRLScope(name); ok && isCRL && shard > 0 {
			urls[i] = fmt.Sprintf("%sg%d-s*.crl", folder, generation)
		}
	}
	return strings.Join(urls, " ")
}

// rest puts what is masked of two into one, and compares the octets: what none of
// the comparisons above looks at is equal, too.
func (c *comparison) rest(one, two *pkix.Certificate) {
	masked := &pkix.Template{Serial: two.Serial, Signature: one.Algorithm, Issuer: one.Issuer, NotBefore: two.NotBefore, NotAfter: two.NotAfter,
		Subject: one.Subject, Key: two.Key, Extensions: slices.Clone(one.Extensions)}
	for i, e := range two.Extensions {
		if e.ID.Equal(pkix.OIDSubjectKeyID) || e.ID.Equal(pkix.OIDKeyUsage) || e.ID.Equal(pkix.OIDCRLDistPoints) {
			masked.Extensions[i] = e // compared above, under the mask
		}
	}
	tbs, err := masked.MarshalTBS()
	if err != nil {
		tbs = []byte(err.Error())
	}
	c.equal("to-be-signed bytes under the mask", tbs, two.RawTBS)
}
