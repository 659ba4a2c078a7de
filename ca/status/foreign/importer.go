package foreign

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Source is where a foreign CA publishes its list.
type Source interface {
	// Fetch gives the list as it is published, at most MaxList octets, and a
	// version by which the source may say later that nothing changed; data is nil
	// where nothing has changed since version have.
	Fetch(ctx context.Context, have string) (data []byte, version string, err error)
}

// Feed is a foreign CA with its source.
type Feed struct {
	*CA
	Source  Source
	Refresh time.Duration // between fetches
}

// Importer fetches lists and records them. It runs under a lease: one replica
// fetches, all read from the store.
type Importer struct {
	Store ca.CRLs
	Feeds []*Feed
	Log   *slog.Logger
	Now   func() time.Time

	mu    sync.Mutex
	state map[*Feed]*progress
}

// progress is what this replica's fetches of one feed came to.
type progress struct {
	fence   int64 // of the lease under which it was fetched last
	due     time.Time
	version string // of what was fetched and taken last
	last    *List  // what was taken last
	counts  Counts
}

// Counts are the fetches of a feed on this replica.
type Counts struct {
	Taken, Unchanged, Failed int64
	Last                     time.Time // that did not fail; zero: none
}

const (
	fetchTime = 2 * time.Minute
	atOnce    = 4           // sources that are asked at the same time
	retryWait = time.Minute // after a failure; less where Refresh is
)

// Every is how often Run looks which feed is due.
const Every = time.Second

// Counts tells about a feed.
func (m *Importer) Counts(f *Feed) Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(f).counts
}

func (m *Importer) of(f *Feed) *progress {
	if m.state == nil {
		m.state = map[*Feed]*progress{}
	}
	if m.state[f] == nil {
		m.state[f] = &progress{}
	}
	return m.state[f]
}

// Run fetches what is due. It fails only where the lease is lost: the failures
// of one source are counted, logged and tried again by themselves.
func (m *Importer) Run(ctx context.Context, l *ca.Lease) error {
	var all sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for _, f := range m.Feeds {
		m.mu.Lock()
		p := m.of(f)
		m.mu.Unlock()
		if p.fence == l.Fence && m.Now().Before(p.due) {
			continue
		}
		if p.fence != l.Fence { // another replica may have taken a newer one
			p.fence, p.version, p.last = l.Fence, "", nil
		}
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			m.try(ctx, l, f, p)
		})
	}
	all.Wait()
	return ctx.Err()
}

// try fetches one list and notes what came of it.
func (m *Importer) try(ctx context.Context, l *ca.Lease, f *Feed, p *progress) {
	taken, err := m.fetch(ctx, l, f, p)
	if ctx.Err() != nil {
		return
	}
	wait := f.Refresh
	m.mu.Lock()
	switch {
	case err != nil:
		p.counts.Failed++
		wait = min(retryWait, f.Refresh)
	case taken:
		p.counts.Taken++
	default:
		p.counts.Unchanged++
	}
	now := m.Now()
	if p.due = now.Add(wait); err == nil {
		p.counts.Last = now
	}
	m.mu.Unlock()
	if err != nil {
		m.Log.Warn("foreign.failed", "tenant", f.Tenant, "ca", f.ID, "error", err, "again", wait)
	}
}

// fetch fetches one list and records it where it is new.
func (m *Importer) fetch(ctx context.Context, l *ca.Lease, f *Feed, p *progress) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	if p.last == nil {
		if p.last, err = m.recorded(ctx, f); err != nil {
			return false, err
		}
	}
	data, version, err := f.Source.Fetch(ctx, p.version)
	if err != nil || data == nil {
		return false, err
	}
	list, der, err := Read(data, f.Issuer)
	if err != nil {
		return false, err
	}
	if p.last != nil && list.SHA256 == p.last.SHA256 {
		p.version = version
		return false, nil
	}
	if err := list.follows(p.last, m.Now()); err != nil {
		return false, err
	}
	if err := m.record(ctx, l, f, list, der); err != nil {
		return false, err
	}
	p.version, p.last = version, list
	return true, nil
}

// recorded reads the newest list of the store; nil where there is none.
func (m *Importer) recorded(ctx context.Context, f *Feed) (*List, error) {
	heads, err := m.Store.CRLHeads(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		if h.Tenant != f.Tenant || h.CA != f.ID || h.Scope != scopeOf(f.Issuer) {
			continue
		}
		kept, err := m.Store.CRL(ctx, h.Tenant, h.CA, h.Scope, h.Complete)
		if err != nil {
			return nil, err
		}
		list, _, err := Read(kept.DER, f.Issuer)
		if err != nil {
			return nil, ca.InternalError(fmt.Errorf("the store's CRL %d: %w", h.Complete, err))
		}
		return list, nil
	}
	return nil, nil
}

func (m *Importer) record(ctx context.Context, l *ca.Lease, f *Feed, list *List, der []byte) error {
	c := &ca.CRL{Tenant: f.Tenant, CA: f.ID, Scope: scopeOf(f.Issuer), Number: list.This.Unix(), ThisUpdate: list.This, NextUpdate: list.Next,
		Entries: list.Len(), SHA256: list.SHA256, Size: len(der), DER: der}
	number := ""
	if list.Number != nil {
		number = list.Number.String()
	}
	detail, err := json.Marshal(map[string]any{"ca": f.ID, "number": number, "entries": c.Entries, "next_update": stamp(c.NextUpdate),
		"sha256": hex.EncodeToString(c.SHA256[:])})
	if err != nil {
		return ca.InternalError(err)
	}
	a := ca.Audit{Tenant: f.Tenant, Event: "crl.foreign", Actor: "service:crl", Trace: ca.NewTrace(), Detail: detail}
	if err := m.Store.PublishCRL(ctx, l, c, a); err != nil {
		return err
	}
	m.Log.Info("foreign.taken", "tenant", f.Tenant, "ca", f.ID, "number", number, "entries", c.Entries, "next_update", stamp(c.NextUpdate))
	return nil
}
