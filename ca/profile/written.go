package profile

import "github.com/enrollgate/enrollgate/ca/lint/ruleset"

// Written is a profile as people write it: one block of YAML. Compile checks
// it and gives the validated form; config decodes it strictly, so a misspelt
// key is an error with a line number and never a silently missing rule.
type Written struct {
	// ID names the profile in endpoints, URLs and records. Letters, digits and
	// - _ ~ (it is a path segment), 1 to 64 characters. Required.
	ID string `yaml:"id"`

	// Extends names a profile whose keys hold where this one writes none: a
	// built-in one or one of the same configuration. A list replaces the whole
	// list, a block is taken over key by key, `max: 0` takes a type of names
	// away. By its own id a profile extends the built-in one that it replaces.
	Extends string `yaml:"extends,omitempty"`

	// Title says in a few words what certificates of this profile are for.
	// Printed by `profile list`; default: the id.
	Title string `yaml:"title,omitempty"`

	// Kind is one of end-entity, ca, responder, ra; default end-entity. CA:TRUE
	// exists in kind ca alone and the OCSPSigning usage in kind responder
	// alone, so that no slip in another block makes a certificate that signs
	// certificates or statuses.
	Kind string `yaml:"kind,omitempty"`

	// PathLen bounds the CA certificates below a CA certificate. Kind ca only;
	// default: no bound (RFC 5280 section 4.2.1.9).
	PathLen *int `yaml:"path_len,omitempty"`

	// Keys lists the subject keys that are issued to: ecdsa-p256, ecdsa-p384,
	// ecdsa-p521, ed25519, rsa-N for exactly N bits, rsa>=N for N bits and
	// more. Required: a profile that forgets it would accept anything. The
	// global floor (RSA of 2048 bits, no weak keys) holds besides.
	Keys []string `yaml:"keys"`

	KeyUsage       WrittenKeyUsage    `yaml:"key_usage"`
	ExtKeyUsage    WrittenExtKeyUsage `yaml:"ext_key_usage"`
	Validity       WrittenValidity    `yaml:"validity"`
	Subject        WrittenSubject     `yaml:"subject,omitempty"`
	SubjectAltName WrittenAltName     `yaml:"subject_alt_name,omitempty"`

	// AssertedBy lists the doors whose callers may use the grants of
	// subject.asserted and of asserted in subject_alt_name: est, scep, cmp,
	// wstep, operator, system, acme. Default: est, scep, cmp, operator, system.
	// Not acme, where names are proven by challenges, nor wstep, where the
	// directory says who somebody is: to list them is "supply in the request".
	// Who is let in at a door, and to which names, is the business of its
	// endpoint and credential.
	AssertedBy []string `yaml:"asserted_by,omitempty"`

	// CopyCNToDNS puts each CN of the subject that is a DNS name and not yet
	// among the dNSNames there too. Default false. Prevents server
	// certificates that modern clients refuse because only the CN names the
	// host (RFC 6125 section 6.4.4).
	CopyCNToDNS bool `yaml:"copy_cn_to_dns,omitempty"`

	// RequestExtensions lists the extensions that are taken from a request,
	// always non-critical: applicationPolicies, certificatePolicies,
	// pivInterimIndicator, smimeCapabilities, or a dotted OID. Default: none. Everything else in a request is dropped and
	// noted. Extensions that say who somebody is or what a certificate may do
	// (subjectAltName, keyUsage, basicConstraints, the Microsoft SID and
	// template and so on) cannot be listed here at all.
	RequestExtensions []string `yaml:"request_extensions,omitempty"`

	// Policies are the certificatePolicies of every certificate, as dotted
	// OIDs. Default: none. Where set, certificatePolicies of a request are dropped.
	Policies []string `yaml:"policies,omitempty"`

	// PolicyQualifiers adds statements to policies. Default: none.
	PolicyQualifiers []WrittenQualifier `yaml:"policy_qualifiers,omitempty"`

	// Extensions lists further extensions of every certificate. Default: none.
	Extensions []WrittenExtension `yaml:"extensions,omitempty"`

	// SMIMECapabilities lists what the holder's mail program can decrypt, best
	// first: aes128-cbc, aes192-cbc, aes256-cbc, aes128-gcm, aes192-gcm,
	// aes256-gcm, or a dotted OID (RFC 4262). Default: none.
	SMIMECapabilities []string `yaml:"smime_capabilities,omitempty"`

	// MSTemplate marks certificates with a Microsoft template. Default: none.
	MSTemplate *WrittenMSTemplate `yaml:"ms_template,omitempty"`

	// MSSID says whether certificates have the Microsoft security identifier
	// of their holder: omit (default); include, where a directory said which;
	// require, else the request is refused. It never comes from a request: with
	// it a certificate is a logon.
	MSSID string `yaml:"ms_sid,omitempty"`

	URLs WrittenURLs `yaml:"urls,omitempty"`

	// Revocation says whether anybody can learn that a certificate was revoked:
	// published (default), or none for short-lived ones, at most ten days. They
	// then have noRevAvail and name neither CRL nor OCSP responder (RFC 9608).
	Revocation string `yaml:"revocation,omitempty"`

	// Lint says what becomes of what lint finds in certificates of this
	// profile. Default: errors refuse, warnings are logged, notices ignored.
	Lint *ruleset.Written `yaml:"lint,omitempty"`

	// Approval is auto (default) or manual: requests then wait for an operator.
	Approval string `yaml:"approval,omitempty"`

	Renewal WrittenRenewal `yaml:"renewal,omitempty"`
	Unique  WrittenUnique  `yaml:"unique,omitempty"`

	// ServerKeys lists the keys that the gateway may make for the holder
	// (server key generation), as in Keys without rsa>=N. Default: none, the
	// holder makes its own.
	ServerKeys []string `yaml:"server_keys,omitempty"`

	// Rules are further conditions, as expressions over claims, asserted
	// values, caller, key, names and times. Default: none.
	Rules []WrittenRule `yaml:"rules,omitempty"`

	// Acknowledge names findings of `profile lint` that the author of the
	// profile knows of and keeps. Default: none.
	Acknowledge []string `yaml:"acknowledge,omitempty"`
}

// WrittenKeyUsage is the keyUsage extension, always present and critical
// (RFC 5280 section 4.2.1.3). What a request says about it is never used.
type WrittenKeyUsage struct {
	// Bits lists digitalSignature, nonRepudiation, keyEncipherment,
	// dataEncipherment, keyAgreement, keyCertSign, cRLSign, encipherOnly,
	// decipherOnly. Required. keyCertSign and cRLSign belong to kind ca alone.
	Bits []string `yaml:"bits"`

	// Unfit says what happens to bits that the standards forbid for the key at
	// hand (keyAgreement with RSA keys, RFC 3279 section 2.3.1; keyEncipherment
	// and dataEncipherment with EC keys, RFC 8813 section 3; all three with
	// Ed25519, RFC 9295 section 3): drop
	// (default) leaves them out, refuse refuses the key. A key for which no bit
	// is left is refused either way: it would get a certificate for nothing.
	Unfit string `yaml:"unfit,omitempty"`
}

// WrittenExtKeyUsage is the extKeyUsage extension (RFC 5280 section 4.2.1.12).
type WrittenExtKeyUsage struct {
	// Mode is one of: fixed, every certificate gets exactly Values; requested,
	// a request may choose among Values; none, no certificate gets the
	// extension. Required, because a certificate without it is good for any
	// purpose and nobody should get that by leaving a line out.
	Mode string `yaml:"mode"`

	// Values lists serverAuth, clientAuth, codeSigning, emailProtection,
	// timeStamping, OCSPSigning, ipsecIKE, msSmartcardLogon,
	// anyExtendedKeyUsage or a dotted OID. In mode requested,
	// anyExtendedKeyUsage, msSmartcardLogon, OCSPSigning and the enrollment
	// agent usages cannot be listed: they turn a certificate into somebody
	// else's identity.
	Values []string `yaml:"values,omitempty"`

	// Default is what a request that asks for no usage gets in mode requested.
	// Default: none, the certificate then has no extKeyUsage.
	Default []string `yaml:"default,omitempty"`

	// Critical marks the extension critical. Default false.
	Critical bool `yaml:"critical,omitempty"`
}

// WrittenValidity says how long certificates live. Durations are ISO 8601 with
// whole numbers: P1Y, P90D, P1M15D, PT1H.
type WrittenValidity struct {
	// Default is the length of a certificate's validity, notBefore and
	// notAfter included (RFC 5280 section 4.1.2.5), or issuing-ca-expiry, or
	// forever: the date 99991231235959Z of certificates without an end, such as
	// IDevIDs. Required, or NotAfter.
	Default string `yaml:"default,omitempty"`

	// Maximum bounds what a request may ask for, or issuing-ca-expiry.
	// Default: the same as Default. Used where Requested is within.
	Maximum string `yaml:"maximum,omitempty"`

	// Backdate moves notBefore before the time of issuance, for clients whose
	// clocks run late. Default PT1M, at most P2D; PT0S for none. It counts
	// into the validity, which so is never longer than written.
	Backdate string `yaml:"backdate,omitempty"`

	// Requested says what becomes of dates in a request: ignore (default);
	// shorten, they may only make the default validity shorter and are
	// clipped to it; within, they are taken up to Maximum and refused beyond.
	Requested string `yaml:"requested,omitempty"`

	// BeyondIssuer says what happens to a certificate that would outlive its
	// issuer: cut (default) ends it with the issuer, refuse refuses the
	// request, so that a certificate is never shorter than promised, allow
	// issues it: what forever needs, and what few clients accept.
	BeyondIssuer string `yaml:"beyond_issuer,omitempty"`

	// NotBefore and NotAfter are exact dates, RFC 3339 to the second. NotBefore
	// takes the place of the time of issuance and of Backdate, NotAfter that of
	// Default and Maximum. With either, Requested is ignore. Default: none.
	NotBefore string `yaml:"not_before,omitempty"`
	NotAfter  string `yaml:"not_after,omitempty"`
}

// WrittenURLs switches the extensions that point at the CA's publications.
// Each is emitted only where the CA has such a URL that a listener serves.
type WrittenURLs struct {
	// AIA puts the issuer's certificate into authorityInfoAccess. Default true.
	AIA *bool `yaml:"aia,omitempty"`
	// CRL adds cRLDistributionPoints. Default true.
	CRL *bool `yaml:"crl,omitempty"`
	// OCSP puts the responder into authorityInfoAccess; kind responder has
	// id-pkix-ocsp-nocheck instead (RFC 6960 section 4.2.2.2.1). Default true.
	OCSP *bool `yaml:"ocsp,omitempty"`
}
