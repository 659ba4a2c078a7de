package ruleset

import (
	"fmt"
	"slices"
	"strconv"
)

// Written is the lint block of a profile as people write it.
type Written struct {
	// Error, Warn and Notice say what becomes of findings of that severity:
	// refuse, log or ignore. Defaults: refuse, log, ignore. A finding that is
	// logged does not keep the certificate from being issued.
	Error  string `yaml:"error,omitempty"`
	Warn   string `yaml:"warn,omitempty"`
	Notice string `yaml:"notice,omitempty"`

	// Refuse, Log and Ignore list rules by name for which this holds whatever
	// their severity: how a profile acknowledges a finding that its devices
	// need. A rule is in one list at most. The checks of our own, without
	// which a certificate would be broken, cannot be listed.
	Refuse []string `yaml:"refuse,omitempty"`
	Log    []string `yaml:"log,omitempty"`
	Ignore []string `yaml:"ignore,omitempty"`
}

// Policy decides what becomes of a finding. The zero value is the default:
// errors refuse, warnings are logged, notices ignored. It is immutable.
type Policy struct {
	bySeverity [Error + 1]Action
	byRule     map[string]Action
}

// Problem is one thing wrong with a written block.
type Problem struct {
	Path    []string // yaml keys and list positions within the block
	Message string
	Allowed []string // the values that would be right, where there is a closed list
}

// Compile checks a written block; nil is the default.
func Compile(w *Written) (Policy, []Problem) {
	var p Policy
	if w == nil {
		return p, nil
	}
	var problems []Problem
	for _, s := range []struct {
		severity Severity
		text     string
	}{{Error, w.Error}, {Warning, w.Warn}, {Notice, w.Notice}} {
		a, ok := parseAction(s.text)
		if !ok && s.text != "" {
			problems = append(problems, Problem{[]string{s.severity.String()}, fmt.Sprintf("%q is not a choice", clip(s.text)), actionNames})
		}
		p.bySeverity[s.severity] = a
	}
	p.byRule = map[string]Action{}
	known := Rules()
	for _, name := range Advice() {
		known[name] = Shape
	}
	for _, l := range []struct {
		action Action
		names  []string
	}{{Refuse, w.Refuse}, {Log, w.Log}, {Ignore, w.Ignore}} {
		for i, name := range l.names {
			path := []string{l.action.String(), strconv.Itoa(i)}
			_, twice := p.byRule[name]
			why, off := disabled[name]
			switch {
			case twice:
				problems = append(problems, Problem{path, fmt.Sprintf("%q is listed twice", clip(name)), nil})
			case off:
				problems = append(problems, Problem{path, fmt.Sprintf("%s is never checked here: %s", name, why), nil})
			case known[name] == 0:
				problems = append(problems, Problem{path, fmt.Sprintf("%q is no rule that is checked here and can be relaxed; the checks that zlint does not make always refuse", clip(name)), nil})
			}
			p.byRule[name] = l.action
		}
	}
	return p, problems
}

// Action is what becomes of a finding of the rule.
func (p Policy) Action(rule string, s Severity) Action {
	if a, ok := p.byRule[rule]; ok {
		return a
	}
	if s < Notice || s > Error {
		return Refuse
	}
	if a := p.bySeverity[s]; a != 0 {
		return a
	}
	return [...]Action{Notice: Ignore, Warning: Log, Error: Refuse}[s]
}

// Clone copies a block, so that nobody changes what was compiled.
func (w *Written) Clone() *Written {
	if w == nil {
		return nil
	}
	c := *w
	c.Refuse, c.Log, c.Ignore = slices.Clone(w.Refuse), slices.Clone(w.Log), slices.Clone(w.Ignore)
	return &c
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
