package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca/admin"
)

type explainCmd struct {
	source
	What    string `arg:"" name:"serial-or-trace" help:"Serial number of a certificate (32 hexadecimal digits) or trace id of a request (10 letters and digits)."`
	Tenant  string `help:"Look in this tenant alone; default: every tenant of the configuration." placeholder:"ID"`
	Profile bool   `help:"Print the profile, too, as it was at issuance."`
	JSON    bool   `name:"json" help:"Print one JSON object."`
}

// Run says where every field of a certificate came from, or why a request was refused.
func (cmd *explainCmd) Run(c console) (err error) {
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	e, err := admin.Explain(ctx, r.store, r.tenants, cmd.What)
	if err != nil {
		return badRequest(err)
	}
	if cmd.JSON {
		return printJSON(c.out, e)
	}
	return printExplanation(c, e, cmd.Profile, time.Now())
}

func printExplanation(c console, e *admin.Explanation, profile bool, now time.Time) error {
	for i := range e.Refusals {
		if err := printRefusal(c, e, &e.Refusals[i]); err != nil {
			return err
		}
	}
	if e.Certificate != nil {
		if err := printOrigin(c, e.Certificate, now); err != nil {
			return err
		}
	}
	if e.Dropped != nil {
		if err := printRemains(c, e); err != nil {
			return err
		}
	}
	t := newTable(c.out)
	fmt.Fprintln(t, "\nAudit trail:")
	for _, a := range e.Audit {
		t.row("  "+date(a.At), a.Event, a.Actor, a.Trace, string(a.Detail))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if profile && e.Certificate != nil {
		_, err := fmt.Fprintf(c.out, "\nProfile, as it was at issuance:\n%s", e.Certificate.ProfileText)
		return err
	}
	return nil
}

// printRemains prints what is left of a certificate whose month was dropped.
func printRemains(c console, e *admin.Explanation) error {
	t := newTable(c.out)
	fmt.Fprintf(t, "Certificate %s\n", e.Dropped.Serial)
	status := ""
	if r := e.Dropped.Revocation; r != nil {
		status = fmt.Sprintf("%s, %s at %s", r.State, r.Reason, date(r.At))
	}
	for _, line := range [][2]string{{"dropped", fmt.Sprintf("it expired in %s, and what expired then was dropped on %s (retention.certificates)",
		e.Dropped.Month, date(e.Dropped.At))}, {"status", status}, {"tenant", e.Tenant}, {"CA", e.Dropped.CA}} {
		if line[1] != "" {
			t.row("  "+line[0], line[1])
		}
	}
	return t.Flush()
}

func printRefusal(c console, e *admin.Explanation, r *admin.Refusal) error {
	t := newTable(c.out)
	fmt.Fprintf(t, "Request %s was refused\n", e.Trace)
	for _, line := range [][2]string{{"at", date(r.At)}, {"tenant", e.Tenant}, {"caller", r.Caller}, {"endpoint", r.Endpoint}, {"kind", r.Kind},
		{"field", r.Field}, {"rule", r.Rule}, {"text", r.Text}, {"what to do", r.Advice}} {
		if line[1] != "" {
			t.row("  "+line[0], line[1])
		}
	}
	return t.Flush()
}

// printOrigin prints a certificate with the source of everything in it.
func printOrigin(c console, o *admin.Origin, now time.Time) error {
	t := newTable(c.out)
	fmt.Fprintf(t, "Certificate %s\n", o.Serial)
	status := string(o.State)
	if o.Revocation != nil {
		status += fmt.Sprintf(", %s at %s", o.Revocation.Reason, date(o.Revocation.At))
		if o.Revocation.Invalid != nil {
			status += ", invalid since " + date(*o.Revocation.Invalid)
		}
	}
	if now.After(o.NotAfter) {
		status += ", expired"
	}
	for _, line := range [][2]string{{"status", status}, {"subject", o.Subject}, {"names", strings.Join(o.Names, " ")},
		{"validity", date(o.NotBefore) + " to " + date(o.NotAfter)}, {"tenant", o.Tenant}, {"CA", o.CA}, {"requester", o.Requester},
		{"endpoint", o.Endpoint}, {"operation", o.Operation}, {"transaction", o.Transaction}, {"issued at", date(o.IssuedAt)}, {"trace", o.Trace},
		{"profile", o.Certificate.Profile + ", SHA-256 " + o.ProfileHash}} {
		if line[1] != "" {
			t.row("  "+line[0], line[1])
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = newTable(c.out)
	fmt.Fprintln(t, "\nFIELD\tVALUE\tSOURCE\tNOTE")
	for _, f := range o.Fields {
		t.row(f.Name, f.Value, f.Source, f.Note)
	}
	for _, part := range o.Unexplained {
		t.row("UNEXPLAINED", part, "", "no recorded field accounts for this: compare with a backup and run `enrollgate audit verify`")
	}
	return t.Flush()
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
