package issuer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Refresh reads the generations again, opens what is new and gives the numbers
// of generations that cannot sign here, by TENANT/CA: their keys do not open,
// or what they need is not there. On an error nothing
// changes.
func (r *Registry) Refresh(ctx context.Context) (closed map[string][]int, err error) {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	was, next := *r.loaded.Load(), map[string]*authority{}
	closed = map[string][]int{}
	for _, b := range r.bindings {
		name := b.Tenant + "/" + b.CA
		generations, err := r.store.Generations(ctx, b.Tenant)
		if err != nil {
			return nil, err
		}
		a := &authority{id: b.CA}
		if a.activations, err = r.store.Activations(ctx, b.Tenant); err != nil {
			return nil, err
		}
		for _, g := range generations {
			if g.CA != b.CA {
				continue
			}
			l := was[name].generation(g.Number)
			if l == nil || l.closed != nil {
				if l, err = r.open(ctx, &g, b); err != nil {
					return nil, err
				}
			}
			if l.closed != nil {
				closed[name] = append(closed[name], g.Number)
			}
			a.all, a.issuers = append(a.all, l), append(a.issuers, l)
		}
		if len(a.all) == 0 {
			return nil, fmt.Errorf("CA %s has no certificate in this store; make one with `enrollgate ca create --tenant %s --ca %s`", name, b.Tenant, b.CA)
		}
		next[name] = a
	}
	r.loaded.Store(&next)
	return closed, nil
}

// open makes an issuer of a generation. One whose key does not open, or is
// another one, still has its certificate and chain, for what it issued.
func (r *Registry) open(ctx context.Context, g *ca.Generation, b Binding) (*Local, error) {
	urls := b.URLs
	if len(urls.AIA) > 0 {
		urls.AIA = []string{urls.AIA[0] + AIAPath(g.Tenant, g.CA, g.Number)}
	}
	key, err := r.ring.Open(ctx, g.KeyURI, b.Secret)
	if err != nil {
		return newLocal(g, nil, urls, fmt.Errorf("key of generation %d: %w", g.Number, err))
	}
	l, err := NewLocal(g, key, urls)
	if err == nil && r.prepare != nil {
		err = r.prepare(ctx, l)
	}
	if err != nil {
		return newLocal(g, nil, urls, err)
	}
	return l, nil
}

// Prepare has f called with every generation that is found, or whose key opens,
// from now on, before anybody else gets it: what its certificates name must be
// there before the first of them. Where f fails the generation is as one whose
// key does not open, and f is asked again. Call it before Follow.
func (r *Registry) Prepare(f func(context.Context, ca.Issuer) error) { r.prepare = f }

// Follow refreshes every period until ctx ends, and logs what cannot sign, once.
func (r *Registry) Follow(ctx context.Context, period time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		closed, err := r.Refresh(ctx)
		state := ""
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			state = err.Error()
		case len(closed) > 0:
			state = fmt.Sprintf("generations %v cannot sign here: %v", closed, r.whyClosed())
		}
		if state != last && state != "" {
			log.Warn("ca.generations", "error", state)
		}
		last = state
	}
}

// whyClosed says why generations cannot sign.
func (r *Registry) whyClosed() error {
	var all []error
	loaded := *r.loaded.Load()
	for _, name := range slices.Sorted(maps.Keys(loaded)) {
		for _, l := range loaded[name].all {
			if l.closed != nil {
				all = append(all, fmt.Errorf("CA %s: %w", name, l.closed))
			}
		}
	}
	return errors.Join(all...)
}
