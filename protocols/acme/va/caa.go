package va

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// caaTimeout bounds the check of one name, all its parents included.
const caaTimeout = 15 * time.Second

// CAA asks the Certification Authority Authorization records of names (RFC 8659)
// with the account and the validation method they may be bound to (RFC 8657). It
// is safe for concurrent use; the fields are set once. Nothing is remembered from
// one check to the next.
type CAA struct {
	Resolver interface {
		LookupCAA(ctx context.Context, name string) ([]outbound.CAA, error)
	}
	Issuers []string // issuer domain names that mean this CA, in lower case
}

// CAAQuestion is whether a certificate may be issued for a name.
type CAAQuestion struct {
	Domain   string // without the wildcard label
	Wildcard bool
	Method   string // by which the name was validated: http-01 ...
	Account  string // URL of the account that asks
}

// Check asks for the records of the name and, as long as there are none, of the
// names above it, without any search list; it fails closed: where a server cannot
// say, nothing is issued. The error is a *Problem of type caa.
func (c CAA) Check(ctx context.Context, q CAAQuestion) error {
	ctx, cancel := context.WithTimeout(ctx, caaTimeout)
	defer cancel()
	for name := strings.TrimSuffix(q.Domain, "."); name != ""; _, name, _ = strings.Cut(name, ".") { // RFC 8659 section 3
		records, err := c.Resolver.LookupCAA(ctx, name)
		if err != nil {
			return caaLookupProblem(name, err)
		}
		if len(records) == 0 {
			continue
		}
		if why := c.judge(records, q); why != "" {
			return &Problem{Type: TypeCAA, Detail: fmt.Sprintf("the CAA records of %s do not allow this: %s", name, why)}
		}
		return nil
	}
	return nil
}

func caaLookupProblem(name string, err error) *Problem {
	var e *outbound.Error
	if !errors.As(err, &e) {
		return &Problem{Type: TypeServerInternal, Detail: "the CAA lookup failed for an internal reason", Err: err}
	}
	return &Problem{Type: TypeCAA, Detail: "whether " + name + " allows this CA is not known: " + e.Public(), Retry: true, Err: e.Err}
}

// judge says why a set of records does not allow the question, "" where it does.
func (c CAA) judge(records []outbound.CAA, q CAAQuestion) string {
	var issue, issueWild []string
	for _, r := range records {
		switch strings.ToLower(r.Tag) { // tags match whatever their case, RFC 8659 section 4.1
		case "issue":
			issue = append(issue, r.Value)
		case "issuewild":
			issueWild = append(issueWild, r.Value)
		case "iodef", "issuemail", "issuevmc", "contactemail", "contactphone": // not about such certificates
		default:
			if r.Critical {
				return "one has a critical property that is not known here"
			}
		}
	}
	relevant := issue
	if q.Wildcard && len(issueWild) > 0 { // RFC 8659 section 4.3
		relevant = issueWild
	}
	if len(relevant) == 0 {
		return "" // nothing is said about certificates of this kind
	}
	why := "they name other issuers than " + strings.Join(c.Issuers, ", ")
	for _, value := range relevant {
		issuer, parameters, ok := parseIssue(value)
		if !ok || !slices.Contains(c.Issuers, strings.ToLower(issuer)) {
			continue
		}
		if refused := bound(parameters, q); refused != "" {
			why = refused
			continue
		}
		return ""
	}
	return why
}

// parameter is a tag and its value.
type parameter struct{ tag, value string }

// parseIssue reads the value of an issue or issuewild property (RFC 8659 section
// 4.2); one that is malformed allows nobody.
func parseIssue(text string) (issuer string, parameters []parameter, ok bool) {
	issuer, rest, more := strings.Cut(text, ";")
	issuer = strings.Trim(issuer, " \t")
	for label := range strings.SplitSeq(issuer, ".") {
		if issuer != "" && !isTag(label, "-") {
			return "", nil, false
		}
	}
	for rest = strings.Trim(rest, " \t"); more && rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, ";")
		rest = strings.Trim(rest, " \t")
		tag, value, equals := strings.Cut(one, "=")
		tag, value = strings.Trim(tag, " \t"), strings.Trim(value, " \t")
		visible := func(r rune) bool { return r <= ' ' || r > '~' }
		if !equals || !isTag(tag, "-") || strings.ContainsFunc(value, visible) {
			return "", nil, false
		}
		parameters = append(parameters, parameter{strings.ToLower(tag), value})
	}
	return issuer, parameters, true
}

// isTag tells whether a text is letters and digits, and in its inside the others.
func isTag(text, others string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && i < len(text)-1 && strings.IndexByte(others, c) >= 0:
		default:
			return false
		}
	}
	return text != ""
}

// bound holds the parameters of RFC 8657 against the question; others are the
// agreement between a domain's holder and another CA.
func bound(parameters []parameter, q CAAQuestion) string {
	accounts, methods := 0, 0
	for _, p := range parameters {
		switch p.tag {
		case "accounturi": // RFC 8657 section 3: one, and compared octet by octet
			if accounts++; accounts > 1 || p.value != q.Account {
				return "they name another account (accounturi)"
			}
		case "validationmethods": // RFC 8657 section 4
			if methods++; methods > 1 || !slices.Contains(strings.Split(p.value, ","), q.Method) {
				return "they do not accept a validation by " + q.Method + " (validationmethods)"
			}
		}
	}
	return ""
}
