// Package ruleset says which of zlint's rules certificates of private trust
// are held against, what each reads, and what becomes of a finding.
//
// It is data and settings alone: zlint itself is linked by ca/lint, so that
// profiles can be compiled without it. Included are zlint's rules of RFC 3279,
// RFC 5280, RFC 5480, RFC 5891, RFC 8813 and its community rules, apart from
// those in Disabled. Left out are the requirements of the CA/Browser Forum, of
// root programs and of ETSI, which bind publicly trusted or qualified
// certificates (OtherSources), and zlint's rules for CRLs.
package ruleset

// Reads says what a rule's verdict depends on.
type Reads int

const (
	// Shape: nothing but the shape of a certificate, which ca/lint defines.
	Shape Reads = iota + 1
	// Values: what differs between certificates of one shape, too.
	Values
)

// Severity is how grave a finding is.
type Severity int

const (
	Notice Severity = iota + 1
	Warning
	Error
)

func (s Severity) String() string {
	switch s {
	case Notice:
		return "notice"
	case Warning:
		return "warn"
	case Error:
		return "error"
	}
	return "unknown"
}

// Action is what becomes of a finding.
type Action int

const (
	Ignore Action = iota + 1 // nothing
	Log                      // the certificate is issued; the log and a counter tell of it
	Refuse                   // nothing is signed
)

func (a Action) String() string {
	switch a {
	case Ignore:
		return "ignore"
	case Log:
		return "log"
	case Refuse:
		return "refuse"
	}
	return "unknown"
}

// actionNames are the actions as they are written.
var actionNames = []string{"refuse", "log", "ignore"}

func parseAction(text string) (Action, bool) {
	for _, a := range []Action{Ignore, Log, Refuse} {
		if a.String() == text {
			return a, true
		}
	}
	return 0, false
}
