package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/enrollgate/enrollgate/config"
)

// Exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// checkCmd is `enrollgate check`.
type checkCmd struct {
	Config string `required:"" placeholder:"FILE" help:"Configuration file to check."`
	JSON   bool   `name:"json" help:"Print one JSON object on stdout."`
}

// Run checks the file; the mistakes were told when it returns.
func (c *checkCmd) Run(to console) error {
	switch runCheck(c.Config, c.JSON, to.out, to.err) {
	case exitOK:
		return nil
	case exitUsage:
		return errUsage
	default:
		return errSaid
	}
}

// checkReport is what `check --json` prints.
type checkReport struct {
	OK        bool            `json:"ok"`
	Problems  config.Problems `json:"problems"` // empty if ok
	Warnings  []string        `json:"warnings"`
	Tenants   int             `json:"tenants"`
	CAs       int             `json:"cas"`
	Endpoints []checkEndpoint `json:"endpoints"`
}

type checkEndpoint struct {
	ID       string `json:"id"`
	Protocol string `json:"protocol"`
	Auth     string `json:"auth"` // alternatives separated by " | ", methods of one by " + "
	URL      string `json:"url"`
}

// runCheck tells every mistake of a configuration file, one a line on stderr, or
// what the file opens. It gives the exit code: 0 for a file that `serve` takes, 1
// for mistakes or a file that cannot be read, 2 where no file is named.
func runCheck(path string, asJSON bool, stdout, stderr io.Writer) int {
	if path == "" {
		fmt.Fprintln(stderr, "enrollgate check: name the file to check: --config FILE")
		return exitUsage
	}
	c, err := config.Load(path, config.Options{})
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		problems = config.Problems{{File: path, Message: err.Error()}}
	}
	report := reportOf(c, problems)
	if asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = printReport(path, report, stdout, stderr)
	}
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "enrollgate check: cannot print the result: %v\n", err)
		return exitFailed
	case !report.OK:
		return exitFailed
	default:
		return exitOK
	}
}

func reportOf(c *config.Config, problems config.Problems) checkReport {
	report := checkReport{OK: len(problems) == 0, Problems: config.Problems{}, Warnings: []string{}, Endpoints: []checkEndpoint{}}
	if !report.OK {
		report.Problems = problems
		return report
	}
	report.Tenants, report.CAs = len(c.Tenants), len(c.CAs)
	report.Warnings = append(report.Warnings, c.Warnings...)
	for _, e := range c.Endpoints {
		var alternatives []string
		for _, set := range e.Policies {
			var methods []string
			for _, m := range set {
				methods = append(methods, string(m))
			}
			alternatives = append(alternatives, strings.Join(methods, " + "))
		}
		report.Endpoints = append(report.Endpoints, checkEndpoint{e.ID, string(e.Door), strings.Join(alternatives, " | "), c.URL(&e)})
	}
	return report
}

// printReport prints for people: problems and warnings on stderr, what the file
// opens on stdout.
func printReport(path string, r checkReport, stdout, stderr io.Writer) error {
	var problems, summary strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&problems, p.Error())
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(&problems, "warning:", w)
	}
	if r.OK {
		fmt.Fprintf(&summary, "%s is good: %s, %s, %s\n", path, count(r.Tenants, "tenant"), count(r.CAs, "CA"), count(len(r.Endpoints), "endpoint"))
		for _, e := range r.Endpoints {
			fmt.Fprintf(&summary, "  %s  %s  (%s)\n", e.ID, e.URL, e.Auth)
		}
	}
	_, errProblems := io.WriteString(stderr, problems.String())
	_, errSummary := io.WriteString(stdout, summary.String())
	return errors.Join(errProblems, errSummary)
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
