package main

import (
	"context"

	"github.com/enrollgate/enrollgate/test/harness"
)

// counts is what a store holds.
type counts struct {
	Certificates, Decisions, Audits int64
	Accounts                        int64
	Commits                         int64
}

func (c counts) since(before counts) counts {
	return counts{c.Certificates - before.Certificates, c.Decisions - before.Decisions, c.Audits - before.Audits,
		c.Accounts - before.Accounts, c.Commits - before.Commits}
}

// statement is what the database did with one text for a number of flows.
type statement struct {
	Text  string `json:"text"`
	Calls int64  `json:"calls"`
	Pages int64  `json:"pages"` // touched, in memory or not
}

// store is one empty database that a daemon runs on.
type store interface {
	lines() string // configuration that names it
	pid() int      // the server's main process; 0 where the daemon is the database
	count(context.Context) (counts, error)
	// watch counts statements while during runs; nil where the database cannot.
	watch(ctx context.Context, during func() error) ([]statement, error)
	// fill adds rows as n more certificates would have left behind, like those
	// that are there already.
	fill(ctx context.Context, n int) error
	// scans tells which tables were read from end to end since fill, once the
	// daemon has ended; nil where the database does not say.
	scans(ctx context.Context) (map[string]int64, error)
}

// engine makes stores of one kind.
type engine struct {
	name string
	make func(*host) store
}

func engines(h *host, which string) []engine {
	all := []engine{{"sqlite", func(h *host) store { return newFile(h) }}}
	if which != "sqlite" {
		var cluster *harness.PG
		all = append(all, engine{"postgres", func(h *host) store {
			if cluster == nil {
				cluster = newCluster(h)
			}
			return newDatabase(h, cluster)
		}})
	}
	switch which {
	case "both", "sqlite":
		return all
	case "postgres":
		return all[1:]
	}
	h.Fatalf("-store is sqlite, postgres or both, not %q", which)
	return nil
}
