package profile

// WrittenAltName says which subject alternative names certificates may carry
// (RFC 5280 section 4.2.1.6). A type that is not written never gets in.
// x400Address and ediPartyName cannot be issued at all.
type WrittenAltName struct {
	DNS      *WrittenNames `yaml:"dns,omitempty"`      // dNSName
	IP       *WrittenNames `yaml:"ip,omitempty"`       // iPAddress
	Email    *WrittenNames `yaml:"email,omitempty"`    // rfc822Name
	URI      *WrittenNames `yaml:"uri,omitempty"`      // uniformResourceIdentifier
	RID      *WrittenNames `yaml:"rid,omitempty"`      // registeredID, asserted only
	DirName  *WrittenNames `yaml:"dirname,omitempty"`  // directoryName, asserted only; copied octet for octet
	UPN      *WrittenNames `yaml:"upn,omitempty"`      // otherName: Microsoft user principal name
	Hardware *WrittenNames `yaml:"hardware,omitempty"` // otherName: hardware module name (RFC 4108 section 5)

	Permanent *WrittenNames `yaml:"permanent,omitempty"` // otherName: permanent identifier (RFC 4043)

	// Other lists further types of otherName, asserted only and copied octet for octet.
	Other []WrittenOther `yaml:"other,omitempty"`
}

// WrittenNames rules over the names of one type.
type WrittenNames struct {
	// Methods lists how a name must have been proven: http-01, dns-01,
	// tls-alpn-01, dns-account-01, dns-persist-01, service, directory, credential,
	// certificate; an address by none of the dns methods (RFC 8738); a hardware
	// module or a permanent identifier by device-attest-01. One of Methods and Asserted
	// is required: a name is never issued because it was merely asked for.
	// No door verifies directory and certificate yet, and none proves a name by
	// credential.
	Methods []string `yaml:"methods,omitempty"`

	// Asserted grants names on the requester's word, where they match one of
	// these patterns (see Allow): that grant is their authorization, and the
	// record says so. Who may use it is AssertedBy of the profile. Default: none.
	Asserted []string `yaml:"asserted,omitempty"`

	// Min and Max bound how many names of the type a certificate has.
	// Defaults 0 and 100; Max at most 256, and 0 for none, as if the block were
	// not written.
	Min int  `yaml:"min,omitempty"`
	Max *int `yaml:"max,omitempty"`

	// Allow lists patterns, one of which each name must match. DNS:
	// host.example is that name, *.example any name below example at any
	// depth (not example itself), * any name. IP: an address, a prefix such
	// as 10.0.0.0/8, * any address. Other types: * stands for any run of
	// characters in the name as the record prints it without its type, such as
	// *@corp.example, spiffe://corp.example/*, 1.3.6.1.4.1.*, CN=*,
	// 1.3.6.1.4.1.47196.6.3.2.2/*. Default: any.
	Allow []string `yaml:"allow,omitempty"`

	// Wildcard permits names that start with the wildcard label. DNS only;
	// default false, because one such certificate stands for every host of a domain.
	Wildcard bool `yaml:"wildcard,omitempty"`
}

// WrittenOther rules over otherNames of one type.
type WrittenOther struct {
	// OID is the type, dotted. Required.
	OID string `yaml:"oid"`

	// Asserted, Min, Max and Allow are those of WrittenNames. A pattern sees
	// the value's text where it is a character string, else #hex of its DER.
	Asserted []string `yaml:"asserted"`
	Min      int      `yaml:"min,omitempty"`
	Max      *int     `yaml:"max,omitempty"`
	Allow    []string `yaml:"allow,omitempty"`
}
