// The command bench measures what a certificate costs: it builds the daemon,
// starts it on each store, enrolls as fast as a number of clients can,
// and holds the processor time of daemon and database against what the machine
// cannot do for less.
//
// A flow of enrollment is a fresh order for one fresh name, its DNS look-up and http-01
// request (answered here), finalize with a fresh P-256 key, and the download.
// Two others are measured beside it: a renewal, which asks for its window and
// orders the same name by "replaces", and the creation of an account, with the
// directory and the nonce that a client needs for it. By EST there are a first
// enrollment by HTTP Basic with a password for many uses, and a re-enrollment by
// client certificate, each with a fresh P-256 key; by SCEP a first enrollment over
// plain HTTP, with RSA-2048 keys that the clients take in turn, because making one
// takes longer than everything else.
//
// Every check of the daemon is on, every commit durable; afterwards the
// certificates, decisions and audit rows in the store must be as many as the
// flows, or the run fails.
//
// Processor time per certificate is the figure to compare; rates and latencies
// say more about who else uses the machine. Everything stays on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	store    string
	time     time.Duration
	accounts int
	fresh    string
	flow     string
	grow     string
	json     string
	hold     bool
}

func main() {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	var o options
	flags.StringVar(&o.store, "store", "both", "sqlite, postgres or both")
	flags.DurationVar(&o.time, "time", 10*time.Second, "length of each measurement")
	flags.IntVar(&o.accounts, "accounts", 0, "clients that enroll at once (0: 4, then 32)")
	flags.StringVar(&o.fresh, "connections", "both", "kept, new (one a flow) or both")
	flags.StringVar(&o.flow, "flow", "all", "all, or one of "+flowNames())
	flags.StringVar(&o.grow, "grow", "", "compare sizes instead: small (10^3 and 10^5 certificates) or full (10^6 too)")
	flags.StringVar(&o.json, "json", "", "write the figures to this file too")
	flags.BoolVar(&o.hold, "pids", false, "print the process ids of daemon and database, for a profiler")
	server := flags.Bool(staticFlag, false, "be the server of a limit (used by bench itself)")
	flags.Parse(os.Args[1:]) // it exits on an error
	if *server {
		if err := serveStatic(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and prints. Whatever happens, what was started is stopped.
func run(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h := newHost()
	defer func() {
		var reason error
		if p := recover(); p != nil {
			text, ours := p.(fatal)
			if !ours {
				panic(p)
			}
			reason = errors.New(string(text))
		}
		h.failed = h.failed || reason != nil
		h.close()
		if h.failed && reason == nil && err == nil {
			reason = errors.New("failed")
		}
		err = errors.Join(err, reason)
	}()
	shapes, err := o.shapes()
	if err != nil {
		return err
	}
	sizes, err := o.sizes()
	if err != nil {
		return err
	}
	r := &report{}
	if r.Limits, err = limits(ctx, h.TempDir()); err != nil {
		return err
	}
	answers := newResponder(h)
	for _, e := range engines(h, o.store) {
		if sizes != nil {
			g, err := grow(ctx, h, e, sizes, answers, o.time)
			if err != nil {
				return err
			}
			r.Growth = append(r.Growth, g)
			continue
		}
		s := start(h, e.make(h), answers)
		if o.hold {
			h.Logf("%s: daemon %d, database %d", e.name, s.pid, s.store.pid())
		}
		for _, sh := range shapes {
			m, err := one(ctx, s, e.name, sh, o.time)
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, m)
		}
		s.daemon.Stop()
	}
	r.machine()
	if o.json != "" {
		if err := writeJSON(r, o.json); err != nil {
			return err
		}
	}
	return r.table(os.Stdout)
}

// one measures one shape with clients of its own.
func one(ctx context.Context, s *site, name string, sh shape, length time.Duration) (row, error) {
	clients, err := s.clients(sh.flow, sh.accounts)
	if err != nil {
		return row{}, err
	}
	defer func() {
		for _, c := range clients {
			c.at().wire.hangUp()
		}
	}()
	if err := s.warm(ctx, clients, sh.flow.warmed(), 4); err != nil {
		return row{}, err
	}
	r, err := s.measure(ctx, name, clients, sh, length)
	if err != nil {
		return r, err
	}
	return r, s.addStatements(ctx, clients, sh.flow, &r)
}

func (o options) shapes() (all []shape, err error) {
	accounts := []int{4, 32}
	if o.accounts > 0 {
		accounts = []int{o.accounts}
	}
	fresh, ok := map[string][]bool{"kept": {false}, "new": {true}, "both": {false, true}}[o.fresh]
	if !ok {
		return nil, fmt.Errorf("-connections is kept, new or both, not %q", o.fresh)
	}
	for _, f := range flows {
		if o.flow != "all" && o.flow != f.name {
			continue
		}
		for _, new := range fresh {
			for _, n := range accounts {
				all = append(all, shape{f, n, new})
			}
		}
	}
	if all == nil {
		return nil, fmt.Errorf("-flow is all or one of %s, not %q", flowNames(), o.flow)
	}
	return all, nil
}

func (o options) sizes() ([]int, error) {
	switch o.grow {
	case "":
		return nil, nil
	case "small":
		return []int{1e3, 1e5}, nil
	case "full":
		return []int{1e3, 1e5, 1e6}, nil
	}
	return nil, fmt.Errorf("-grow is small or full, not %q", o.grow)
}

func writeJSON(r *report, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.json(f), f.Close())
}
