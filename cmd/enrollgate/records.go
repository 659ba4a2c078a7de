package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/config"
)

// records is the store, opened by a command as a replica of its own, and the
// tenants that the command is about.
type records struct {
	*daemon
	tenants []string
}

// openRecords opens the store; without a tenant the command is about every one
// of the configuration.
func (s *source) openRecords(ctx context.Context, tenant string, c console) (*records, error) {
	cfg, err := s.load()
	if err != nil {
		return nil, err
	}
	r := &records{}
	if r.tenants, err = tenantsOf(cfg, tenant); err != nil {
		return nil, badRequest(err)
	}
	log := cfg.Log
	log.Level = max(log.Level, slog.LevelError) // the command says itself what was done
	r.daemon = &daemon{cfg: cfg, log: newLog(log, c.err)}
	return r, r.openStore(ctx)
}

// tenantsOf gives the tenants that a command is about: the one that is named, or
// every one of the configuration. BadRequest for one that is not there.
func tenantsOf(cfg *config.Config, tenant string) (all []string, err error) {
	for _, t := range cfg.Tenants {
		all = append(all, t.ID)
	}
	switch {
	case tenant == "":
		return all, nil
	case !slices.Contains(all, tenant):
		return nil, ca.Errorf(ca.BadRequest, "the configuration has no tenant %s; there is %s", tenant, strings.Join(all, ", "))
	}
	return []string{tenant}, nil
}

// badRequest makes what an argument cannot be a wrong command line.
func badRequest(err error) error {
	if ca.IsKind(err, ca.BadRequest) {
		return fmt.Errorf("%w: %s", errUsage, sentence(err))
	}
	return err
}

// printJSON prints one indented JSON value.
func printJSON(w io.Writer, value any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(value)
}

// table prints rows in columns. What a requester chose cannot steer the
// operator's terminal: control and format characters are replaced.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), "\t")) // a tabwriter fails at Flush
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
