package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// job is what one flow asks for, made before the clock starts.
type job struct{ name, csr string }

// run numbers make names unique in this process, the start makes them so among processes.
var (
	started = strconv.FormatInt(time.Now().UnixMilli(), 36)
	made    atomic.Int64
)

// newJobs makes a fresh P-256 key for each flow, and a fresh name, or the next of
// names. Requests are DER in that form of base64.
func newJobs(n int, names []string, text *base64.Encoding) ([]job, error) {
	jobs := make([]job, n)
	for i := range jobs {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("h%s-%d.bench.example", started, made.Add(1))
		if len(names) > 0 {
			name = names[i%len(names)]
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{}, DNSNames: []string{name}}, key)
		if err != nil {
			return nil, err
		}
		jobs[i] = job{name, text.EncodeToString(der)}
	}
	return jobs, nil
}

// load says how much to do: a number of flows or a time, whichever ends first.
type load struct {
	flows int
	time  time.Duration // zero: no bound but flows
	fresh bool          // a new connection for each flow
	flow  flow
}

// done is what was achieved.
type done struct {
	flows     int
	elapsed   time.Duration
	latencies []time.Duration // in rising order
}

func (d done) percentile(p float64) float64 {
	if len(d.latencies) == 0 {
		return 0
	}
	return float64(d.latencies[int(p*float64(len(d.latencies)-1))]) / float64(time.Millisecond)
}

// run has every client go through flows, one after the other, until the load is
// done: client i of n takes the jobs i, i+n, i+2n. The first error ends it: a flow
// that fails is a bug, not a figure.
func (s *site) run(ctx context.Context, clients []client, l load) (d done, err error) {
	jobs, err := l.flow.jobs(l.flows, clients)
	if err != nil {
		return d, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wait sync.WaitGroup
	times := make([][]time.Duration, len(clients))
	begin := time.Now()
	for i, c := range clients {
		wait.Go(func() {
			for n := i; n < len(jobs) && ctx.Err() == nil && (l.time == 0 || time.Since(begin) < l.time); n += len(clients) {
				from := time.Now()
				if l.fresh {
					c.at().wire.hangUp()
				}
				if err := l.flow.do(c, jobs[n], s.answers); err != nil {
					stop(fmt.Errorf("%s %s: %w", l.flow.name, jobs[n].name, err))
					return
				}
				times[i] = append(times[i], time.Since(from))
			}
		})
	}
	wait.Wait()
	d.elapsed = time.Since(begin)
	for _, t := range times {
		d.latencies = append(d.latencies, t...)
	}
	slices.Sort(d.latencies)
	d.flows = len(d.latencies)
	if err := context.Cause(ctx); err != nil {
		return d, err
	}
	if d.flows == 0 {
		return d, errors.New("no flow came to its end in time")
	}
	return d, nil
}
