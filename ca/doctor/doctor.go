// Package doctor looks an installation over: the store and its durability,
// clocks, keys and tokens, certificates, and what relying parties fetch (CRL,
// OCSP, CA certificates) from the very addresses that certificates name. It only
// reads, and it asks every key for one signature.
//
// Left out: what a running daemon says of itself (that is /readyz and the
// metrics), and enrolling anything.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Status is how a finding is.
type Status string

// What a finding can be. Fail alone makes the whole fail.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Finding is the outcome of one check.
type Finding struct {
	Area   string `json:"area"` // store, clock, replicas, keys, certificates, crl, ocsp, aia
	What   string `json:"what"` // that was looked at
	Status Status `json:"status"`
	Found  string `json:"found"`        // a phrase
	Do     string `json:"do,omitempty"` // what to do about it, a sentence; empty where all is well
}

// Findings are collected in the order of the checks.
type Findings []Finding

// Failed tells whether any finding is a failure.
func (f Findings) Failed() bool {
	for _, one := range f {
		if one.Status == Fail {
			return true
		}
	}
	return false
}

func (f *Findings) add(area, what string, s Status, do, found string, args ...any) {
	if s == OK {
		do = ""
	}
	*f = append(*f, Finding{Area: area, What: what, Status: s, Found: fmt.Sprintf(found, args...), Do: do})
}

// Broken makes the finding of something that the other checks need and that is not there.
func (f *Findings) Broken(area, what, do string, err error) {
	f.add(area, what, Fail, do, "%v", err)
}

// Store is what is asked of the store.
type Store interface {
	Schema(ctx context.Context) (stored, known int64, err error)
	Durability(ctx context.Context) ([]ca.Durability, error)
	Now(ctx context.Context) (time.Time, error)
	Replicas(ctx context.Context, within time.Duration) ([]ca.Replica, error)
	CRLHeads(ctx context.Context) ([]ca.CRLHead, error)
	FindCertificates(ctx context.Context, f *ca.Filter) ([]ca.Certificate, error)
}

// days is a span of time for people.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%.1f hours", d.Hours())
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
