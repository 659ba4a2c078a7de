package admin

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

const (
	shortestPeriod = time.Minute
	longestPeriod  = 366 * 24 * time.Hour
	maxExplanation = 512 // octets
)

// AskRenewal sets the renewal windows (RFC 9773) of one page of a selection: each
// is an eighth of the period from one time to another, and they are spread over it
// by serial number. A certificate that is revoked already needs none, since its
// window is past; expired ones get none. One audit row a tenant and page names
// the job, the period and how many. Errors are those that are about the job.
func AskRenewal(ctx context.Context, r Records, w ca.Renewals, in Bulk, from, until time.Time, explanation string) (*Swept, error) {
	if in.Limit < 1 || in.Limit > MaxBulk || len(in.Selection.Serials) > MaxBulk {
		return nil, ca.Errorf(ca.BadRequest, "a page has 1 to %d certificates", MaxBulk)
	}
	if trace, ok := ParseTrace(in.Job); !ok || trace != in.Job {
		return nil, ca.Errorf(ca.BadRequest, "%q is not the id of a job: 10 letters and digits", clip(in.Job))
	}
	if period := until.Sub(from); period < shortestPeriod || period > longestPeriod {
		return nil, ca.Errorf(ca.BadRequest, "certificates are asked to be renewed within 1 minute to 366 days")
	}
	if u, err := url.Parse(explanation); err != nil || len(explanation) > maxExplanation || explanation != "" && (u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return nil, ca.Errorf(ca.BadRequest, "the explanation is the URL of a page, of at most %d octets", maxExplanation)
	}
	part, err := in.Selection.part(ctx, r, in.Page, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &Swept{Failures: append([]Failure{}, part.missing...), Next: part.next}
	windows, seen := map[string][]ca.RenewalWindow{}, map[place]bool{}
	for i := range part.certificates {
		c := &part.certificates[i]
		at := place{c.Tenant, c.CA, c.Serial}
		if c.State == ca.Revoked || !in.Now.Before(c.NotAfter) || seen[at] {
			out.Already++
			continue
		}
		seen[at] = true
		windows[c.Tenant] = append(windows[c.Tenant], windowIn(c, from, until, explanation))
	}
	for _, tenant := range in.Selection.Tenants {
		if len(windows[tenant]) == 0 {
			continue
		}
		actor, err := in.Actor(tenant)
		if err != nil {
			return nil, err
		}
		detail, err := json.Marshal(map[string]any{"certificates": len(windows[tenant]), "from": from.UTC(), "until": until.UTC(), "explanation_url": explanation})
		if err != nil {
			return nil, ca.InternalError(err)
		}
		if err := w.SetRenewalWindows(ctx, tenant, windows[tenant], ca.Audit{Tenant: tenant, Event: "renewal.asked", Actor: actor.ID(), Trace: in.Job, Detail: detail, At: in.Now}); err != nil {
			return nil, err
		}
		out.Changed += len(windows[tenant])
	}
	out.Failed = len(out.Failures)
	out.Matched = out.Changed + out.Already + out.Failed
	return out, nil
}

type place struct {
	tenant, ca string
	serial     ca.Serial
}

// windowIn gives a certificate its part of a period.
func windowIn(c *ca.Certificate, from, until time.Time, explanation string) ca.RenewalWindow {
	width := until.Sub(from) / 8
	start := from.Add(ca.Spread(c.Serial, until.Sub(from)-width)).Truncate(time.Second)
	return ca.RenewalWindow{Tenant: c.Tenant, CA: c.CA, Serial: c.Serial, Start: start.UTC(), End: start.Add(width).Truncate(time.Second).UTC(),
		Explanation: explanation, Expires: c.NotAfter}
}
