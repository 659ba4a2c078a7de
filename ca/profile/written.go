package profile

import "github.com/enrollgate/enrollgate/ca/lint/ruleset"

// Written is a profile as people write it: one block of YAML. Compile checks
// it and gives the validated form; config decodes it strictly, so a misspelt
// key is an error with a line number and never a silently missing rule.
type Written struct {
	// ID names the profile in endpoints, URLs and records. Letters, digits and
	// - _ ~ (it is a path segment), 1 to 64 characters. Required.
	ID string `yaml:"id"`

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

	// CopyCNToDNS puts each CN of the subject that is a DNS name and not yet
	// among the dNSNames there too. Default false. Prevents server
	// certificates that modern clients refuse because only the CN names the
	// host (RFC 6125 section 6.4.4).
	CopyCNToDNS bool `yaml:"copy_cn_to_dns,omitempty"`

	// RequestExtensions lists the extensions that are taken from a request,
	// always non-critical: applicationPolicies, certificatePolicies,
	// msTemplateName, msTemplateOID, pivInterimIndicator, smimeCapabilities, or
	// a dotted OID. Default: none. Everything else in a request is dropped and
	// noted. Extensions that say who somebody is or what a certificate may do
	// (subjectAltName, keyUsage, basicConstraints, the Microsoft SID and so on)
	// cannot be listed here at all.
	RequestExtensions []string `yaml:"request_extensions,omitempty"`

	// Policies are the certificatePolicies of every certificate, as dotted
	// OIDs without qualifiers. Default: none. Where set, certificatePolicies of
	// a request are dropped.
	Policies []string `yaml:"policies,omitempty"`

	URLs WrittenURLs `yaml:"urls,omitempty"`

	// Revocation says whether anybody can learn that a certificate was revoked:
	// published (default), or none for short-lived ones, at most ten days. They
	// then have noRevAvail and name neither CRL nor OCSP responder (RFC 9608).
	Revocation string `yaml:"revocation,omitempty"`

	// Lint says what becomes of what lint finds in certificates of this
	// profile. Default: errors refuse, warnings are logged, notices ignored.
	Lint *ruleset.Written `yaml:"lint,omitempty"`
}

// WrittenKeyUsage is the keyUsage extension, always present and critical
// (RFC 5280 section 4.2.1.3). What a request says about it is never used.
type WrittenKeyUsage struct {
	// Bits lists digitalSignature, nonRepudiation, keyEncipherment,
	// dataEncipherment, keyAgreement, keyCertSign, cRLSign, encipherOnly,
	// decipherOnly. Required. keyCertSign and cRLSign belong to kind ca alone.
	Bits []string `yaml:"bits"`

	// Unfit says what happens to bits that the standards forbid for the key at
	// hand (keyEncipherment and dataEncipherment with EC keys, RFC 8813 section
	// 3; those and keyAgreement with Ed25519, RFC 9295 section 3): drop
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
	// notAfter included (RFC 5280 section 4.1.2.5), or issuing-ca-expiry.
	// Required.
	Default string `yaml:"default"`

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
	// request, so that a certificate is never shorter than promised.
	BeyondIssuer string `yaml:"beyond_issuer,omitempty"`
}

// WrittenSubject says what the subject name holds. With nothing written the
// subject is empty and subjectAltName critical.
type WrittenSubject struct {
	// CNFromFirstDNS makes the subject a single CN: the one the request
	// asserts where that is one of the certificate's proven DNS names, else
	// the first DNS name. A name longer than 64 characters, the bound of CN,
	// leaves the subject empty and subjectAltName critical, and so does a
	// certificate for addresses alone. A request that asserts another CN than one
	// of its names is refused: its owner would get a certificate that
	// does not do what it was asked for. Excludes Template and Asserted.
	CNFromFirstDNS bool `yaml:"cn_from_first_dns,omitempty"`

	// Template lists the RDNs in encoding order: `- O: Example Ltd` is a
	// constant, `- CN: <dns.1>` a variable; two attributes in one item make a
	// multi-valued RDN. Variables: <dns.N> and <ip.N> are the N-th proven name
	// of the certificate; <ATTRIBUTE.N> is the N-th value of that attribute in
	// the asserted subject and needs a grant in Asserted. <x> is <x.1>. A
	// variable without a value refuses the request.
	Template []map[string]string `yaml:"template,omitempty"`

	// Asserted grants subject attributes that a request may set by itself.
	// With a Template they are what its variables may use; without one, the
	// granted attributes are copied in the order asked, string types kept.
	// Attributes that are not granted are dropped and noted. Default: none.
	Asserted []WrittenGrant `yaml:"asserted,omitempty"`
}

// WrittenGrant lets a request set one subject attribute.
type WrittenGrant struct {
	// Attribute is an attribute name such as CN, O or SERIALNUMBER, or a dotted OID.
	Attribute string `yaml:"attribute"`

	// Match lists patterns, one of which the whole value must match: * stands
	// for any run of characters, everything else for itself, case counts.
	// Required; `*` alone grants any value.
	Match []string `yaml:"match"`
}

// WrittenAltName says which subject alternative names certificates may carry.
// A type that is not written never gets in.
type WrittenAltName struct {
	DNS *WrittenNames `yaml:"dns,omitempty"`
	IP  *WrittenNames `yaml:"ip,omitempty"`
}

// WrittenNames rules over the names of one type.
type WrittenNames struct {
	// Methods lists how a name must have been proven: http-01, dns-01,
	// tls-alpn-01, service; an address by all but dns-01 (RFC 8738).
	// Required: a name is never issued because it was merely asked for.
	Methods []string `yaml:"methods"`

	// Min and Max bound how many names of the type a certificate has.
	// Defaults 0 and 100; Max at most 256.
	Min int  `yaml:"min,omitempty"`
	Max *int `yaml:"max,omitempty"`

	// Allow lists patterns, one of which each name must match. DNS:
	// host.example is that name, *.example any name below example at any
	// depth (not example itself), * any name. IP: an address, or a prefix such
	// as 10.0.0.0/8. Default: any.
	Allow []string `yaml:"allow,omitempty"`

	// Wildcard permits names that start with the wildcard label. DNS only;
	// default false, because one such certificate stands for every host of a domain.
	Wildcard bool `yaml:"wildcard,omitempty"`
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
