package profile

// WrittenSubject says what the subject name holds. With nothing written the
// subject is empty and subjectAltName critical.
type WrittenSubject struct {
	// CNFromFirstDNS makes the subject a single CN: the one the request
	// asserts where that is one of the certificate's proven DNS names, else
	// the first DNS name. A name longer than 64 characters, the bound of CN,
	// leaves the subject empty and subjectAltName critical, and so does a
	// certificate for addresses alone. A request that asserts another CN than
	// one of its names is refused: its owner would get a certificate that does
	// not do what it was asked for. Excludes Template and Asserted.
	CNFromFirstDNS bool `yaml:"cn_from_first_dns,omitempty"`

	// CNFrom makes the subject a single CN: the first name of the certificate
	// of the first type listed that it has, of dns, ip, email, uri, rid,
	// dirname, upn, hardware. A name longer than 64 characters, or none, leaves
	// the subject empty. What the request says of its subject is not used.
	// Excludes CNFromFirstDNS, Template and Asserted. Default: none.
	CNFrom []string `yaml:"cn_from,omitempty"`

	// Template lists the RDNs in encoding order: `- O: Example Ltd` is a
	// constant, `- CN: <dns.1>` a variable; two attributes in one item make a
	// multi-valued RDN. Variables: <dns.N>, <ip.N>, <email.N>, <uri.N>, <rid.N>,
	// <dirname.N>, <upn.N> and <hardware.N> are the N-th name of that type in
	// the certificate; <sid>, <serial>, <principal> and <directory.KEY> are
	// claims that are no names; <ATTRIBUTE.N> is the N-th value of that attribute in
	// the asserted subject and needs a grant in Asserted (the attribute Email
	// goes by <E>). <x> is <x.1>. A variable without a value refuses the
	// request; written <x?>, it leaves the attribute out.
	Template []map[string]string `yaml:"template,omitempty"`

	// Parent lists RDNs of constants that stand before those of the subject,
	// as a folder of the directory stands above its entries: C, O, OU. They are
	// not added where the subject begins with them already, nor to an empty
	// subject. Default: none.
	Parent []map[string]string `yaml:"parent,omitempty"`

	// StringTypes chooses the string type of attributes that the profile makes:
	// `O: printable`. One of utf8, printable, ia5, bmp. Default: utf8, and what
	// RFC 5280 fixes: PrintableString for C, SERIALNUMBER and DNQUALIFIER,
	// IA5String for DC and Email. Copied attributes keep their own.
	StringTypes map[string]string `yaml:"string_types,omitempty"`

	// Asserted grants subject attributes that a request may set by itself.
	// With a Template they are what its variables may use; without one, the
	// granted attributes are copied in the order asked, string types kept.
	// Attributes that are not granted are dropped and noted. Default: none.
	Asserted []WrittenGrant `yaml:"asserted,omitempty"`
}

// WrittenGrant lets a request set one subject attribute.
type WrittenGrant struct {
	// Attribute is an attribute name such as CN, O or SERIALNUMBER, a dotted
	// OID, or any: every attribute that has a name here. A grant of its own
	// for an attribute goes before any.
	Attribute string `yaml:"attribute"`

	// Match lists patterns, one of which the whole value must match: * stands
	// for any run of characters, everything else for itself, case counts.
	// Required; `*` alone grants any value.
	Match []string `yaml:"match"`
}
