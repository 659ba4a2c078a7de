package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/background"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/ca/status/crl"
	"github.com/enrollgate/enrollgate/ca/status/foreign"
	"github.com/enrollgate/enrollgate/protocols/operations"
)

// observe makes the metrics. What they read at a scrape is made later.
func (d *daemon) observe() (err error) {
	d.metrics, err = operations.NewMetrics(operations.Sources{
		Store:        d.store.Counters,
		Certificates: d.expiries,
		CRLs:         func() []operations.CRL { return append(d.publishedCRLs(), d.foreignLists()...) },
		Foreign:      d.foreignFetches,
		Pulse:        func() background.Pulse { return d.heartbeat.Pulse() },
		Status:       d.statusCounters,
		Jobs:         func() []background.Status { return d.upkeep.Status() },
		Tokens:       d.tokenStatus,
		Retention:    d.retentionCounters,
		Pending:      d.pendingCounts,
		Now:          time.Now,
	}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return err
}

// tokenStatus asks the tokens' workers what they do.
func (d *daemon) tokenStatus() (all []operations.Token) {
	for _, s := range d.tokens.Status() {
		all = append(all, operations.Token{Label: s.Token, Serial: s.Serial, Module: s.Module, Workers: s.Workers, Lost: s.Lost,
			Accepted: s.Logins, Refused: s.Refused, Lapses: s.Lapses, ModuleRestarts: s.Restarts})
	}
	return all
}

const (
	leaseTime    = time.Minute
	ordersKept   = 7 * 24 * time.Hour // how long invalid orders stay for questions
	replicasKept = 24 * time.Hour
)

// startUpkeep beats once, so that a clock that is off is known before anything
// is answered, and then goes on in the background.
func (d *daemon) startUpkeep(ctx context.Context) error {
	_, schema, err := d.store.Schema(ctx)
	if err != nil {
		return err
	}
	self := ca.Replica{ID: d.replica, Started: time.Now(), Config: d.cfg.Digest(), Schema: schema, Version: programVersion()}
	if d.heartbeat, err = background.NewHeartbeat(d.store, self, d.log); err != nil {
		return err
	}
	jobs := []background.Job{
		background.Sweep("sweep", time.Minute, d.store.SweepNonces, d.store.SweepIdempotency, d.store.EndOrders, d.store.SweepRenewals, d.store.SweepRates, d.store.RemovePreauthorizations,
			func(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
				return d.store.SweepCredentials(ctx, l, credential.Kept, limit)
			},
			func(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
				return d.store.RemoveOrders(ctx, l, ordersKept, limit)
			},
			func(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
				return d.store.ForgetReplicas(ctx, l, replicasKept, limit)
			},
			d.store.SweepUnique, d.store.SweepReplies,
			func(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
				return d.store.SweepPending(ctx, l, requestsKept, limit)
			}),
		background.Months(d.store),
		d.retentionJob(),
		d.approvalsJob(),
		d.supersededJob(),
	}
	if d.lists != nil {
		jobs = append(jobs, background.Job{Name: "crl", Every: crl.Pulse, Run: d.lists.Run})
		d.working.Go(func() { d.shelf.Follow(d.background) })
	}
	if d.importer != nil {
		jobs = append(jobs, background.Job{Name: "foreign", Every: foreign.Every, Run: d.importer.Run})
	}
	d.upkeep, err = background.New(background.Options{Leases: d.store, Holder: d.replica, TTL: leaseTime, Log: d.log, Jobs: jobs})
	if err != nil {
		return err
	}
	d.heartbeat.Beat(ctx)
	d.working.Go(func() { d.heartbeat.Run(d.background) })
	d.working.Go(func() { d.upkeep.Run(d.background) })
	d.working.Go(func() { d.countPending(d.background) })
	return nil
}

// programVersion is the version that the Go toolchain stamped.
func programVersion() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		return b.Main.Version
	}
	return "unknown"
}

// expiries lists when our certificates end.
func (d *daemon) expiries() (all []operations.Expiry) {
	if leaf := d.ownLeaf(); leaf != nil {
		all = append(all, operations.Expiry{Kind: "own", Name: "tls", NotAfter: leaf.NotAfter})
	}
	for _, r := range d.responders {
		if end := r.NotAfter(); !end.IsZero() {
			all = append(all, operations.Expiry{Kind: "own", Tenant: r.Tenant, Name: "ocsp/" + r.CA, NotAfter: end})
		}
	}
	for _, r := range d.ras {
		if end := r.NotAfter(); !end.IsZero() {
			all = append(all, operations.Expiry{Kind: "own", Tenant: r.Tenant, Name: service.RAName + "/" + r.CA, NotAfter: end})
		}
	}
	for _, f := range d.foreign {
		all = append(all, operations.Expiry{Kind: "foreign", Tenant: f.Tenant, Name: "ocsp/" + f.ID, NotAfter: f.delegate.NotAfter()})
	}
	for _, c := range d.cfg.CAs {
		if i, err := d.issuers.Issuer(c.Tenant, c.ID); err == nil { // every CA of the configuration was opened at start
			all = append(all, operations.Expiry{Kind: "ca", Tenant: c.Tenant, Name: c.ID, NotAfter: i.Facts().NotAfter})
		}
	}
	return all
}

// ownLeaf is the TLS certificate in use, nil where there is no https listener.
func (d *daemon) ownLeaf() *x509.Certificate {
	if d.tls == nil {
		return nil
	}
	c, err := d.tls.Certificate(&tls.ClientHelloInfo{})
	if err != nil {
		return nil
	}
	return c.Leaf
}

// checks are the conditions of /readyz.
func (d *daemon) checks() []operations.Check {
	probe := &keyProbe{sign: d.signProbe}
	return []operations.Check{
		{Name: "store", Try: d.checkStore},
		{Name: "writes", Try: d.checkWrites},
		{Name: "clock", Try: d.checkClock},
		{Name: "schema", Try: d.checkSchema},
		{Name: "certificates", Try: d.checkCertificates},
		{Name: "crls", Try: d.checkCRLs},
		{Name: "keys", Try: probe.try},
		{Name: "replicas", Try: d.checkReplicas},
		{Name: "status", Try: func(ctx context.Context) (string, error) { return d.view.Check(ctx) }},
	}
}

func (d *daemon) checkStore(ctx context.Context) (string, error) {
	if _, err := d.store.Now(ctx); err != nil {
		return "", err
	}
	if u, ok := d.store.(interface{ Unsafe() string }); ok && u.Unsafe() != "" {
		return "the durability of the store was not proven; accepted because: " + u.Unsafe(), nil
	}
	return "", nil
}

func (d *daemon) checkWrites(context.Context) (string, error) {
	p := d.heartbeat.Pulse()
	switch {
	case p.At.IsZero():
		return "", ca.Errorf(ca.Unavailable, "the store has taken no heartbeat of this replica yet")
	case time.Since(p.At) > background.AliveFor:
		return "", ca.Errorf(ca.Unavailable, "the store has taken no write since %s", p.At.UTC().Format(time.RFC3339))
	case p.Err != nil:
		return "the last heartbeat failed", nil
	}
	return d.checkQueue(d.store.Counters())
}

// checkQueue looks at what clients wrote. A database whose disk is full may
// still take a heartbeat, which only changes a row that is there. Once nobody
// tries to write any more nothing is known, and the replica is ready again.
func (d *daemon) checkQueue(c ca.StoreCounters) (string, error) {
	switch {
	case c.FailingSince.IsZero() || time.Since(c.LastFailed) > background.AliveFor:
		return "", nil
	case c.LastFailed.Sub(c.FailingSince) >= background.AliveFor:
		return "", ca.Errorf(ca.Unavailable, "the store has refused every write of clients since %s", c.FailingSince.UTC().Format(time.RFC3339))
	}
	return "the last write of a client failed", nil
}

func (d *daemon) checkClock(context.Context) (string, error) {
	switch skew := d.heartbeat.Pulse().Skew; {
	case skew.Abs() > background.SkewRefused:
		return "", ca.Errorf(ca.Unavailable, "the clocks of this machine and the store are %v apart; set them", skew.Round(time.Second))
	case skew.Abs() > background.SkewNoted:
		return fmt.Sprintf("the clocks of this machine and the store are %v apart", skew.Round(100*time.Millisecond)), nil
	}
	return "", nil
}

func (d *daemon) checkSchema(ctx context.Context) (string, error) {
	stored, known, err := d.store.Schema(ctx)
	switch {
	case err != nil:
		return "", err
	case stored < known:
		return "", ca.Errorf(ca.Unavailable, "the store's tables have version %d, this program needs %d; run `enrollgate migrate`", stored, known)
	case stored > known:
		return fmt.Sprintf("the store's tables have version %d, this program knows %d; install the newer program here, too", stored, known), nil
	}
	return "", nil
}

// soon is when an expiring certificate is worth a warning.
const soon = 7 * 24 * time.Hour

func (d *daemon) checkCertificates(context.Context) (warning string, err error) {
	if d.sockets["https"] != nil && d.ownLeaf() == nil {
		return "", ca.Errorf(ca.Unavailable, "the gateway has no TLS certificate")
	}
	for _, e := range d.expiries() {
		name := "the gateway's certificate for " + e.Name
		if e.Kind == "ca" {
			name = "the certificate of CA " + e.Tenant + "/" + e.Name
		}
		if e.Kind == "foreign" { // whoever asks about that CA is told to try later
			name = "the OCSP certificate that foreign CA " + e.Tenant + "/" + strings.TrimPrefix(e.Name, "ocsp/") + " issued"
		}
		switch left := time.Until(e.NotAfter); {
		case left < soon && e.Kind == "foreign":
			warning = fmt.Sprintf("%s ends at %s", name, e.NotAfter.UTC().Format(time.RFC3339))
		case left <= 0:
			return "", ca.Errorf(ca.Unavailable, "%s ended at %s", name, e.NotAfter.UTC().Format(time.RFC3339))
		case left < soon && e.Kind == "ca":
			warning = fmt.Sprintf("%s ends at %s", name, e.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return warning, nil
}

func (d *daemon) checkReplicas(context.Context) (string, error) {
	if p := d.heartbeat.Pulse(); p.Differ > 0 {
		return fmt.Sprintf("%d of %d replicas run another configuration", p.Differ, p.Alive), nil
	}
	return "", nil
}

// probeText cannot be taken for the to-be-signed part of anything: those begin
// with the octet 0x30.
var probeText = []byte("enrollgate readiness: the key of this CA answers")

func (d *daemon) signProbe(ctx context.Context) error {
	for _, c := range d.cfg.CAs {
		i, err := d.issuers.Issuer(c.Tenant, c.ID)
		if err == nil {
			_, err = i.Sign(ctx, ca.LaneStatus, probeText)
		}
		if err != nil {
			return ca.Wrap(ca.Unavailable, err, fmt.Sprintf("the key of CA %s/%s does not answer", c.Tenant, c.ID))
		}
	}
	return nil
}

// keyProbe asks the keys again once their last answer is probeEvery old, or was
// none, however often it is asked itself.
type keyProbe struct {
	sign func(context.Context) error
	mu   sync.Mutex
	at   time.Time // of their last answer
}

const probeEvery = 30 * time.Second

func (p *keyProbe) try(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() || time.Since(p.at) >= probeEvery {
		if err := p.sign(ctx); err != nil {
			return "", err
		}
		p.at = time.Now()
	}
	return "", nil
}
