package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	status "github.com/enrollgate/enrollgate/ca/status/crl"
	"github.com/enrollgate/enrollgate/protocols/crl"
	"github.com/enrollgate/enrollgate/protocols/operations"
)

// openCRLs binds the publisher of the CRLs and has every CA's list made, before
// the first certificate is issued that names one, also by a generation that
// comes later. Without an http listener no
// certificate does.
func (d *daemon) openCRLs(ctx context.Context) error {
	if d.sockets["http"] == nil {
		return nil
	}
	if err := d.newPublisher(); err != nil {
		return err
	}
	d.issuers.Prepare(func(ctx context.Context, generation ca.Issuer) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return d.lists.EnsureOf(ctx, generation)
	})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return d.lists.Ensure(ctx)
}

func (d *daemon) newPublisher() (err error) {
	settings := map[string]status.Settings{}
	for _, c := range d.cfg.CAs {
		settings[c.Tenant+"/"+c.ID] = status.Settings(c.CRL)
	}
	d.shelf = status.NewShelf(d.store, settings, d.log)
	d.lists, err = status.NewPublisher(status.Options{Store: d.store, Shelf: d.shelf, Issuers: d.issuers.Generations, Settings: settings,
		BaseURL: d.cfg.BaseURL.HTTP, Observer: tidy{d.metrics}, Log: d.log})
	return err
}

// tidy gives memory back after a large list: the daemon collects garbage
// seldom, and the rows that such a list was made from are most of it.
type tidy struct{ *operations.Metrics }

const largeList = 8 << 20

func (t tidy) CRLPublished(c *ca.CRL) {
	t.Metrics.CRLPublished(c)
	if c.Size > largeList {
		debug.FreeOSMemory()
	}
}

// findCRL gives the http listener what is on the shelf.
func (d *daemon) findCRL(tenant, issuer, name string) (crl.List, bool) {
	if d.shelf == nil {
		return crl.List{}, false
	}
	p := d.shelf.Find(tenant, issuer, name)
	if p == nil {
		return crl.List{}, false
	}
	return crl.List{DER: p.DER, ETag: p.ETag, ThisUpdate: p.ThisUpdate, NextUpdate: p.NextUpdate, Fresh: p.Fresh}, true
}

// publishedCRLs is what metrics tell about the lists.
func (d *daemon) publishedCRLs() (all []operations.CRL) {
	if d.shelf == nil {
		return nil
	}
	for _, p := range d.shelf.All() {
		all = append(all, operations.CRL{Tenant: p.Tenant, CA: p.CA, List: listName(p.CRL), NextUpdate: p.NextUpdate, Entries: p.Entries})
	}
	return all
}

// listName is the last segment of a list's address, without ".crl".
func listName(c *ca.CRL) string {
	if c.Base > 0 {
		return c.Scope + "-delta"
	}
	return c.Scope
}

// importSoon is when an imported list that will end is worth a warning: it
// takes people and a safe to make the next one.
const importSoon = 7 * 24 * time.Hour

// checkCRLs warns of lists that are late. They stop nobody: what is issued and
// revoked meanwhile is recorded.
func (d *daemon) checkCRLs(context.Context) (warning string, err error) {
	if d.shelf == nil {
		return "", nil
	}
	late := d.lateForeign()
	for _, p := range d.shelf.All() {
		least := importSoon
		if _, _, ours := ca.ParseCRLScope(p.Scope); ours {
			least = time.Minute
			for _, c := range d.cfg.CAs {
				if c.Tenant == p.Tenant && c.ID == p.CA && p.Base == 0 {
					least = c.CRL.Overlap
				}
			}
		}
		if left := time.Until(p.NextUpdate); left < least-overdue {
			late = append(late, fmt.Sprintf("CRL %s/%s/%s ends at %s", p.Tenant, p.CA, listName(p.CRL), p.NextUpdate.UTC().Format(time.RFC3339)))
		}
	}
	return strings.Join(late, "; "), nil
}

// overdue is how long a publisher may take to replace a list that is late.
const overdue = 30 * time.Second
