package profile

// WrittenQualifier adds qualifiers to one of the policies (RFC 5280 section
// 4.2.1.4).
type WrittenQualifier struct {
	// Policy is the policy, as it stands in policies. Required.
	Policy string `yaml:"policy"`

	// CPS is the URI of a certification practice statement. One of CPS and
	// Notice is required.
	CPS string `yaml:"cps,omitempty"`

	// Notice is a text of at most 200 characters that software may show.
	Notice string `yaml:"notice,omitempty"`
}

// WrittenExtension is one extension of every certificate.
type WrittenExtension struct {
	// OID is the extension, dotted. Required. Extensions that another key of
	// the profile makes cannot stand here.
	OID string `yaml:"oid"`

	// Critical makes clients that do not know the extension refuse the
	// certificate. Default false.
	Critical bool `yaml:"critical,omitempty"`

	// Type says what Value is: hex or base64, the whole DER value; utf8,
	// printable, ia5, bmp, a character string; integer, boolean, oid; null,
	// without Value. Required.
	Type string `yaml:"type"`

	// Value is the value. Character strings may have the variables of a
	// subject template that stand for names of the certificate and for claims;
	// one that is optional (<x?>) and has no value leaves the extension out.
	Value string `yaml:"value,omitempty"`
}

// WrittenMSTemplate marks certificates with a Microsoft certificate template.
// One of Name and OID is required.
type WrittenMSTemplate struct {
	// Name is that of a version 1 template, such as User.
	Name string `yaml:"name,omitempty"`

	// OID, Major and Minor are those of a template of version 2 and later.
	OID   string `yaml:"oid,omitempty"`
	Major int    `yaml:"major,omitempty"`
	Minor int    `yaml:"minor,omitempty"`
}
