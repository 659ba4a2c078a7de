package main

import (
	"fmt"

	"github.com/enrollgate/enrollgate/ca/profile"
)

type profileLintCmd struct {
	source
	Profiles []string `arg:"" optional:"" name:"profile" help:"Ids of profiles, files with profiles, or FILE#ID. Default: every profile there is."`
	All      bool     `help:"Print what the profiles acknowledge, too."`
	Rules    bool     `help:"List what is looked for, instead."`
	JSON     bool     `name:"json" help:"Print one JSON array."`
}

// reviewed is a profile with what is weak or dangerous in it.
type reviewed struct {
	Profile  string            `json:"profile"`
	Findings []profile.Finding `json:"findings"`
}

// Run reviews profiles. It fails where an error or a warning is not acknowledged.
func (cmd *profileLintCmd) Run(c console) error {
	if cmd.Rules {
		return cmd.listRules(c)
	}
	all, _, err := cmd.profiles()
	if err != nil {
		return err
	}
	list, err := chosen(all, cmd.Profiles)
	if err != nil {
		return err
	}
	out, grave, acknowledged := []reviewed{}, 0, 0
	for _, p := range list {
		r := reviewed{Profile: p.ID(), Findings: []profile.Finding{}}
		for _, f := range p.Review() {
			switch {
			case f.Acknowledged:
				acknowledged++
			case f.Severity != profile.SeverityNotice:
				grave++
			}
			if cmd.All || !f.Acknowledged {
				r.Findings = append(r.Findings, f)
			}
		}
		out = append(out, r)
	}
	if cmd.JSON {
		err = printJSON(c.out, out)
	} else {
		err = printReviews(c, out, acknowledged)
	}
	if err == nil && grave > 0 {
		return errSaid
	}
	return err
}

func printReviews(c console, all []reviewed, acknowledged int) error {
	shown := 0
	for _, r := range all {
		for _, f := range r.Findings {
			shown++
			severity := string(f.Severity)
			if f.Acknowledged {
				severity = "acknowledged"
			}
			if _, err := fmt.Fprintf(c.out, "%s: %s: %s (%s)\n  %s\n  %s\n  %s\n", r.Profile, severity, f.Name, f.Path, f.Text, f.Advice, f.Reference); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(c.out, "%s looked at, %s; %d are acknowledged\n", count(len(all), "profile"), count(shown, "finding"), acknowledged)
	return err
}

func (cmd *profileLintCmd) listRules(c console) error {
	rules := profile.ReviewRules()
	if cmd.JSON {
		return printJSON(c.out, rules)
	}
	t := newTable(c.out)
	fmt.Fprintln(t, "FINDING\tSEVERITY\tREFERENCE")
	for _, r := range rules {
		t.row(r.Name, string(r.Severity), r.Reference)
	}
	return t.Flush()
}
