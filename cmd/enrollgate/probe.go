package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/enrollgate/enrollgate/probe"
)

// shortestInterval keeps a canary from becoming the load.
const shortestInterval = 10 * time.Second

type probeCmd struct {
	source
	Directory  string        `help:"Probe this ACME directory instead of a configuration's, from any machine." placeholder:"URL"`
	ESTURL     string        `name:"est-url" help:"Probe this EST endpoint instead of a configuration's: the address without the operation." placeholder:"URL"`
	SCEPURL    string        `name:"scep-url" help:"Probe this SCEP endpoint instead of a configuration's: the address without a query." placeholder:"URL"`
	Endpoint   []string      `help:"Probe only these endpoints of the configuration; may be repeated. Default: all." placeholder:"ID"`
	Root       []string      `help:"Trust anchors that certificates must chain to, PEM; may be repeated. With --dev: its own." type:"path" placeholder:"FILE"`
	TLSRoot    []string      `name:"tls-root" help:"Further trust anchors of the gateway's TLS certificate, beside the system's and --root." type:"path" placeholder:"FILE"`
	Name       []string      `help:"DNS name to enroll, which must lead to this machine; may be repeated. With --dev: test.localhost." placeholder:"NAME"`
	HTTP01     string        `name:"http-01" help:"Address to answer http-01 at. Default: the port that the configuration asks, else :80." placeholder:"HOST:PORT"`
	TLSALPN01  string        `name:"tls-alpn-01" help:"Answer tls-alpn-01 at this address instead." placeholder:"HOST:PORT"`
	EABKID     string        `name:"eab-kid" help:"Key identifier of an external account." placeholder:"KEYID"`
	EABKeyFile string        `name:"eab-key-file" help:"File that has its HMAC key, in base64url." type:"path" placeholder:"FILE"`
	AccountKey string        `name:"account-key" help:"File of the account's key, made where there is none. Default: a new account for each start." type:"path" placeholder:"FILE"`
	ESTUser    string        `name:"est-user" help:"User name for EST endpoints, of a credential for many uses. With --dev: its own." placeholder:"NAME"`
	ESTPwFile  string        `name:"est-password-file" help:"File that has its password." type:"path" placeholder:"FILE"`
	SCEPSecret string        `name:"scep-secret-file" help:"File that has the challengePassword for SCEP endpoints, good for many uses. With --dev: its own." type:"path" placeholder:"FILE"`
	Renew      bool          `help:"Renew EST and SCEP certificates by themselves, too, where the endpoint lets them." default:"true" negatable:""`
	Revoke     bool          `help:"Revoke the certificate at the end and see it revoked, where the protocol has that (ACME)."`
	Patience   time.Duration `help:"How long a revocation may take to be seen." default:"30s"`
	Timeout    time.Duration `help:"Bound of one endpoint's run." default:"2m"`
	Interval   time.Duration `help:"Probe again and again, this often; at least 10s." placeholder:"DURATION"`
	Listen     string        `help:"With --interval: serve metrics to Prometheus at this address, in plain http under /metrics." placeholder:"HOST:PORT"`
	Metrics    string        `help:"Write metrics to this file after each round, for node_exporter's textfile collector." type:"path" placeholder:"FILE"`
	JSON       bool          `name:"json" help:"Print JSON: a list, or with --interval a line for each run."`
}

// canary is what the command line comes to.
type canary struct {
	targets []probe.Target
	options probe.Options
	timeout time.Duration
	metrics *probe.Metrics
	file    string // of metrics, or empty
	json    bool
	console
}

// Run probes once, or until it is stopped. Once, a failure is exit code 1.
func (cmd *probeCmd) Run(c console) error {
	if err := cmd.check(); err != nil {
		return err
	}
	p, err := cmd.prepare(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if cmd.Interval > 0 {
		return p.watch(ctx, cmd.Interval, cmd.Listen)
	}
	results := p.round(ctx)
	if p.json {
		out := json.NewEncoder(c.out)
		out.SetIndent("", "  ")
		if err := out.Encode(results); err != nil {
			return err
		}
	}
	if err := p.write(); err != nil {
		return err
	}
	for _, r := range results {
		if !r.OK {
			err = errSaid
		}
	}
	return err
}

// check says what cannot be meant.
func (cmd *probeCmd) check() error {
	switch {
	case cmd.Directory != "" && (cmd.Dev || cmd.Config != "" || len(cmd.Endpoint) > 0):
		return fmt.Errorf("%w: --directory stands instead of --config, --dev and --endpoint", errUsage)
	case cmd.ESTURL != "" && (cmd.Dev || cmd.Config != "" || len(cmd.Endpoint) > 0):
		return fmt.Errorf("%w: --est-url stands instead of --config, --dev and --endpoint", errUsage)
	case cmd.SCEPURL != "" && (cmd.Dev || cmd.Config != "" || len(cmd.Endpoint) > 0):
		return fmt.Errorf("%w: --scep-url stands instead of --config, --dev and --endpoint", errUsage)
	case (cmd.ESTUser == "") != (cmd.ESTPwFile == ""):
		return fmt.Errorf("%w: --est-user and --est-password-file belong together", errUsage)
	case (cmd.EABKID == "") != (cmd.EABKeyFile == ""):
		return fmt.Errorf("%w: --eab-kid and --eab-key-file belong together", errUsage)
	case cmd.HTTP01 != "" && cmd.TLSALPN01 != "":
		return fmt.Errorf("%w: give --http-01 or --tls-alpn-01, not both", errUsage)
	case cmd.Interval == 0 && cmd.Listen != "":
		return fmt.Errorf("%w: --listen serves what --interval measures; give both, or --metrics FILE", errUsage)
	case cmd.Interval != 0 && cmd.Interval < shortestInterval:
		return fmt.Errorf("%w: --interval is at least %s", errUsage, shortestInterval)
	case cmd.Timeout <= 0 || cmd.Patience <= 0:
		return fmt.Errorf("%w: --timeout and --patience are longer than 0", errUsage)
	case !cmd.Dev && len(cmd.Root) == 0:
		return fmt.Errorf("%w: give the root that certificates must chain to by --root FILE", errUsage)
	case !cmd.Dev && len(cmd.Name) == 0:
		return fmt.Errorf("%w: give a DNS name that leads to this machine by --name", errUsage)
	}
	return nil
}

// round probes every target once, one after the other: they share the address
// that challenges are answered at.
func (p *canary) round(ctx context.Context) []*probe.Result {
	results := []*probe.Result{}
	for i := range p.targets {
		bounded, cancel := context.WithTimeout(ctx, p.timeout)
		r := probe.Run(bounded, &p.targets[i], &p.options)
		cancel()
		if ctx.Err() != nil { // stopped: it says nothing about the gateway
			return results
		}
		p.metrics.Record(r)
		results = append(results, r)
		p.print(r)
	}
	return results
}

// watch probes until ctx ends.
func (p *canary) watch(ctx context.Context, interval time.Duration, address string) error {
	failed := make(chan error, 1)
	if address != "" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("cannot serve metrics; give another address by --listen: %w", err)
		}
		routes := http.NewServeMux()
		routes.Handle("GET /metrics", p.metrics.Handler())
		s := &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		defer s.Close() // scrapes need no goodbye
		go func() { failed <- s.Serve(l) }()
		fmt.Fprintf(p.err, "metrics: http://%s/metrics\n", l.Addr())
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		results := p.round(ctx)
		if p.json {
			out := json.NewEncoder(p.out)
			for _, r := range results {
				if err := out.Encode(r); err != nil {
					return err
				}
			}
		}
		if err := p.write(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("metrics are not served any more: %w", err)
		case <-tick.C:
		}
	}
}

// write puts the metrics into their file.
func (p *canary) write() error {
	if p.file == "" {
		return nil
	}
	if err := p.metrics.WriteFile(p.file); err != nil {
		return fmt.Errorf("cannot write the metrics: %w", err)
	}
	return nil
}

// print shows a run: with --json only what failed, on stderr.
func (p *canary) print(r *probe.Result) {
	if !p.json {
		fmt.Fprintf(p.out, "%s  %s\n", r.Endpoint, r.URL)
	}
	for _, s := range r.Steps {
		if !p.json {
			word := "ok"
			if s.Error != "" {
				word = "FAIL"
			}
			line := fmt.Sprintf("  %-4s  %-10s %7.0f ms  %s", word, s.Step, s.Seconds*1000, printable(s.Note))
			fmt.Fprintln(p.out, strings.TrimRight(line, " "))
		}
		if s.Error != "" {
			fmt.Fprintf(p.err, "%s: %s: %s\n  %s\n", r.Endpoint, s.Step, printable(s.Error), s.Do)
		}
	}
	if !p.json && r.Serial != "" {
		fmt.Fprintf(p.out, "        %-10s %7.0f ms  certificate %s\n", "in all", r.Seconds*1000, r.Serial)
	}
}

var errNothing = errors.New("nothing to probe: the configuration has no endpoint of a door that can be probed; give --directory, --est-url or --scep-url, or other --endpoint ids")
