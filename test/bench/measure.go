package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// row is one measurement. CPU is in milliseconds a flow.
type row struct {
	Flow        string      `json:"flow"`
	Store       string      `json:"store"`
	Stored      int64       `json:"stored"` // certificates, before
	Accounts    int         `json:"accounts"`
	Connections string      `json:"connections"`
	Flows       int         `json:"flows"`
	Seconds     float64     `json:"seconds"`
	PerSecond   float64     `json:"flows_per_second"`
	ServerCPU   float64     `json:"server_cpu_ms"`
	DatabaseCPU float64     `json:"database_cpu_ms"`
	TotalCPU    float64     `json:"total_cpu_ms"`
	ClientCPU   float64     `json:"client_cpu_ms"`
	Commits     float64     `json:"commits_per_flow"`  // as the disk sees them
	Members     float64     `json:"members_per_flow"`  // as the door asks for them
	PerBatch    float64     `json:"members_per_batch"` // how many share one
	Statements  float64     `json:"statements_per_flow,omitempty"`
	Pages       float64     `json:"pages_per_flow,omitempty"`
	Posts       float64     `json:"posts_per_flow"`
	P50         float64     `json:"p50_ms"`
	P99         float64     `json:"p99_ms"`
	PeakRSS     float64     `json:"daemon_peak_rss_mib"`
	Watched     int         `json:"watched_flows,omitempty"`
	Run         []statement `json:"watched_statements,omitempty"` // most pages first
}

// shape is who asks, and how.
type shape struct {
	flow     flow
	accounts int
	fresh    bool
}

func (s shape) connections() string {
	if s.fresh {
		return "new"
	}
	return "kept"
}

// maxRate bounds the flows that are made ready for a second.
const maxRate = 2000

// measure runs one load against a site and holds what the store has afterwards
// against the flows that clients saw.
func (s *site) measure(ctx context.Context, name string, clients []client, sh shape, length time.Duration) (r row, err error) {
	before, err := s.store.count(ctx)
	if err != nil {
		return r, err
	}
	members, err := s.members(ctx)
	if err != nil {
		return r, err
	}
	posts := 0
	for _, c := range clients {
		posts -= c.at().posts
	}
	fetched := s.answers.fetched.Load()
	server, database, own := cpuOf(s.pid), cpuOf(s.store.pid()), ownCPU()
	rate := sh.flow.rate
	if rate == 0 {
		rate = maxRate
	}
	l := load{flows: max(64, int(float64(rate)*length.Seconds())), time: length, fresh: sh.fresh, flow: sh.flow}
	d, err := s.run(ctx, clients, l)
	server, database, own = cpuOf(s.pid)-server, cpuOf(s.store.pid())-database, ownCPU()-own
	if err != nil {
		return r, err
	}
	fetched = s.answers.fetched.Load() - fetched
	for _, c := range clients {
		posts += c.at().posts
	}
	after, err := s.store.count(ctx)
	if err != nil {
		return r, err
	}
	written, err := s.members(ctx)
	if err != nil {
		return r, err
	}
	members = written - members
	c := after.since(before)
	if err := sh.flow.left(d.flows, c, fetched); err != nil {
		return r, err
	}
	flow := func(d2 time.Duration) float64 { return d2.Seconds() * 1000 / float64(d.flows) }
	each := func(n int64) float64 { return float64(n) / float64(d.flows) }
	r = row{Flow: sh.flow.name, Store: name, Stored: before.Certificates, Accounts: len(clients), Connections: sh.connections(), Flows: d.flows,
		Seconds: d.elapsed.Seconds(), PerSecond: float64(d.flows) / d.elapsed.Seconds(),
		ServerCPU: flow(server), DatabaseCPU: flow(database), TotalCPU: flow(server + database), ClientCPU: flow(own),
		Commits: each(c.Commits), Members: each(members), PerBatch: float64(members) / float64(max(c.Commits, 1)),
		Posts: each(int64(posts)), P50: d.percentile(0.5), P99: d.percentile(0.99)}
	r.PeakRSS, err = peakRSS(s.pid)
	return r, err
}

// members reads how many writes the daemon has asked commits for.
func (s *site) members(ctx context.Context) (int64, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(answer.Body, 4<<20))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "enrollgate_store_members_total "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return int64(n), err
		}
	}
	return 0, errors.Join(errors.New("the daemon's metrics do not say how many writes it made"), lines.Err())
}

// watchFlows is how many flows each client runs while statements are counted.
const watchFlows = 8

// addStatements counts the statements of a few more flows, apart from the
// measurement because counting them costs.
func (s *site) addStatements(ctx context.Context, clients []client, f flow, r *row) error {
	n := watchFlows * len(clients)
	all, err := s.store.watch(ctx, func() error { return s.warm(ctx, clients, f, watchFlows) })
	if err != nil || all == nil {
		return err
	}
	var calls, pages int64
	for _, st := range all {
		calls, pages = calls+st.Calls, pages+st.Pages
	}
	r.Watched, r.Run = n, all
	r.Statements, r.Pages = float64(calls)/float64(n), float64(pages)/float64(n)
	return nil
}
