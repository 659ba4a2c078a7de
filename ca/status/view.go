// Package status knows how certificates stand: a replica's view of the status
// feed, and the OCSP answers that are signed from it (RFC 6960, with the
// profile for high volumes of RFC 5019 and the nonces of RFC 9654).
//
// Left out of OCSP: answers for several issuers in one request, delegated
// responders for another authority's CAs, CRL references and the choice of a
// signature algorithm by the client (RFC 6960 sections 4.4.2, 4.4.7).
package status

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

const (
	// PollEvery is how often the feed is asked.
	PollEvery = time.Second
	// TooOld is the age from which a view is not answered from.
	TooOld = 10 * time.Second

	feedPage = 1000
)

// Source is what a view reads of the store.
type Source interface {
	ca.Statuses
	Feed(ctx context.Context, after int64, limit int) ([]ca.Status, error)
}

// View is what this replica knows of every certificate that was held or
// revoked. It follows the status feed by polling; a CA's statuses are read when
// somebody first asks for one of them.
type View struct {
	source Source
	log    *slog.Logger
	now    func() time.Time

	tables sync.Map // tenant/ca to *Table
	at     int64    // position in the feed, of the one who follows
	begun  atomic.Bool
	fresh  atomic.Int64 // when the feed was last known to its end, UnixNano of now; 0: never
	failed bool         // the last poll, for the log
}

// NewView makes a view that knows nothing until Follow runs.
func NewView(source Source, log *slog.Logger, now func() time.Time) *View {
	return &View{source: source, log: log, now: now}
}

// Follow polls the feed until ctx ends.
func (v *View) Follow(ctx context.Context) {
	tick := time.NewTicker(PollEvery)
	defer tick.Stop()
	for {
		if err := v.Poll(ctx); err != nil && ctx.Err() == nil {
			if !v.failed {
				v.log.Warn("status.feed", "error", err)
			}
			v.failed = true
		} else if err == nil {
			v.failed = false
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pollTime bounds one reading of the feed.
const pollTime = 5 * time.Second

// Poll reads the feed to its end once. Only one goroutine may call it.
func (v *View) Poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	if !v.begun.Load() {
		asked := v.now()
		end, err := v.source.FeedEnd(ctx)
		if err != nil {
			return err
		}
		// Tables are read later than this: they show whatever is before.
		v.at = end
		v.fresh.Store(asked.UnixNano())
		v.begun.Store(true)
	}
	for {
		asked := v.now()
		rows, err := v.source.Feed(ctx, v.at, feedPage)
		if err != nil {
			return err
		}
		for i := range rows {
			if t, ok := v.tables.Load(rows[i].Tenant + "/" + rows[i].CA); ok {
				t.(*Table).apply(&rows[i])
			}
			v.at = rows[i].Position
		}
		if len(rows) < feedPage {
			v.fresh.Store(asked.UnixNano())
			return nil
		}
	}
}

// Table gives the statuses of one CA; changed, where it is not nil, is told of
// every row of the feed once the table is loaded, and must not wait. One
// caller a CA.
func (v *View) Table(tenant, id string, changed func(*ca.Status)) *Table {
	t := &Table{tenant: tenant, ca: id, changed: changed}
	v.tables.Store(tenant+"/"+id, t)
	return t
}

// errOld says that the view cannot be answered from.
var errOld = ca.UnavailableError(fmt.Errorf("the status feed was last read more than %s ago", TooOld), time.Second)

// Fresh gives the time that everything known here is right of, or Unavailable
// where that is longer ago than TooOld.
func (v *View) Fresh() (time.Time, error) {
	at := v.fresh.Load()
	if now := v.now().UnixNano(); at == 0 || now-at > int64(TooOld) {
		return time.Time{}, errOld
	}
	return time.Unix(0, at), nil
}

// Age is how long ago the feed was last known to its end; false before the first time.
func (v *View) Age() (time.Duration, bool) {
	at := v.fresh.Load()
	if at == 0 {
		return 0, false
	}
	return time.Duration(v.now().UnixNano() - at), true
}

// Known counts the certificates that are known to be held or revoked.
func (v *View) Known() (n int) {
	v.tables.Range(func(_, t any) bool {
		n += t.(*Table).len()
		return true
	})
	return n
}

// Find tells how a certificate stands; found is false where its status never
// changed or is that of issuance again. The time is the one that this is right
// of. Unavailable where the view is too old or cannot be read.
func (v *View) Find(ctx context.Context, t *Table, serial ca.Serial) (e Entry, found bool, asOf time.Time, err error) {
	if asOf, err = v.Fresh(); err != nil {
		return e, false, asOf, err
	}
	e, found, ok := t.find(serial)
	if ok {
		return e, found, asOf, nil
	}
	if err := v.load(ctx, t); err != nil {
		return Entry{}, false, asOf, err
	}
	e, found, _ = t.find(serial)
	return e, found, asOf, nil
}

// loadTime bounds the reading of one CA's statuses.
const loadTime = 5 * time.Minute

// load reads a CA's pages; who comes meanwhile waits for the same reading.
func (v *View) load(ctx context.Context, t *Table) (err error) {
	t.loading.Lock()
	defer t.loading.Unlock()
	if _, _, ok := t.find(ca.Serial{}); ok {
		return nil
	}
	// Others wait for the same pages: they are read to the end whoever gives up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
	defer cancel()
	began := v.now()
	t.begin()
	defer func() { t.end(err == nil) }()
	for after := (ca.Serial{}); ; {
		rows, err := v.source.StatusPage(ctx, t.tenant, t.ca, after, ca.MaxStatusPage)
		if err != nil {
			return err
		}
		t.page(rows)
		if len(rows) < ca.MaxStatusPage {
			break
		}
		after = rows[len(rows)-1].Serial
	}
	v.log.Info("status.loaded", "tenant", t.tenant, "ca", t.ca, "took", v.now().Sub(began))
	return nil
}

// Check is the condition of readiness.
func (v *View) Check(context.Context) (warning string, err error) {
	if _, err := v.Fresh(); err != nil {
		return "", ca.Wrap(ca.Unavailable, err, fmt.Sprintf("the status feed of the store was not read to its end for more than %s", TooOld))
	}
	return "", nil
}
