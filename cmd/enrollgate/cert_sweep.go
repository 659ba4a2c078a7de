package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/config"
)

// maxFailures bounds the failures that a command lists; it counts all.
const maxFailures = 1000

// sweptMany is what a bulk change of status prints with --json.
type sweptMany struct {
	Job     string     `json:"job"` // trace id of every audit row
	Reason  string     `json:"reason,omitempty"`
	Renew   *renewIn   `json:"renew,omitempty"`
	Invalid *time.Time `json:"invalidity_date,omitempty"`
	admin.Tally
	Failures []admin.Failure `json:"failures"` // the first 1,000
	Complete bool            `json:"complete"` // every page was gone through
}

// counted is what --dry-run prints with --json.
type counted struct {
	DryRun bool `json:"dry_run"`
	admin.Count
}

// sweep changes every certificate of a selection: it counts them, asks whoever
// sits at a terminal, and goes through them in pages.
func (cmd *certChange) sweep(c console, v verbs, in certSweepIn) error {
	in.selection, in.Serials, in.Job = cmd.selection, slices.Clone(cmd.Serial), ca.NewTrace()
	if cmd.Serials != "" {
		more, err := readSerials(cmd.Serials)
		if err != nil {
			return err
		}
		in.Serials = append(in.Serials, more...)
	}
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	b, err := in.bulk(cfg, time.Now())
	if err != nil {
		return badRequest(err)
	}
	terminal := isTerminal(os.Stdin)
	if !cmd.Yes && !cmd.DryRun && !terminal {
		return errNobody
	}
	ctx := context.Background()
	progress := &progress{c: c, shown: isTerminalWriter(c.err)}
	if !cmd.Yes || cmd.DryRun || progress.shown {
		count, err := cmd.count(ctx, c, &b.Selection)
		switch {
		case err != nil:
			return badRequest(err)
		case cmd.DryRun:
			return cmd.printCount(c, count)
		}
		if progress.of = count.Matched; !cmd.Yes && count.Matched > 0 {
			if err := askYes(c.err, os.Stdin, question(v, count)); err != nil {
				return err
			}
		}
	}
	out, err := cmd.pages(ctx, c, cfg, in, progress)
	if err != nil && out.Matched == 0 {
		return badRequest(err)
	}
	if said := cmd.printSwept(c, v, out); err == nil {
		return said
	}
	return fmt.Errorf("%s; not all was gone through: the same command goes on, and counts what is done", sentence(err))
}

// question names the number.
func question(v verbs, n admin.Count) string {
	text := fmt.Sprintf("%s %d certificates, %s", v.ask, n.Matched, v.reason)
	if n.Revoked > 0 && v != verbsOf(ca.RemoveFromCRL) {
		text += fmt.Sprintf(" (%d of them are revoked already)", n.Revoked)
	}
	if n.Missing > 0 {
		text += fmt.Sprintf(" (%d of them do not exist)", n.Missing)
	}
	return text + "?"
}

func (cmd *certChange) count(ctx context.Context, c console, s *admin.Selection) (n admin.Count, err error) {
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return n, err
	}
	n, err = admin.CountSelected(ctx, r.store, s)
	return n, errors.Join(err, r.store.Close())
}

func (cmd *certChange) printCount(c console, n admin.Count) error {
	if cmd.JSON {
		return printJSON(c.out, counted{true, n})
	}
	_, err := fmt.Fprintf(c.out, "%d certificates: %d issued, %d held, %d revoked, %d not found; nothing was changed\n", n.Matched, n.Issued, n.Held, n.Revoked, n.Missing)
	return err
}

// pages goes through the pages, by the daemon where one answers, else by this
// process as a replica of its own. What was done stays done where one fails.
func (cmd *certChange) pages(ctx context.Context, c console, cfg *config.Config, in certSweepIn, p *progress) (out *sweptMany, err error) {
	out = &sweptMany{Job: in.Job, Reason: in.Reason, Renew: in.Renew, Failures: []admin.Failure{}}
	if !in.Invalid.IsZero() {
		out.Invalid = &in.Invalid
	}
	defer p.end()
	serials := in.Serials
	var alone *records
	defer func() {
		if alone != nil {
			err = errors.Join(err, alone.store.Close())
		}
	}()
	for first := true; ; first = false {
		in.Serials = serials[:min(len(serials), admin.MaxBulk)]
		page, answered := &admin.Swept{}, false
		if alone == nil {
			if answered, err = callDaemon(ctx, cfg, certSweepPath, in, page); err != nil {
				return out, err
			}
		}
		switch {
		case answered:
		case alone == nil && !first:
			return out, fmt.Errorf("the daemon at admin.socket %q does not answer any more", cfg.Admin.Socket)
		default:
			if alone == nil {
				if alone, err = cmd.openRecords(ctx, in.Tenant, c); err != nil {
					return out, err
				}
			}
			authority, err := alone.revoker()
			if err != nil {
				return out, err
			}
			if page, err = alone.sweep(ctx, cfg, authority, &in, localOperator); err != nil {
				return out, err
			}
		}
		out.Add(page.Tally)
		out.Failures = append(out.Failures, page.Failures[:min(len(page.Failures), maxFailures-len(out.Failures))]...)
		p.show(out.Tally)
		serials, in.Page = serials[len(in.Serials):], page.Next
		if len(serials) == 0 && in.Page == "" {
			out.Complete = true
			return out, nil
		}
	}
}

// sweep carries out one page, for the daemon and without one.
func (d *daemon) sweep(ctx context.Context, cfg *config.Config, a admin.Revoker, in *certSweepIn, actor func(tenant string) (caller.Caller, error)) (*admin.Swept, error) {
	b, err := in.bulk(cfg, time.Now())
	if err != nil {
		return nil, err
	}
	b.Actor = actor
	if in.Renew != nil {
		return admin.AskRenewal(ctx, d.store, d.store, b, in.Renew.From, in.Renew.Until, in.Renew.Explanation)
	}
	return admin.Sweep(ctx, d.store, a, b)
}

// printSwept says what was done, and fails where something was not.
func (cmd *certChange) printSwept(c console, v verbs, out *sweptMany) error {
	if cmd.JSON {
		if err := printJSON(c.out, out); err != nil {
			return err
		}
	} else if out.Matched > 0 {
		text := fmt.Sprintf("%s %d of %d certificates", v.done, out.Changed, out.Matched)
		if out.Already > 0 {
			text += fmt.Sprintf(", %d were so already", out.Already)
		}
		if out.Failed > 0 {
			text += fmt.Sprintf(", %d failed", out.Failed)
		}
		if _, err := fmt.Fprintf(c.out, "%s (job %s)\n", text, out.Job); err != nil {
			return err
		}
		for _, f := range out.Failures {
			fmt.Fprintf(c.err, "%s: %s\n", strings.TrimLeft(f.Tenant+"/"+f.CA+"/"+f.Serial, "/"), printable(f.Error))
		}
	}
	switch {
	case out.Matched == 0:
		return errors.New("no certificate is like that; nothing was changed")
	case out.Failed > 0:
		return errSaid
	}
	return nil
}

// progress is a line on a terminal that is written over.
type progress struct {
	c     console
	shown bool
	of    int
	begun bool
}

func (p *progress) show(t admin.Tally) {
	if !p.shown {
		return
	}
	p.begun = true
	fmt.Fprintf(p.c.err, "\r%d of %d certificates, %d failed", t.Matched, p.of, t.Failed)
}

func (p *progress) end() {
	if p.begun {
		fmt.Fprintln(p.c.err)
	}
}

func isTerminalWriter(w any) bool {
	f, ok := w.(*os.File)
	return ok && isTerminal(f)
}
