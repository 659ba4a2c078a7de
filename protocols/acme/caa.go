package acme

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

// CAAChecker says whether CAA records let this CA issue (RFC 8659).
type CAAChecker interface {
	// Check asks anew. An error that is a *va.Problem is the requester's to read.
	Check(ctx context.Context, q va.CAAQuestion) error
}

const (
	caaLasts  = 8 * time.Hour    // how long an answer counts, as between public CAs
	caaWithin = 30 * time.Second // for all names of one order, while its client waits
	caaAtOnce = 8                // names of one order that are asked about at the same time
)

// checkCAA asks about the name of an authorization that a challenge type has
// just proven. Addresses have no such records (RFC 8738 section 7 names none).
func (e *endpoint) checkCAA(ctx context.Context, a *state.Authorization, method string) error {
	if e.caa == nil || a.Identifier.Type != identifierDNS {
		return nil
	}
	return e.caa.Check(ctx, va.CAAQuestion{Domain: a.Identifier.Value, Wildcard: a.Wildcard, Method: method, Account: e.base + "/account/" + a.Account})
}

// checkCAAAgain asks once more about each name whose last answer is too old.
func (e *endpoint) checkCAAAgain(ctx context.Context, authorizations []*state.Authorization, now time.Time) error {
	if e.caa == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, caaWithin)
	defer cancel()
	found := make([]error, len(authorizations))
	slots := make(chan struct{}, caaAtOnce)
	var running sync.WaitGroup
	for i, a := range authorizations {
		for _, c := range a.Challenges {
			if c.Status != state.Valid || now.Sub(c.Validated) < caaLasts {
				continue
			}
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				found[i] = e.checkCAA(ctx, a, c.Type)
			})
		}
	}
	running.Wait()
	return caaProblem(authorizations, found)
}

// caaProblem makes one problem of what was found, nil where all may be issued.
func caaProblem(authorizations []*state.Authorization, found []error) error {
	var out *problem
	for i, err := range found {
		var told *va.Problem
		if err == nil {
			continue
		}
		if !errors.As(err, &told) {
			return err
		}
		if out == nil {
			out = fail(http.StatusForbidden, told.Type, "%s", told.Detail)
		}
		out.Subproblems = append(out.Subproblems, problem{Type: urn + told.Type, Detail: told.Detail, Identifier: &authorizations[i].Identifier})
	}
	if out == nil {
		return nil
	}
	return out
}
