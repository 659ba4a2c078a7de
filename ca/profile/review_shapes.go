package profile

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Extended key usages that reviews look for, beside those of pkix.
var (
	usageKerberosClient = pkix.OID{1, 3, 6, 1, 5, 2, 3, 4} // RFC 4556 section 3.2.2
	usageKerberosKDC    = pkix.OID{1, 3, 6, 1, 5, 2, 3, 5} // RFC 4556 section 3.2.4
	usageAnyPolicy      = pkix.OID{1, 3, 6, 1, 4, 1, 311, 10, 12, 1}

	// agentUsages let their holder get certificates, or keys, of others.
	agentUsages = []pkix.OID{
		{1, 3, 6, 1, 4, 1, 311, 20, 2, 1},    // certificate request agent
		{1, 3, 6, 1, 4, 1, 311, 21, 5},       // CA exchange
		{1, 3, 6, 1, 4, 1, 311, 21, 6},       // key recovery agent
		{1, 3, 6, 1, 4, 1, 311, 10, 3, 4, 1}, // EFS recovery
		{1, 3, 6, 1, 5, 5, 7, 3, 27},         // CMC certificate authority (RFC 6402 section 2.10)
		{1, 3, 6, 1, 5, 5, 7, 3, 28},         // CMC registration authority
		{1, 3, 6, 1, 4, 1, 311, 10, 3, 1},    // trust list signing
		{1, 3, 6, 1, 4, 1, 311, 10, 3, 10},   // qualified subordination
	}
)

// usages gives the extended key usages that a certificate can have; open is
// true where it can be without the extension.
func (p *Profile) usages() (all []pkix.OID, open bool) {
	rule := &p.extKeyUsage
	if rule.fixed == nil {
		return rule.allowed, true
	}
	fixed, err := pkix.ParseExtKeyUsage(rule.fixed.Value)
	if err != nil { // we encoded it
		return rule.allowed, true
	}
	return append(slices.Clone(rule.allowed), fixed...), false
}

// mayHave tells whether a certificate can have one of these usages by name.
func (p *Profile) mayHave(wanted ...pkix.OID) bool {
	all, _ := p.usages()
	return slices.ContainsFunc(all, func(have pkix.OID) bool { return slices.ContainsFunc(wanted, have.Equal) })
}

func (p *Profile) mayBeAnything() bool {
	_, open := p.usages()
	return open || p.mayHave(pkix.ExtKeyUsages["anyExtendedKeyUsage"], usageAnyPolicy)
}

func (p *Profile) logsOn() bool {
	return p.mayHave(pkix.ExtKeyUsages["msSmartcardLogon"], usageKerberosClient)
}

// authenticates tells whether a certificate can stand for its holder towards
// a server, by TLS or Kerberos.
func (p *Profile) authenticates() bool {
	return p.kind == KindEndEntity && (p.mayBeAnything() || p.logsOn() || p.mayHave(pkix.ExtKeyUsages["clientAuth"]))
}

// speaks tells whether a requester who is no operator can name itself.
func (p *Profile) speaks() bool {
	return p.heard() && slices.ContainsFunc(p.assertedBy, func(d caller.Door) bool { return d != caller.Operator && d != caller.System })
}

// everything tells whether the patterns take every name of their type.
func (p *patterns) everything() bool {
	return slices.ContainsFunc(p.dns, func(m dnsMatcher) bool { return m.any }) ||
		slices.ContainsFunc(p.ip, func(n netip.Prefix) bool { return n.Bits() == 0 }) ||
		slices.ContainsFunc(p.globs, func(g glob) bool { return strings.Trim(string(g), "*") == "" })
}

// anyNameAsserted finds a type of names that a requester chooses freely.
func (p *Profile) anyNameAsserted() (path string, found bool) {
	if !p.speaks() {
		return "", false
	}
	for _, r := range p.rules {
		narrowed := r.allow.written() && !r.allow.everything()
		if r.asserted.written() && r.asserted.everything() && !narrowed {
			return r.path + ".asserted", true
		}
	}
	return "", false
}

// requests finds an extension among those taken from a request.
func (p *Profile) requests(id pkix.OID) (path string, found bool) {
	at := slices.IndexFunc(p.requestable, func(e requestedExtension) bool { return e.id.Equal(id) })
	return "request_extensions." + strconv.Itoa(at), at >= 0
}

const day = 24 * time.Hour

// longest bounds validities by use, in days. Servers: what Apple's platforms
// accept of private CAs, too. Others: three years, a lost key's usual life.
// Responders: nobody can revoke them (RFC 6960 section 4.2.2.2.1).
func (p *Profile) longest() time.Duration {
	switch {
	case p.kind == KindCA:
		return 7306 * day
	case p.kind == KindResponder:
		return 90 * day
	case p.mayBeAnything() || p.mayHave(pkix.ExtKeyUsages["serverAuth"]):
		return 825 * day
	}
	return 1097 * day
}

// livesLonger tells whether a certificate can live longer than a bound. Exact
// dates are not looked at: what they make of it depends on the day.
func (p *Profile) livesLonger(than time.Duration) (path string, longer bool) {
	v := &p.validity
	reach, path := v.standard, "validity.default"
	if v.requested == "within" {
		reach, path = v.maximum, "validity.maximum"
	}
	if !v.end.IsZero() {
		return "validity.not_after", v.end.Equal(pkix.NoExpiry)
	}
	reference := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return path, reach.forever || reach.withIssuer || reach.period.From(reference).Sub(reference) > than
}

// shortRSA tells whether RSA keys below 3072 bits are issued to.
func (p *Profile) shortRSA() bool {
	if p.keys.rsaMin > 0 && p.keys.rsaMin < 3072 {
		return true
	}
	return slices.ContainsFunc(p.keys.exact, func(form string) bool {
		bits, _, rsa := rsaForm(form)
		return rsa && bits < 3072
	})
}
