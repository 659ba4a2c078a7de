package profile

import (
	"slices"
	"strings"
)

// Severity says how grave a finding about a profile is.
type Severity string

const (
	// SeverityError is for shapes that let a requester be somebody else.
	SeverityError Severity = "error"
	// SeverityWarn is for shapes that are right only where something outside the
	// profile, such as the credential of an endpoint, makes up for them.
	SeverityWarn Severity = "warn"
	// SeverityNotice is for what deserves a look.
	SeverityNotice Severity = "notice"
)

// Finding is one weak or dangerous shape of a profile.
type Finding struct {
	Name         string   `json:"name"` // as acknowledge takes it
	Severity     Severity `json:"severity"`
	Path         string   `json:"path"` // keys of the profile, with dots
	Text         string   `json:"text"` // what can go wrong
	Advice       string   `json:"advice"`
	Reference    string   `json:"reference"`              // standards, CVE numbers, and the AD CS shapes ESC1 to ESC16 that it is
	Acknowledged bool     `json:"acknowledged,omitempty"` // the profile keeps it on purpose
}

// staleAcknowledge is the finding about an acknowledgement of nothing. It
// cannot be acknowledged itself.
const staleAcknowledge = "stale-acknowledge"

// ReviewRules lists every rule of Review with its texts, in the order of findings.
func ReviewRules() []Finding {
	all := make([]Finding, 0, len(reviewRules)+1)
	for _, r := range reviewRules {
		all = append(all, r.Finding)
	}
	return append(all, staleFinding(""))
}

// reviewNames lists the names that acknowledge takes.
func reviewNames() []string {
	names := make([]string, len(reviewRules))
	for i, r := range reviewRules {
		names[i] = r.Name
	}
	return names
}

// Review looks the profile over for shapes that are weak or dangerous, whoever
// may use it. Acknowledged findings are there too, and say so; an
// acknowledgement of what is not there is a finding of its own.
//
// Where an operator approves each request, what a requester chooses is a notice.
func (p *Profile) Review() []Finding {
	found := []Finding{}
	for _, r := range reviewRules {
		path, fires := r.fires(p)
		if !fires {
			continue
		}
		f := r.Finding
		if path != "" {
			f.Path = path
		}
		if r.approvable && p.life.manual {
			f.Severity = SeverityNotice
		}
		f.Acknowledged = slices.Contains(p.written.Acknowledge, f.Name)
		found = append(found, f)
	}
	for _, name := range p.written.Acknowledge {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Name == name }) {
			found = append(found, staleFinding(name))
		}
	}
	return found
}

func staleFinding(name string) Finding {
	return Finding{Name: staleAcknowledge, Severity: SeverityNotice, Path: strings.TrimSuffix("acknowledge."+name, "."),
		Text:   "The profile acknowledges a finding that is not there (any more). Should the shape come back, nobody would hear of it.",
		Advice: "Take the name out of acknowledge.", Reference: "none"}
}

// Unacknowledged gives the findings that the profile does not keep on purpose.
func (p *Profile) Unacknowledged() []Finding {
	return slices.DeleteFunc(p.Review(), func(f Finding) bool { return f.Acknowledged })
}
