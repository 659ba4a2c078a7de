package profile

import (
	"slices"
	"strconv"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// reviewRule is one shape. fires gives the path where the rule's own is not exact.
type reviewRule struct {
	Finding
	approvable bool // an operator who approves each request sees it
	fires      func(p *Profile) (path string, fires bool)
}

// at is a shape without a path of its own.
func at(holds func(p *Profile) bool) func(*Profile) (string, bool) {
	return func(p *Profile) (string, bool) { return "", holds(p) }
}

// reviewRules lists the shapes. The names are what acknowledge takes: none is
// ever taken away or given another meaning. Of the AD CS shapes, those that are
// not templates have no counterpart in a profile: ESC4, 5 and 7 (rights on
// objects), ESC8 and 11 (relays), ESC10 and 14 (mapping at the domain
// controller), ESC12 (the CA's key store).
var reviewRules = []reviewRule{
	{Finding{Name: "requester-names-subject", Severity: SeverityWarn, Path: "asserted_by", Reference: "AD CS ESC1 (supply in the request)",
		Text:   "Whoever may enroll says who they are: subject or names are taken on the requester's word.",
		Advice: "Have a claim prove the names, narrow the patterns of asserted, or bind the profile only to endpoints whose credentials you would trust with any of these names."},
		true, at((*Profile).speaks)},
	{Finding{Name: "any-name-by-request", Severity: SeverityWarn, Path: "subject_alt_name", Reference: "AD CS ESC6 (EDITF_ATTRIBUTESUBJECTALTNAME2)",
		Text:   "A requester can bring every name of a type: one lost credential makes certificates for any host or person.",
		Advice: "Write patterns that only your own names match, such as *.example or *@corp.example, in asserted or in allow."},
		true, (*Profile).anyNameAsserted},
	{Finding{Name: "wildcard-by-request", Severity: SeverityWarn, Path: "subject_alt_name.dns.wildcard", Reference: "RFC 6125 section 7.2",
		Text:   "A requester can bring a wildcard name on its word: the certificate stands for every host of a domain.",
		Advice: "Write wildcard: false, or have wildcards proven by dns-01 and take asserted away."},
		true, at(func(p *Profile) bool {
			r := p.names[typeDNS]
			return r != nil && r.wildcard && r.asserted.written() && p.speaks()
		})},
	{Finding{Name: "upn-by-request", Severity: SeverityError, Path: "subject_alt_name.upn.asserted", Reference: "AD CS ESC1; CVE-2022-26923",
		Text:   "A requester can bring a user principal name: a Windows domain maps the certificate to the account of that name, which may be an administrator's.",
		Advice: "Take upn from the directory alone: methods: [directory], and no asserted."},
		true, at(func(p *Profile) bool {
			r := p.names[typeUPN]
			return r != nil && r.asserted.written() && p.speaks()
		})},
	{Finding{Name: "proven-door-asserts", Severity: SeverityError, Path: "asserted_by", Reference: "AD CS ESC1 (CT_FLAG_ENROLLEE_SUPPLIES_SUBJECT); RFC 8555 section 7.4",
		Text:   "asserted_by lists a door where names are proven, by challenges (acme) or by the directory (wstep). Its callers can bring other names beside the proven ones.",
		Advice: "Take acme and wstep out of asserted_by; give requesters who must name themselves a profile and an endpoint of their own."},
		true, at(func(p *Profile) bool {
			return p.heard() && (slices.Contains(p.assertedBy, caller.ACME) || slices.Contains(p.assertedBy, caller.WSTEP))
		})},
	{Finding{Name: "any-purpose", Severity: SeverityError, Path: "ext_key_usage.values", Reference: "AD CS ESC2; RFC 5280 section 4.2.1.12",
		Text:   "The certificate is good for every purpose, logon and signing of code included.",
		Advice: "List the usages that are needed."},
		false, at(func(p *Profile) bool { return p.mayHave(pkix.ExtKeyUsages["anyExtendedKeyUsage"], usageAnyPolicy) })},
	{Finding{Name: "no-ext-key-usage", Severity: SeverityWarn, Path: "ext_key_usage", Reference: "AD CS ESC2; RFC 5280 section 4.2.1.12",
		Text:   "A certificate can be without extended key usage, which software reads as every purpose.",
		Advice: "Write mode: fixed with the usages that are needed, or a default for mode requested."},
		false, at(func(p *Profile) bool { _, open := p.usages(); return open })},
	{Finding{Name: "enrollment-agent", Severity: SeverityError, Path: "ext_key_usage.values", Reference: "AD CS ESC3; RFC 6402 section 2.10",
		Text:   "Its holder can get certificates, or recover keys, in the name of others: it is an agent of the CA.",
		Advice: "Issue agents under a profile of kind ra that no endpoint has, by an operator, and for few people."},
		false, at(func(p *Profile) bool { return p.mayHave(agentUsages...) })},
	{Finding{Name: "smart-card-logon", Severity: SeverityError, Path: "ext_key_usage.values", Reference: "AD CS ESC1; RFC 4556 section 3.2.2",
		Text:   "The certificate logs on to a Windows domain or a Kerberos realm, and the requester says as whom.",
		Advice: "Take subject, upn and the security identifier (ms_sid: require) from the directory, and nothing from the request."},
		true, at(func(p *Profile) bool { return p.logsOn() && p.speaks() })},
	{Finding{Name: "domain-controller", Severity: SeverityError, Path: "ext_key_usage.values", Reference: "RFC 4556 section 3.2.4",
		Text:   "The certificate stands for a Kerberos key distribution centre, and the requester says of which realm.",
		Advice: "Grant the names of your controllers one by one in asserted, or take them from the directory."},
		true, at(func(p *Profile) bool { return p.mayHave(usageKerberosKDC) && p.speaks() })},
	{Finding{Name: "sid-omitted", Severity: SeverityWarn, Path: "ms_sid", Reference: "AD CS ESC9 and ESC16; CVE-2022-26923; KB5014754",
		Text:   "The certificate can log on to a Windows domain and does not say which account it was issued for: it is mapped by a name that somebody can give to another account later. Controllers in full enforcement refuse it.",
		Advice: "Write ms_sid: require where a directory says who enrolls; leave upn and ms_template out where no domain is meant."},
		false, at(func(p *Profile) bool {
			maps := p.names[typeUPN] != nil || p.written.MSTemplate != nil
			return p.sid == "omit" && p.authenticates() && (maps || p.logsOn())
		})},
	{Finding{Name: "policy-grants-group", Severity: SeverityWarn, Path: "policies", Reference: "AD CS ESC13 (msDS-OIDToGroupLink)",
		Text:   "The certificate authenticates and states a policy. A Windows domain that links the policy to a group takes every holder for a member of it.",
		Advice: "See that none of these policies is linked to a group (msDS-OIDToGroupLink) unless each requester belongs there."},
		false, at(func(p *Profile) bool { return p.policies != nil && p.authenticates() })},
	{Finding{Name: "requester-chooses-policies", Severity: SeverityWarn, Path: "request_extensions", Reference: "AD CS ESC13; RFC 5280 section 4.2.1.4",
		Text:   "The request says which policies the certificate was issued under: what they promise, and any group that a Windows domain links to one, is for the asking.",
		Advice: "Write the policies in policies, and take certificatePolicies out of request_extensions."},
		true, func(p *Profile) (string, bool) {
			path, found := p.requests(pkix.OIDCertificatePolicies)
			return path, found && p.policies == nil // the profile's own take their place
		}},
	{Finding{Name: "requester-chooses-application-policies", Severity: SeverityWarn, Path: "request_extensions", Reference: "AD CS ESC15; CVE-2024-49019",
		Text:   "The request brings application policies, which Windows reads in the place of extended key usages. They are held to those of the certificate; this profile issues some without, whose usages the requester so chooses.",
		Advice: "Give every certificate an extended key usage, or take applicationPolicies out of request_extensions."},
		true, func(p *Profile) (string, bool) {
			path, found := p.requests(pkix.OIDMSApplicationPolicy)
			return path, found && p.mayBeAnything()
		}},
	{Finding{Name: "requester-fills-extension", Severity: SeverityWarn, Path: "request_extensions", Reference: "RFC 5280 section 4.2",
		Text:   "An extension whose meaning is not known here is copied from requests: nobody looks at what it says.",
		Advice: "Write it in extensions, as a constant or from a claim, or see that nobody trusts what it says."},
		true, func(p *Profile) (string, bool) {
			at := slices.IndexFunc(p.requestable, func(e requestedExtension) bool {
				for _, known := range requestable {
					if known.Equal(e.id) {
						return false
					}
				}
				return true
			})
			return "request_extensions." + strconv.Itoa(at), at >= 0
		}},
	{Finding{Name: "requester-chooses-code-signing", Severity: SeverityWarn, Path: "ext_key_usage.values", Reference: "RFC 5280 section 4.2.1.12",
		Text:   "A request may choose to sign code or time stamps, beside usages for machines.",
		Advice: "Write codeSigning and timeStamping with mode: fixed in profiles of their own."},
		true, at(func(p *Profile) bool {
			return slices.ContainsFunc(p.extKeyUsage.allowed, func(u pkix.OID) bool {
				return u.Equal(pkix.ExtKeyUsages["codeSigning"]) || u.Equal(pkix.ExtKeyUsages["timeStamping"])
			})
		})},
	{Finding{Name: "makes-ca", Severity: SeverityWarn, Path: "kind", Reference: "RFC 5280 section 4.2.1.9",
		Text:   "The certificate makes a CA: its holder issues what no profile here sees.",
		Advice: "Keep it for operators, and bound the CA by path_len and its issuer's name constraints."},
		false, at(func(p *Profile) bool { return p.kind == KindCA })},
	{Finding{Name: "ca-without-path-length", Severity: SeverityWarn, Path: "path_len", Reference: "RFC 5280 section 4.2.1.9",
		Text:   "The CA can make CAs below it without end.",
		Advice: "Write path_len: 0 for a CA that issues to end entities alone."},
		false, at(func(p *Profile) bool { return p.kind == KindCA && p.written.PathLen == nil })},
	{Finding{Name: "short-ca-key", Severity: SeverityWarn, Path: "keys", Reference: "NIST SP 800-57 part 1, section 5.6.3",
		Text:   "A CA can have an RSA key below 3072 bits, whose strength is not counted on after 2030.",
		Advice: "List ecdsa-p256, ecdsa-p384 or \"rsa>=3072\"."},
		false, at(func(p *Profile) bool { return p.kind == KindCA && p.shortRSA() })},
	{Finding{Name: "long-validity", Severity: SeverityWarn, Path: "validity", Reference: "CA/Browser Forum Baseline Requirements section 6.3.2; RFC 6960 section 4.2.2.2.1",
		Text:   "The validity is longer than usual for this use: 825 days for what can be a TLS server, beyond which Apple's platforms refuse it, three years for other holders, 90 days for OCSP responders, twenty years for CAs. A lost key stays good as long as nobody notices.",
		Advice: "Shorten validity.default, and validity.maximum where requested is within, and renew automatically."},
		false, func(p *Profile) (string, bool) { return p.livesLonger(p.longest()) }},
	{Finding{Name: "outlives-issuer", Severity: SeverityNotice, Path: "validity.beyond_issuer", Reference: "RFC 5280 section 6.1; IEEE 802.1AR-2018 section 8.7",
		Text:   "The certificate can outlive its issuer. Most clients refuse it from then on, and nobody signs its status any more.",
		Advice: "Write beyond_issuer: cut or refuse, unless the certificate is a device's identity for its whole life."},
		false, at(func(p *Profile) bool { return p.validity.beyondIssuer == "allow" })},
	{Finding{Name: "unrevocable-over-a-week", Severity: SeverityWarn, Path: "revocation", Reference: "RFC 9608 section 4; CA/Browser Forum Baseline Requirements section 4.9.7",
		Text:   "Nobody can learn that the certificate was revoked, and it lives for more than seven days.",
		Advice: "Shorten validity.maximum to P7D, or publish revocations."},
		false, func(p *Profile) (string, bool) {
			_, longer := p.livesLonger(7 * day)
			return "", longer && p.noRevocation
		}},
	{Finding{Name: "no-status", Severity: SeverityWarn, Path: "urls", Reference: "RFC 5280 section 4.2.1.13",
		Text:   "The certificate names neither CRL nor OCSP responder: a revocation reaches nobody who does not know where to look.",
		Advice: "Switch urls.crl or urls.ocsp on; for certificates that live for days write revocation: none."},
		false, at(func(p *Profile) bool { return !p.crl && !p.ocsp && !p.noRevocation && p.kind != KindResponder })},
	{Finding{Name: "server-key-signs", Severity: SeverityWarn, Path: "server_keys", Reference: "RFC 5280 section 4.2.1.3",
		Text:   "The gateway makes the key of a certificate whose signatures are meant to bind its holder: who had the key besides can be argued about.",
		Advice: "Have holders of nonRepudiation make their own keys: take server_keys away."},
		false, at(func(p *Profile) bool {
			return len(p.serverKeys) > 0 && slices.Contains(p.written.KeyUsage.Bits, pkix.NonRepudiation.Names()[0])
		})},
	{Finding{Name: "server-without-names", Severity: SeverityWarn, Path: "subject_alt_name", Reference: "RFC 6125 section 6.4.4; RFC 9525 section 2",
		Text:   "The certificate is for TLS servers and can have neither DNS name nor address: clients do not look for those in the subject.",
		Advice: "Write subject_alt_name.dns or .ip."},
		false, at(func(p *Profile) bool {
			_, open := p.usages()
			return p.kind == KindEndEntity && !open && p.mayHave(pkix.ExtKeyUsages["serverAuth"]) && p.names[typeDNS] == nil && p.names[typeIP] == nil && p.names[typeURI] == nil
		})},
	{Finding{Name: "lint-errors-pass", Severity: SeverityWarn, Path: "lint.error", Reference: "RFC 5280 section 4",
		Text:   "What standards forbid is issued all the same, whatever it is.",
		Advice: "Leave lint.error at refuse, and name the rules that your devices need broken in lint.log."},
		false, at(func(p *Profile) bool {
			return p.written.Lint != nil && p.written.Lint.Error != "" && p.written.Lint.Error != "refuse"
		})},
}
