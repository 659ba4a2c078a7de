package lint

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// rule is one check; it says what is wrong, or nothing. What it finds refuses,
// unless it is among ruleset.Advice.
type rule struct {
	name    string
	section string
	check   func(c *certificate) string
}

// rules are checked in this order. That extensions appear once, that the
// version is 3, that addresses have 4 or 16 octets and that lists are not
// empty is held by the reader before.
var rules = []rule{
	{"serial", "RFC 5280 section 4.1.2.2", checkSerial},
	{"signature-digest", "NIST SP 800-131A", checkDigest},
	{"issuer", "RFC 5280 section 4.1.2.4", checkIssuer},
	{"validity-order", "RFC 5280 section 4.1.2.5", checkValidityOrder},
	{"validity-encoding", "RFC 5280 section 4.1.2.5", checkValidityEncoding},
	{"subject-attribute", "RFC 5280 appendix A.1", checkSubjectAttributes},
	{"country", "RFC 5280 appendix A.1", checkCountry},
	{"string-type", "RFC 5280 appendix A.1", checkStringTypes},
	{"ca-subject", "RFC 5280 section 4.1.2.6", checkCASubject},
	{"key-identifiers", "RFC 5280 section 4.2.1.1", checkKeyIdentifiers},
	{"key-usage", "RFC 5280 section 4.2.1.3", checkKeyUsage},
	{"key-usage-ca", "RFC 5280 section 4.2.1.3", checkKeyUsageCA},
	{"key-usage-key", "RFC 8813 section 3, RFC 9295 section 3", checkKeyUsageKey},
	{"basic-constraints", "RFC 5280 section 4.2.1.9", checkBasicConstraints},
	{"ext-key-usage", "RFC 5280 section 4.2.1.12", checkExtKeyUsage},
	{"san-critical", "RFC 5280 section 4.2.1.6", checkSANCritical},
	{"san-dns", "RFC 5280 section 4.2.1.6", checkDNSNames},
	{"san-email", "RFC 5280 section 4.2.1.6", checkEmails},
	{"san-twice", "RFC 5280 section 4.2.1.6", checkNamesTwice},
	{"cn-in-san", "RFC 6125 section 6.4.4", checkCNInSAN},
	{"urls", "RFC 5280 section 4.2.2.1", checkURLs},
	{"san-uri", "RFC 5280 section 4.2.1.6", checkURIs},
	{"usage-purpose", "RFC 5280 section 4.2.1.12", checkUsagePurpose},
	{"criticality", "RFC 5280 section 4.2", checkCriticality},
	{"no-rev-avail", "RFC 9608 sections 2 and 3", checkNoRevAvail},
}

var advice = ruleset.Advice()

func (c *certificate) check() (findings []Finding) {
	for _, r := range rules {
		if text := r.check(c); text != "" {
			severity := ruleset.Error
			if slices.Contains(advice, r.name) {
				severity = ruleset.Warning
			}
			findings = append(findings, Finding{r.name, r.section, text, severity})
		}
	}
	return findings
}

func checkSerial(c *certificate) string {
	switch {
	case len(c.Serial) == 0 || c.Serial[0] >= 0x80 || len(bytes.Trim(c.Serial, "\x00")) == 0:
		return "the serial is not positive"
	case len(c.Serial) > 20:
		return "the serial is longer than 20 octets"
	case len(c.Serial) != ca.SerialSize || c.Serial[0] == 0:
		return fmt.Sprintf("the serial does not have the %d octets of ours", ca.SerialSize)
	}
	return ""
}

func checkDigest(c *certificate) string {
	if c.Algorithm.Legacy {
		return "the signature algorithm " + c.Algorithm.Name + " is not fit for certificates"
	}
	return ""
}

func checkIssuer(c *certificate) string {
	if c.Issuer.Empty() {
		return "the issuer is empty"
	}
	return ""
}

func checkValidityOrder(c *certificate) string {
	if c.NotAfter.Before(c.NotBefore) {
		return "notAfter is before notBefore"
	}
	return ""
}

func checkValidityEncoding(c *certificate) string {
	for i, at := range [...]int{c.NotBefore.Year(), c.NotAfter.Year()} {
		want, length := casn1.UTCTime, len("YYMMDDHHMMSSZ")
		if at >= 2050 {
			want, length = casn1.GeneralizedTime, len("YYYYMMDDHHMMSSZ")
		}
		if t := c.times[i]; t.tag != want || len(t.text) != length || !strings.HasSuffix(t.text, "Z") {
			return "a date is not UTCTime through 2049 and GeneralizedTime after, to the second and in UTC"
		}
	}
	return ""
}

// attributes calls f for each attribute of the subject until it says something.
func (c *certificate) attributes(f func(a pkix.Attribute) string) string {
	for _, rdn := range c.rdns {
		for _, a := range rdn {
			if text := f(a); text != "" {
				return text
			}
		}
	}
	return ""
}

func checkSubjectAttributes(c *certificate) string {
	return c.attributes(func(a pkix.Attribute) string {
		if err := a.Check(); err != nil {
			return err.Error()
		}
		return ""
	})
}

var (
	oidCommonName      = pkix.OID{2, 5, 4, 3}
	oidSerialNumber    = pkix.OID{2, 5, 4, 5}
	oidCountry         = pkix.OID{2, 5, 4, 6}
	oidEmail           = pkix.OID{1, 2, 840, 113549, 1, 9, 1}
	oidDomainComponent = pkix.OID{0, 9, 2342, 19200300, 100, 1, 25}
)

func checkCountry(c *certificate) string {
	return c.attributes(func(a pkix.Attribute) string {
		letters := len(a.Value) == 2 && strings.Trim(string(a.Value), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
		if a.Type.Equal(oidCountry) && !letters {
			return "the country is not two capital letters"
		}
		return ""
	})
}

func checkStringTypes(c *certificate) string {
	return c.attributes(func(a pkix.Attribute) string {
		switch tag := casn1.Tag(a.Tag); {
		case (a.Type.Equal(oidCountry) || a.Type.Equal(oidSerialNumber)) && tag != casn1.PrintableString:
			return pkix.AttributeName(a.Type) + " is not a PrintableString"
		case (a.Type.Equal(oidEmail) || a.Type.Equal(oidDomainComponent)) && tag != casn1.IA5String:
			return pkix.AttributeName(a.Type) + " is not an IA5String"
		}
		return ""
	})
}

func checkCASubject(c *certificate) string {
	if c.isCA && c.Subject.Empty() {
		return "a CA certificate has no subject"
	}
	return ""
}

func checkKeyIdentifiers(c *certificate) string {
	ski, hasSKI := pkix.FindExtension(c.Extensions, pkix.OIDSubjectKeyID)
	_, hasAKI := pkix.FindExtension(c.Extensions, pkix.OIDAuthorityKeyID)
	switch {
	case !hasSKI:
		return "subjectKeyIdentifier is missing"
	case !bytes.Equal(ski.Value, append([]byte{0x04, 20}, c.Key.KeyID()...)):
		return "subjectKeyIdentifier is not that of the key" // RFC 7093 section 2
	case !hasAKI && !bytes.Equal(c.Subject, c.Issuer):
		return "authorityKeyIdentifier is missing"
	}
	return ""
}

func checkKeyUsage(c *certificate) string {
	e, _ := pkix.FindExtension(c.Extensions, pkix.OIDKeyUsage)
	switch {
	case !c.hasUsage:
		return "keyUsage is missing"
	case !e.Critical:
		return "keyUsage is not critical"
	case c.usage == 0:
		return "keyUsage has no bit set"
	}
	return ""
}

func checkKeyUsageCA(c *certificate) string {
	switch {
	case !c.isCA && c.usage&pkix.KeyCertSign != 0:
		return "keyCertSign without cA"
	case c.isCA && c.usage&pkix.KeyCertSign == 0:
		return "cA without keyCertSign"
	}
	return ""
}

func checkKeyUsageKey(c *certificate) string {
	var unfit pkix.KeyUsage
	switch c.Key.Parsed().(type) {
	case *ecdsa.PublicKey:
		unfit = pkix.KeyEncipherment | pkix.DataEncipherment
	case ed25519.PublicKey:
		unfit = pkix.KeyEncipherment | pkix.DataEncipherment | pkix.KeyAgreement | pkix.EncipherOnly | pkix.DecipherOnly
	}
	if wrong := c.usage & unfit; wrong != 0 {
		return strings.Join(wrong.Names(), " ") + " in a certificate for a key of type " + c.Key.Algorithm()
	}
	return ""
}

func checkBasicConstraints(c *certificate) string {
	if e, _ := pkix.FindExtension(c.Extensions, pkix.OIDBasicConstraints); c.isCA && !e.Critical {
		return "basicConstraints of a CA is not critical"
	}
	return ""
}

func checkExtKeyUsage(c *certificate) string {
	for i, u := range c.extended {
		if slices.ContainsFunc(c.extended[:i], u.Equal) {
			return "extKeyUsage lists a usage twice"
		}
	}
	if e, _ := pkix.FindExtension(c.Extensions, pkix.OIDExtKeyUsage); e.Critical && slices.ContainsFunc(c.extended, pkix.ExtKeyUsages["anyExtendedKeyUsage"].Equal) {
		return "extKeyUsage is critical and lists anyExtendedKeyUsage"
	}
	return ""
}

func checkSANCritical(c *certificate) string {
	e, present := pkix.FindExtension(c.Extensions, pkix.OIDSubjectAltName)
	switch {
	case c.Subject.Empty() && !present:
		return "there is neither subject nor subjectAltName"
	case c.Subject.Empty() && !e.Critical:
		return "subjectAltName is not critical beside an empty subject"
	case !c.Subject.Empty() && e.Critical:
		return "subjectAltName is critical beside a subject"
	}
	return ""
}

func checkDNSNames(c *certificate) string {
	for _, n := range c.texts(pkix.DNSName) {
		if err := claim.CheckDNSName(n); err != nil {
			return err.Error()
		}
	}
	return ""
}

func checkEmails(c *certificate) string {
	for _, n := range c.texts(pkix.RFC822Name) {
		if local, host, ok := strings.Cut(n, "@"); !ok || local == "" || host == "" || strings.ContainsAny(n, " <>,\"") || strings.Contains(host, "@") {
			return "an rfc822Name is not a bare mailbox"
		}
	}
	return ""
}

func checkNamesTwice(c *certificate) string {
	seen := make(map[string]bool, len(c.names))
	for _, n := range c.names {
		if seen[n.Key()] {
			return n.String() + " appears twice"
		}
		seen[n.Key()] = true
	}
	return ""
}

// checkCNInSAN: clients that know subjectAltName do not look at CN, so a host
// that only the CN names would not be reached.
func checkCNInSAN(c *certificate) string {
	if !slices.ContainsFunc(c.extended, pkix.ExtKeyUsages["serverAuth"].Equal) {
		return ""
	}
	for _, cn := range pkix.CommonNames(c.rdns) {
		if strings.Contains(cn, ".") && claim.CheckDNSName(strings.ToLower(cn)) == nil && !slices.Contains(c.texts(pkix.DNSName), strings.ToLower(cn)) {
			return "the CN names a host that subjectAltName does not"
		}
	}
	return ""
}

func checkURLs(c *certificate) string {
	for _, text := range c.urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "ldap"}, u.Scheme) {
			return "a URL of authorityInfoAccess or cRLDistributionPoints is not http, https or ldap with a host"
		}
	}
	return ""
}

// checkURIs: absolute, and the host of an authority is a host or an address.
func checkURIs(c *certificate) string {
	for _, text := range c.texts(pkix.URI) {
		u, err := url.Parse(text)
		switch {
		case err != nil || !u.IsAbs() || u.Opaque == "" && u.Host == "" && u.Path == "":
			return "a URI has no scheme, or nothing after it"
		case u.Host != "" && claim.CheckDNSName(strings.ToLower(u.Hostname())) != nil && !isAddress(u.Hostname()):
			return "the host of a URI is neither a DNS name nor an IP address"
		}
	}
	return ""
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// purposeBits are the key usages of which a purpose needs one.
var purposeBits = map[string]pkix.KeyUsage{
	"serverAuth":      pkix.DigitalSignature | pkix.KeyEncipherment | pkix.KeyAgreement,
	"clientAuth":      pkix.DigitalSignature | pkix.KeyAgreement,
	"codeSigning":     pkix.DigitalSignature,
	"emailProtection": pkix.DigitalSignature | pkix.NonRepudiation | pkix.KeyEncipherment | pkix.KeyAgreement,
	"timeStamping":    pkix.DigitalSignature | pkix.NonRepudiation,
	"OCSPSigning":     pkix.DigitalSignature | pkix.NonRepudiation,
}

// checkUsagePurpose: where no purpose is consistent with both extensions, the
// certificate must not be used for any.
func checkUsagePurpose(c *certificate) string {
	if !c.hasUsage || len(c.extended) == 0 {
		return ""
	}
	for _, purpose := range c.extended {
		known := false
		for name, bits := range purposeBits {
			if pkix.ExtKeyUsages[name].Equal(purpose) {
				known = true
				if c.usage&bits != 0 {
					return ""
				}
			}
		}
		if !known {
			return ""
		}
	}
	return "no purpose of extKeyUsage can be served with the bits of keyUsage"
}

// standardArcs are where the standards and Microsoft define extensions.
var standardArcs = []string{"2.5.29.", "1.3.6.1.5.5.7.", "1.3.6.1.4.1.311.", "1.2.840.113549.", "2.16.840.1.113730."}

// checkCriticality: extensions that the standards mark non-critical. Others are
// critical only where a profile writes them so as a constant: what comes from
// a request never is.
func checkCriticality(c *certificate) string {
	mayBe := []pkix.OID{pkix.OIDBasicConstraints, pkix.OIDKeyUsage, pkix.OIDExtKeyUsage, pkix.OIDSubjectAltName, pkix.OIDNameConstraints, pkix.OIDCertificatePolicies,
		{2, 5, 29, 33}, {2, 5, 29, 36}, {2, 5, 29, 54}} // policyMappings, policyConstraints, inhibitAnyPolicy
	for _, e := range c.Extensions {
		standard := slices.ContainsFunc(standardArcs, func(arc string) bool { return strings.HasPrefix(e.ID.String(), arc) })
		if e.Critical && standard && !slices.ContainsFunc(mayBe, e.ID.Equal) {
			return "extension " + e.ID.String() + " is critical"
		}
	}
	return ""
}
