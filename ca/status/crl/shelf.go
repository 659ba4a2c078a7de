package crl

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Shelf holds the newest lists for serving, as bytes.
type Shelf struct {
	store    ca.CRLs
	settings map[string]Settings // by TENANT/CA
	log      *slog.Logger

	mu      sync.RWMutex
	lists   map[place]*Published
	heads   map[place]ca.CRLHead // where scopes stand
	current map[string]int       // newest generation, by TENANT/CA
	shards  map[place]int        // highest shard, by the scope of the complete list
}

// place is an address: tenant, CA, and a scope or a scope with "-delta".
type place struct{ tenant, ca, name string }

const deltaSuffix = "-delta"

// Published is a list on the shelf. It does not change.
type Published struct {
	*ca.CRL
	ETag  string    // quoted
	Fresh time.Time // when the next list is expected
}

// NewShelf makes an empty shelf; settings are by TENANT/CA.
func NewShelf(store ca.CRLs, settings map[string]Settings, log *slog.Logger) *Shelf {
	return &Shelf{store: store, settings: settings, log: log, lists: map[place]*Published{}, heads: map[place]ca.CRLHead{}, current: map[string]int{}, shards: map[place]int{}}
}

// Find gives the list that is published as the last segment of an address,
// without ".crl": a scope, a scope with "-delta", or "crl" for the complete
// list of the CA's newest generation; nil where there is none.
func (s *Shelf) Find(tenant, issuer, name string) *Published {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if name == "crl" {
		name = ca.CRLScope(s.current[tenant+"/"+issuer], 0)
	}
	return s.lists[place{tenant, issuer, name}]
}

// All gives every list on the shelf, by tenant, CA, scope and kind.
func (s *Shelf) All() []*Published {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*Published
	for _, p := range s.lists {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Published) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.CA, b.CA), strings.Compare(a.Scope, b.Scope), cmp.Compare(min(a.Base, 1), min(b.Base, 1)))
	})
	return all
}

// Refresh puts newer lists on the shelf.
func (s *Shelf) Refresh(ctx context.Context) error {
	heads, err := s.store.CRLHeads(ctx)
	if err != nil {
		return err
	}
	for _, h := range heads {
		if strings.HasPrefix(h.Scope, ca.ForeignCRLPrefix) {
			continue
		}
		s.mu.Lock()
		s.heads[place{h.Tenant, h.CA, h.Scope}] = h
		s.mu.Unlock()
		for name, number := range map[string]int64{h.Scope: h.Complete, h.Scope + deltaSuffix: h.Delta} {
			if number == 0 {
				continue
			}
			if p := s.Find(h.Tenant, h.CA, name); p != nil && p.Number >= number {
				continue
			}
			c, err := s.store.CRL(ctx, h.Tenant, h.CA, h.Scope, number)
			if ca.IsKind(err, ca.NotFound) {
				continue // replaced meanwhile, twice: the next look finds the newest
			}
			if err != nil {
				return err
			}
			s.put(c)
		}
	}
	return nil
}

// put puts a list on the shelf unless a newer one is there.
func (s *Shelf) put(c *ca.CRL) {
	set, name, every := s.settings[c.Tenant+"/"+c.CA], c.Scope, time.Hour
	generation, shard, ours := ca.ParseCRLScope(c.Scope)
	switch {
	case c.Base > 0:
		name, every = name+deltaSuffix, set.DeltaInterval
	case ours:
		every = set.Interval
	}
	at := place{c.Tenant, c.CA, name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.lists[at]; p != nil && p.Number >= c.Number {
		return
	}
	s.lists[at] = &Published{CRL: c, ETag: `"` + hex.EncodeToString(c.SHA256[:16]) + `"`, Fresh: c.ThisUpdate.Add(every)}
	if ca := c.Tenant + "/" + c.CA; ours {
		s.current[ca] = max(s.current[ca], generation)
	}
	if whole, _, _ := strings.Cut(c.Scope, "-s"); ours {
		at := place{c.Tenant, c.CA, whole}
		s.shards[at] = max(s.shards[at], shard)
	}
}

// reached gives the number that a scope stood at when the shelf was refreshed,
// and whether that is beyond its lists: then the store was restored, and lists
// with numbers up to that one may be out that it does not know.
func (s *Shelf) reached(tenant, issuer, scope string) (number int64, gap bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.heads[place{tenant, issuer, scope}]
	return h.Number, h.Number > max(h.Complete, h.Delta)
}

// highest gives the highest shard that a generation ever had.
func (s *Shelf) highest(f *ca.Facts) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.shards[place{f.Tenant, f.CA, ca.CRLScope(f.Generation, 0)}]
}

// Follow refreshes the shelf until ctx ends.
func (s *Shelf) Follow(ctx context.Context) {
	tick := time.NewTicker(Pulse)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.Refresh(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			s.log.Warn("crl.stale", "error", err)
		}
		failed = err != nil
	}
}
