package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"strings"
	"text/tabwriter"
)

// report is everything that a run found.
type report struct {
	Go     string   `json:"go"`
	CPUs   int      `json:"cpus"`
	Load   string   `json:"load_average"` // of the machine, at the end: others use it too
	Limits []limit  `json:"limits"`
	Rows   []row    `json:"rows,omitempty"`
	Growth []growth `json:"growth,omitempty"`
}

func (r *report) machine() {
	r.Go, r.CPUs = runtime.Version(), runtime.NumCPU()
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
}

func (r *report) json(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

// table prints one line a measurement.
func (r *report) table(w io.Writer) error {
	fmt.Fprintf(w, "\n%s, %d CPUs, load average %s\n\n", r.Go, r.CPUs, r.Load)
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprint(t, "limits of this machine, in this run\tCPU-ms\t/s\t\n")
	for _, l := range r.Limits {
		fmt.Fprintf(t, "%s\t%.4f\t%.0f\t\n", l.Name, l.CPU, l.PerSecond)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Rows) > 0 {
		fmt.Fprint(w, "\nCPU-ms a flow; floor: what the limits make of its POSTs and commits\n\n")
		if err := r.rows(w, r.Rows); err != nil {
			return err
		}
	}
	for _, g := range r.Growth {
		fmt.Fprintf(w, "\n%s with more certificates stored, medians of %d rounds in turn; %s\n\n", g.Store, growRounds, g.verdict())
		if err := r.rows(w, g.Rows); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) rows(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "flow\tstore\tstored\taccounts\tconns\tflows\tflows/s\tserver\tdatabase\ttotal\tfloor\tclient\tcommits\tmembers\t/batch\tstatements\tpages\tPOSTs\tp50 ms\tp99 ms\tRSS MiB\t\n")
	for _, m := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%d\t%.0f\t%.3f\t%s\t%.3f\t%.3f\t%.3f\t%.2f\t%.2f\t%.2f\t%s\t%s\t%.2f\t%.1f\t%.1f\t%.0f\t\n",
			m.Flow, m.Store, m.Stored, m.Accounts, m.Connections, m.Flows, m.PerSecond, m.ServerCPU, known(m.DatabaseCPU, 3), m.TotalCPU,
			floor(r.Limits, m), m.ClientCPU, m.Commits, m.Members, m.PerBatch,
			known(m.Statements, 1), known(m.Pages, 0), m.Posts, m.P50, m.P99, m.PeakRSS)
	}
	return t.Flush()
}

// known leaves out what a store cannot tell.
func known(v float64, digits int) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func (g growth) verdict() string {
	if len(g.Rows) > 0 && g.Rows[0].Run == nil {
		return "this store does not tell its statements and plans: the driver's tests look at those"
	}
	if len(g.Different) == 0 && len(g.Scans) == 0 {
		return "the same statements, no sequential scan"
	}
	var tables []string
	for table, n := range g.Scans {
		tables = append(tables, fmt.Sprintf("%s %d", table, n))
	}
	sort.Strings(tables)
	return fmt.Sprintf("DIFFERENT: statements %q, sequential scans %v", g.Different, tables)
}
