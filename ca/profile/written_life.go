package profile

// WrittenRenewal says how certificates are renewed. The core and the doors use
// it for renewals that are proven by the certificate and its key.
type WrittenRenewal struct {
	// Window is when a renewal may begin: an ISO 8601 duration before the end
	// of the certificate, such as P30D, or a share of its validity that is
	// left, such as 33%. Default: at any time.
	Window string `yaml:"window,omitempty"`

	// Grace is how long after its end a certificate may still be renewed, an
	// ISO 8601 duration of at most P90D. Default PT0S: not at all.
	Grace string `yaml:"grace,omitempty"`

	// Overlap is how long the old certificate stays valid beside the new one
	// where RevokeSuperseded is true. Default PT0S.
	Overlap string `yaml:"overlap,omitempty"`

	// RevokeSuperseded revokes the old certificate, with the reason
	// superseded, once Overlap has passed. Default false.
	RevokeSuperseded bool `yaml:"revoke_superseded,omitempty"`
}

// WrittenUnique says what only one valid certificate may have at a time, and
// within what: profile, ca or tenant. A renewal counts as the certificate that
// it replaces. Default: nothing.
type WrittenUnique struct {
	Subject string `yaml:"subject,omitempty"` // the subject name, compared without regard to case, string types and order within an RDN
	SAN     string `yaml:"san,omitempty"`     // each subject alternative name
	Key     string `yaml:"key,omitempty"`     // the public key
}

// WrittenRule is one condition that a request must hold to.
type WrittenRule struct {
	// When limits the rule to requests for which it is true. With Require
	// missing, such a request is refused. One of When and Require is required.
	When string `yaml:"when,omitempty"`

	// Require is what must be true.
	Require string `yaml:"require,omitempty"`

	// Deny is what the requester reads where it is not: a sentence that says
	// what to do. Required.
	Deny string `yaml:"deny"`
}
