package profile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Engine is the core's policy: one validated profile an endpoint.
type Engine struct{ byEndpoint map[string]*Profile }

// NewEngine binds profiles to endpoint ids. An id may serve many endpoints,
// but two different profiles of the same id are an error.
func NewEngine(byEndpoint map[string]*Profile) (*Engine, error) {
	byID := map[string]*Profile{}
	for endpoint, p := range byEndpoint {
		if p == nil {
			return nil, fmt.Errorf("profile: endpoint %s has no profile", endpoint)
		}
		if other, ok := byID[p.id]; ok && other.hash != p.hash {
			return nil, errors.New("profile: two different profiles have the id " + p.id)
		}
		byID[p.id] = p
	}
	return &Engine{maps.Clone(byEndpoint)}, nil
}

// Profiles lists the bound profiles by id, each once: what the store keeps
// before anything is issued.
func (e *Engine) Profiles() []*Profile {
	all := slices.SortedFunc(maps.Values(e.byEndpoint), func(a, b *Profile) int { return strings.Compare(a.id, b.id) })
	return slices.CompactFunc(all, func(a, b *Profile) bool { return a.id == b.id })
}

// Decide implements ca.Policy. An endpoint without a profile is Denied:
// nothing is issued until one is bound.
func (e *Engine) Decide(at *ca.Endpoint, r *ca.Request, issuer *ca.Facts, now time.Time) (*ca.Decision, error) {
	p, err := e.find(at)
	if err != nil {
		return nil, err
	}
	return p.Decide(r, issuer, now)
}

// Permit implements ca.Policy.
func (e *Engine) Permit(at *ca.Endpoint, names []pkix.GeneralName) error {
	p, err := e.find(at)
	if err != nil {
		return err
	}
	return p.Permit(names)
}

// Methods implements ca.Policy.
func (e *Engine) Methods(at *ca.Endpoint, kind claim.Kind) []claim.Method {
	p, err := e.find(at)
	if err != nil {
		return nil
	}
	return p.Methods(kind)
}

func (e *Engine) find(at *ca.Endpoint) (*Profile, error) {
	p, ok := e.byEndpoint[at.ID]
	if !ok || p.id != at.Profile {
		err := ca.Errorf(ca.Denied, "no profile is bound to this endpoint, so nothing is issued here")
		err.Rule = "endpoint " + at.ID
		return nil, err
	}
	return p, nil
}
