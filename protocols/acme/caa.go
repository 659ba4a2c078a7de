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
	return e.askCAA(ctx, covered{a.Identifier, a.Wildcard, a}, method)
}

func (e *endpoint) askCAA(ctx context.Context, n covered, method string) error {
	return e.caa.Check(ctx, va.CAAQuestion{Domain: n.identifier.Value, Wildcard: n.wildcard, Method: method, Account: e.accountURL(n.authorization.Account)})
}

// checkCAAAgain asks once more about each name whose last answer is too old, and
// about those that were proven by a name above them: they were never asked about.
func (e *endpoint) checkCAAAgain(ctx context.Context, names []covered, now time.Time) error {
	if e.caa == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, caaWithin)
	defer cancel()
	found := make([]error, len(names))
	slots := make(chan struct{}, caaAtOnce)
	var running sync.WaitGroup
	for i, n := range names {
		if n.identifier.Type != identifierDNS {
			continue
		}
		for _, c := range n.authorization.Challenges {
			if c.Status != state.Valid || now.Sub(c.Validated) < caaLasts && !n.below() {
				continue
			}
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				found[i] = e.askCAA(ctx, n, c.Type)
			})
		}
	}
	running.Wait()
	return caaProblem(names, found)
}

// caaProblem makes one problem of what was found, nil where all may be issued.
func caaProblem(names []covered, found []error) error {
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
		out.Subproblems = append(out.Subproblems, problem{Type: urn + told.Type, Detail: told.Detail, Identifier: &names[i].identifier})
	}
	if out == nil {
		return nil
	}
	return out
}
