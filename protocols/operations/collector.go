package operations

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/background"
)

// Sources are read at each scrape; they answer from memory. A nil one is left out.
type Sources struct {
	Store        func() ca.StoreCounters
	Certificates func() []Expiry
	CRLs         func() []CRL
	Foreign      func() []Fetches
	Pulse        func() background.Pulse
	Jobs         func() []background.Status
	Tokens       func() []Token
	Status       func() StatusCounters
	Retention    func() RetentionCounters
	Pending      func() map[string]int64 // requests that wait for an operator, by tenant; nil: not known yet
	Now          func() time.Time        // needed with Certificates and CRLs
}

// StatusCounters say what this replica knows of revocations.
type StatusCounters struct {
	Followed bool          // the feed was read to its end at least once
	Age      time.Duration // since it was
	Known    int           // held and revoked certificates in memory
	Kept     int           // signed OCSP answers in memory
}

// RetentionCounters say what this replica dropped of what expired long ago.
type RetentionCounters struct {
	Months       int64
	Certificates int64 // in them
	Waiting      int   // months that are due and wait for a CRL
}

// Expiry is when a certificate of ours ends.
type Expiry struct {
	Kind     string // "ca" or "own"
	Tenant   string // "" for certificates of the installation
	Name     string // id of the CA, or what the certificate is for
	NotAfter time.Time
}

// CRL is a published certificate revocation list.
type CRL struct {
	Tenant, CA string
	List       string // its scope, with "-delta" where it is one
	NextUpdate time.Time
	Entries    int
}

// Fetches are this replica's fetches of a foreign CA's CRL.
type Fetches struct {
	Tenant, CA               string
	Taken, Unchanged, Failed int64
	Last                     time.Time // that did not fail; zero: none
}

// collector turns sources into metrics.
type collector struct{ sources Sources }

// scraped is a metric that is read at a scrape.
type scraped struct {
	Named
	desc *prometheus.Desc
}

func scrape(name, help string, labels ...string) scraped {
	return scraped{Named{"enrollgate_" + name, labels}, prometheus.NewDesc("enrollgate_"+name, help, labels, nil)}
}

var (
	storeCommits   = scrape("store_commits_total", "Durable commits of the store's shared queue.")
	storeMembers   = scrape("store_members_total", "Writes that were committed in them.")
	storeWaiting   = scrape("store_queue_waiting", "Writes that wait for a commit now.")
	storeFailures  = scrape("store_write_failures_total", "Writes that the store could not take; nothing of them was recorded.")
	notesDropped   = scrape("audit_notes_dropped_total", "Audit rows of refusals that were not written.")
	daysLeft       = scrape("certificate_days_left", "Days until a certificate of the gateway or of a CA ends; negative after.", "kind", "tenant", "name")
	crlLeft        = scrape("crl_left_seconds", "Time until a published CRL ends; negative after.", "tenant", "ca", "list")
	crlEntries     = scrape("crl_entries", "Entries of a published CRL.", "tenant", "ca", "list")
	fetches        = scrape("foreign_crl_fetches_total", "Fetches of a foreign CA's CRL by this replica.", "tenant", "ca", "outcome")
	lastFetch      = scrape("foreign_crl_last_fetch_timestamp_seconds", "When this replica last fetched a foreign CA's CRL without error.", "tenant", "ca")
	replicas       = scrape("replicas", "Replicas that run on this store, this one included.")
	configDiffers  = scrape("replicas_config_differs", "Replicas with another configuration than this one.")
	schemaDiffers  = scrape("replicas_schema_differs", "Replicas whose program knows another version of the tables.")
	clockSkew      = scrape("clock_skew_seconds", "The store's clock minus this machine's.")
	lastBeat       = scrape("store_last_beat_timestamp_seconds", "When the store took this replica's last heartbeat.")
	statusAge      = scrape("status_age_seconds", "Time since the status feed was last read to its end.")
	statusKnown    = scrape("status_known", "Held and revoked certificates that this replica has in memory.")
	ocspKept       = scrape("ocsp_kept_answers", "Signed OCSP answers that this replica has in memory.")
	monthsDropped  = scrape("retention_months_dropped_total", "Months of expired certificates that this replica dropped.")
	certsDropped   = scrape("retention_certificates_dropped_total", "Certificates in them.")
	monthsWaiting  = scrape("retention_months_waiting", "Months that were due at this replica's last look and wait for a CRL.")
	pendingWaits   = scrape("requests_pending", "Requests that wait for an operator's approval.", "tenant")
	leaseHeld      = scrape("background_lease_held", "1 where this replica holds the lease of a job.", "job")
	backgroundRuns = scrape("background_runs_total", "Runs of a job on this replica.", "job", "outcome")
	backgroundLast = scrape("background_last_run_timestamp_seconds", "When a job last ran without error on this replica.", "job")
)

// everyScraped lists them all.
var everyScraped = []scraped{storeCommits, storeMembers, storeWaiting, storeFailures, notesDropped, daysLeft, crlLeft, crlEntries, fetches, lastFetch, replicas,
	configDiffers, schemaDiffers, clockSkew, lastBeat, statusAge, statusKnown, ocspKept, monthsDropped, certsDropped, monthsWaiting, pendingWaits, leaseHeld, backgroundRuns, backgroundLast,
	tokenWorkers, tokenLogins, tokenLapses, tokenRestarts}

// Describe implements prometheus.Collector.
func (*collector) Describe(out chan<- *prometheus.Desc) {
	for _, s := range everyScraped {
		out <- s.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	send := func(s scraped, t prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(s.desc, t, v, labels...)
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	s := c.sources
	if s.Store != nil {
		n := s.Store()
		send(storeCommits, counter, float64(n.Commits))
		send(storeMembers, counter, float64(n.Members))
		send(storeWaiting, gauge, float64(n.Waiting))
		send(storeFailures, counter, float64(n.Failed))
		send(notesDropped, counter, float64(n.NotesOut))
	}
	if s.Certificates != nil {
		now := s.Now()
		for _, e := range s.Certificates() {
			send(daysLeft, gauge, e.NotAfter.Sub(now).Hours()/24, e.Kind, e.Tenant, e.Name)
		}
	}
	if s.CRLs != nil {
		now := s.Now()
		for _, l := range s.CRLs() {
			send(crlLeft, gauge, l.NextUpdate.Sub(now).Seconds(), l.Tenant, l.CA, l.List)
			send(crlEntries, gauge, float64(l.Entries), l.Tenant, l.CA, l.List)
		}
	}
	if s.Foreign != nil {
		for _, f := range s.Foreign() {
			send(fetches, counter, float64(f.Taken), f.Tenant, f.CA, "taken")
			send(fetches, counter, float64(f.Unchanged), f.Tenant, f.CA, "unchanged")
			send(fetches, counter, float64(f.Failed), f.Tenant, f.CA, "failed")
			if !f.Last.IsZero() {
				send(lastFetch, gauge, seconds(f.Last), f.Tenant, f.CA)
			}
		}
	}
	if s.Pulse != nil {
		if p := s.Pulse(); !p.At.IsZero() { // before the first beat nothing is known
			send(replicas, gauge, float64(p.Alive))
			send(configDiffers, gauge, float64(p.Differ))
			send(schemaDiffers, gauge, float64(p.Schemas))
			send(clockSkew, gauge, p.Skew.Seconds())
			send(lastBeat, gauge, seconds(p.At))
		}
	}
	if s.Tokens != nil {
		collectTokens(s.Tokens(), send)
	}
	if s.Status != nil {
		if n := s.Status(); n.Followed {
			send(statusAge, gauge, n.Age.Seconds())
			send(statusKnown, gauge, float64(n.Known))
			send(ocspKept, gauge, float64(n.Kept))
		}
	}
	if s.Retention != nil {
		n := s.Retention()
		send(monthsDropped, counter, float64(n.Months))
		send(certsDropped, counter, float64(n.Certificates))
		send(monthsWaiting, gauge, float64(n.Waiting))
	}
	if s.Pending != nil {
		for tenant, n := range s.Pending() {
			send(pendingWaits, gauge, float64(n), tenant)
		}
	}
	if s.Jobs != nil {
		for _, j := range s.Jobs() {
			held := 0.0
			if j.Held {
				held = 1
			}
			send(leaseHeld, gauge, held, j.Job)
			send(backgroundRuns, counter, float64(j.Runs), j.Job, "done")
			send(backgroundRuns, counter, float64(j.Failed), j.Job, "failed")
			if !j.LastRun.IsZero() {
				send(backgroundLast, gauge, seconds(j.LastRun), j.Job)
			}
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
