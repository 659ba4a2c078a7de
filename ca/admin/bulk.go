package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// MaxBulk bounds the certificates of one page of a bulk change of status.
const MaxBulk = 500

// atOnce is how many changes of a page wait for the store together: those that
// do share commits.
const atOnce = 64

// Bulk asks to change the status of many certificates, a page at a time.
type Bulk struct {
	Selection Selection
	Reason    ca.Reason
	Invalid   time.Time // as Revocation.Invalid; for a certificate that begins later, its begin
	Proof     *pkix.CSR // nil: none
	Job       string    // trace id of every audit row of the job, in the form of ca.NewTrace
	Actor     func(tenant string) (caller.Caller, error)
	Now       time.Time
	Page      string // Tally.Next of the page before; empty: the first
	Limit     int    // 1 to MaxBulk
}

// Tally is what came of a page, or of a whole job.
type Tally struct {
	Matched int `json:"matched"` // certificates that were selected, and named ones that there are not
	Changed int `json:"changed"`
	Already int `json:"already"` // were so before, or are revoked for good where a hold was asked for or released
	Failed  int `json:"failed"`
}

// Add sums up pages.
func (t *Tally) Add(o Tally) {
	t.Matched, t.Changed, t.Already, t.Failed = t.Matched+o.Matched, t.Changed+o.Changed, t.Already+o.Already, t.Failed+o.Failed
}

// Swept is the answer to a Bulk.
type Swept struct {
	Tally
	Failures []Failure `json:"failures"`
	Next     string    `json:"next,omitempty"` // where the next page begins; empty after the last
}

// Sweep changes the status of one page of certificates: each in a transaction of
// its own as far as anybody can tell, many in one commit, each with its audit row.
// What is so already is counted, so that a job which was cut off is repeated as it
// is. Errors: those of Revoke that are about the job; what is about one
// certificate is in Failures.
func Sweep(ctx context.Context, r Records, a Revoker, in Bulk) (*Swept, error) {
	if in.Limit < 1 || in.Limit > MaxBulk || len(in.Selection.Serials) > MaxBulk {
		return nil, ca.Errorf(ca.BadRequest, "a page has 1 to %d certificates", MaxBulk)
	}
	if trace, ok := ParseTrace(in.Job); !ok || trace != in.Job {
		return nil, ca.Errorf(ca.BadRequest, "%q is not the id of a job: 10 letters and digits", clip(in.Job))
	}
	if in.Invalid.After(in.Now) {
		return nil, ca.Errorf(ca.BadRequest, "the invalidity date must not be later than now")
	}
	actors := map[string]caller.Caller{}
	for _, tenant := range in.Selection.Tenants {
		actor, err := in.Actor(tenant)
		if err != nil {
			return nil, err
		}
		actors[tenant] = actor
	}
	part, err := in.Selection.part(ctx, r, in.Page, in.Limit)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(part.certificates))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range part.certificates {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = in.change(ctx, a, &part.certificates[i], actors)
		})
	}
	all.Wait()
	out := &Swept{Failures: slices.Clip(append([]Failure{}, part.missing...)), Next: part.next}
	for i, err := range errs {
		c := &part.certificates[i]
		switch {
		case err == nil:
			out.Changed++
		case ca.IsKind(err, ca.Conflict):
			out.Already++
		default:
			out.Failures = append(out.Failures, failureOf(c.Tenant, c.CA, c.Serial, err))
		}
	}
	out.Failed = len(out.Failures)
	out.Matched = out.Changed + out.Already + out.Failed
	return out, nil
}

// change changes one certificate; Conflict where it is so already.
func (in *Bulk) change(ctx context.Context, a Revoker, c *ca.Certificate, actors map[string]caller.Caller) error {
	if c.State == ca.Revoked && in.Reason != ca.KeyCompromise && in.Reason != ca.CACompromise {
		return ca.Errorf(ca.Conflict, "the certificate is revoked already")
	}
	invalid := in.Invalid
	if !invalid.IsZero() && invalid.Before(c.NotBefore) {
		invalid = c.NotBefore
	}
	_, err := a.Revoke(ctx, &ca.RevokeRequest{Trace: in.Job, Tenant: c.Tenant, CA: c.CA, Serial: c.Serial, Reason: in.Reason,
		Invalid: invalid, Caller: actors[c.Tenant], Proof: in.Proof, Again: true})
	return err
}
