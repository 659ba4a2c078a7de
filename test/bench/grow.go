package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// growth compares one store at several sizes.
type growth struct {
	Store string `json:"store"`
	Rows  []row  `json:"rows"` // medians, in rising order of size
	// Different lists statements that run at one size and not at another.
	Different []string `json:"different_statements"`
	// Scans counts sequential scans of tables with 1000 rows or more.
	Scans map[string]int64 `json:"sequential_scans"`
}

const (
	growAccounts = 8
	growRounds   = 5
)

// grow fills one store a size and measures them in turn, so that what else
// happens on the machine hits all alike.
func grow(ctx context.Context, h *host, e engine, sizes []int, answers *responder, length time.Duration) (growth, error) {
	g := growth{Store: e.name, Scans: map[string]int64{}}
	sites, clients := make([]*site, len(sizes)), make([][]client, len(sizes))
	for i, size := range sizes {
		s := start(h, e.make(h), answers)
		accounts, err := s.clients(flows[0], growAccounts)
		if err != nil {
			return g, err
		}
		if err := s.warm(ctx, accounts, flows[0], 2); err != nil {
			return g, err
		}
		begin := time.Now()
		if err := s.store.fill(ctx, size); err != nil {
			return g, fmt.Errorf("fill the store: %w", err)
		}
		h.Logf("%s: %d certificates filled in in %v", e.name, size, time.Since(begin).Round(time.Millisecond))
		sites[i], clients[i] = s, accounts
	}
	for i, s := range sites {
		for _, a := range clients[i] {
			a.at().wire.hangUp() // the daemon has, of connections that were idle for so long
		}
		if err := s.warm(ctx, clients[i], flows[0], 2); err != nil { // pages and plans
			return g, err
		}
	}
	rounds := make([][]row, len(sizes))
	for range growRounds {
		for i, s := range sites {
			r, err := s.measure(ctx, e.name, clients[i], shape{flow: flows[0], accounts: growAccounts}, length/growRounds)
			if err != nil {
				return g, err
			}
			rounds[i] = append(rounds[i], r)
		}
	}
	for i, s := range sites {
		r := middle(rounds[i])
		if err := s.addStatements(ctx, clients[i], flows[0], &r); err != nil {
			return g, err
		}
		g.Rows = append(g.Rows, r)
	}
	g.Different = different(g.Rows)
	for _, s := range sites {
		s.daemon.Stop()
		scans, err := s.store.scans(ctx)
		if err != nil {
			return g, err
		}
		for table, n := range scans {
			g.Scans[table] += n
		}
	}
	if len(g.Different) > 0 || len(g.Scans) > 0 {
		h.Errorf("%s: flows grow with the store: statements %q, sequential scans %v", e.name, g.Different, g.Scans)
	}
	return g, nil
}

// middle is the round with the median cost.
func middle(rounds []row) row {
	slices.SortFunc(rounds, func(a, b row) int {
		switch {
		case a.TotalCPU < b.TotalCPU:
			return -1
		case a.TotalCPU > b.TotalCPU:
			return 1
		}
		return 0
	})
	return rounds[len(rounds)/2]
}

// different lists statements that not every size runs, but for those that run
// less than once in ten flows: they belong to a connection or a month.
func different(rows []row) (all []string) {
	seen := map[string]int{}
	for _, r := range rows {
		for _, st := range r.Run {
			if st.Calls >= int64(r.Watched/10) {
				seen[st.Text]++
			}
		}
	}
	for text, sizes := range seen {
		if sizes < len(rows) {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return all
}
