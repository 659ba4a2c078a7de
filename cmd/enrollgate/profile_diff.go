package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/profile"
)

type profileDiffCmd struct {
	source
	Old    string `arg:"" help:"Profile whose certificates are looked at: an id, a file with one, FILE#ID, or the SHA-256 of one that was in use."`
	New    string `arg:"" help:"Profile to decide by instead, in the same ways."`
	Since  string `help:"How far back: 30d, 12h." default:"30d" placeholder:"TIME"`
	Tenant string `help:"Look in this tenant alone; default: every tenant of the configuration." placeholder:"ID"`
	List   int    `help:"How many requests to list; the counts are over all." default:"100" placeholder:"N"`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// compared is what `profile diff` prints.
type compared struct {
	Old        string                   `json:"old"`
	New        string                   `json:"new"`
	Since      time.Time                `json:"since"`
	Settings   []profile.Setting        `json:"settings"` // what the profiles themselves say otherwise
	Counts     map[string]int           `json:"counts"`   // by verdict
	Fields     map[string]int           `json:"fields"`   // requests by changed field, or by the field that is refused
	Unreplayed map[string]int           `json:"unreplayed"`
	Requests   []*admin.ReplayedRequest `json:"requests"`
	More       int                      `json:"more"` // that are not listed
}

// verdicts in the order of the summary.
var verdicts = []string{profile.ReplayUnchanged, profile.ReplayChanged, profile.ReplayNewlyRefused, profile.ReplayNewlyAccepted, profile.ReplayRefused, profile.ReplayNone}

// Run replays what was issued of late and says what would be otherwise.
func (cmd *profileDiffCmd) Run(c console) (err error) {
	span, ok := parseSpan(cmd.Since)
	if !ok {
		return fmt.Errorf("%w: --since is a number of days such as 30d, or of hours such as 12h", errUsage)
	}
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	in := &admin.Replay{Tenants: r.tenants, Replayer: profile.Replayer{Claims: claim.NewOfflineVerifier(), Keys: claim.NewVerifier(caller.System)}}
	if in.Old, err = r.profileNamed(ctx, cmd.Old); err != nil {
		return err
	}
	if in.New, err = r.profileNamed(ctx, cmd.New); err != nil {
		return err
	}
	now, err := r.store.Now(ctx)
	if err != nil {
		return err
	}
	in.Since = now.Add(-span)
	out := &compared{Old: shortName(in.Old), New: shortName(in.New), Since: in.Since, Settings: profile.Settings(in.Old, in.New),
		Counts: map[string]int{}, Fields: map[string]int{}, Unreplayed: map[string]int{}, Requests: []*admin.ReplayedRequest{}}
	progress, done := replayProgress(c.err)
	err = admin.ReplayRequests(ctx, r.store, in, func(one *admin.ReplayedRequest) error {
		out.add(one, cmd.List)
		progress(out)
		return nil
	})
	done()
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	return out.print(c)
}

// profileNamed finds a profile by id, file, or the hash of its kept text.
func (r *records) profileNamed(ctx context.Context, what string) (*profile.Profile, error) {
	if hash, ok := parseHash(what); ok {
		text, err := r.store.Profile(ctx, hash)
		if err != nil {
			return nil, err
		}
		return keptProfile(text, hash)
	}
	return findProfile(r.cfg.Profiles, what)
}

// shortName names a profile with the beginning of its hash.
func shortName(p *profile.Profile) string {
	hash := p.Hash()
	return fmt.Sprintf("%s (%x)", p.ID(), hash[:4])
}

// parseSpan reads a span of days, hours or minutes.
func parseSpan(text string) (time.Duration, bool) {
	m := regexp.MustCompile(`^([0-9]{1,5})([dhm])$`).FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return time.Duration(n) * map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute}[m[2]], err == nil && n > 0
}

// replayProgress shows progress where w is a terminal.
func replayProgress(w io.Writer) (step func(*compared), done func()) {
	f, ok := w.(*os.File)
	if !ok {
		return func(*compared) {}, func() {}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(*compared) {}, func() {}
	}
	return func(out *compared) {
		if n := out.total(); n%50 == 1 {
			fmt.Fprintf(f, "\r\x1b[K%d requests", n)
		}
	}, func() { fmt.Fprint(f, "\r\x1b[K") }
}

func (out *compared) total() (n int) {
	for _, count := range out.Counts {
		n += count
	}
	return n
}

// add counts a request and lists it where something would be otherwise.
func (out *compared) add(one *admin.ReplayedRequest, most int) {
	out.Counts[one.Verdict]++
	switch one.Verdict {
	case profile.ReplayUnchanged, profile.ReplayRefused:
		return
	case profile.ReplayNone:
		out.Unreplayed[one.Why]++
		return
	case profile.ReplayChanged:
		for _, d := range one.Changes {
			out.Fields[d.Field]++
		}
	default:
		out.Fields[one.Verdict+" by "+one.Rule]++
	}
	if len(out.Requests) >= most {
		out.More++
		return
	}
	out.Requests = append(out.Requests, one)
}

func (out *compared) print(c console) error {
	fmt.Fprintf(c.out, "%s -> %s, issued since %s\n", out.Old, out.New, date(out.Since))
	t := newTable(c.out)
	if len(out.Settings) > 0 {
		fmt.Fprintln(t, "\nSETTING\tOLD\tNEW")
	}
	for _, s := range out.Settings {
		t.row(s.Path, s.Old, s.New)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = newTable(c.out)
	if len(out.Requests) > 0 {
		fmt.Fprintln(t, "\nSERIAL\tSUBJECT\tVERDICT\tFIELD\tOLD\tNEW")
	}
	for _, one := range out.Requests {
		who := one.Subject
		if who == "" {
			who = strings.Join(one.Names, " ")
		}
		if one.Verdict != profile.ReplayChanged {
			t.row(one.Serial, who, one.Verdict, one.Field, one.Rule, one.Text)
		}
		for _, d := range one.Changes {
			t.row(one.Serial, who, one.Verdict, d.Field, d.Old, d.New)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if out.More > 0 {
		fmt.Fprintf(c.out, "and %d more (--list N)\n", out.More)
	}
	fmt.Fprintf(c.out, "\n%s\n", count(out.total(), "request"))
	t = newTable(c.out)
	for _, v := range verdicts {
		if out.Counts[v] > 0 {
			t.row("  "+v, strconv.Itoa(out.Counts[v]))
		}
	}
	for _, counts := range []map[string]int{out.Fields, out.Unreplayed} {
		for _, what := range slices.Sorted(maps.Keys(counts)) {
			t.row("    "+what, strconv.Itoa(counts[what]))
		}
	}
	fmt.Fprintln(t, "Requests that were refused are not recorded whole and not replayed.")
	return t.Flush()
}
