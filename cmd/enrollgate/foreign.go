package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/ca/status"
	"github.com/enrollgate/enrollgate/ca/status/foreign"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/crl/fetch"
	"github.com/enrollgate/enrollgate/protocols/ocsp"
	"github.com/enrollgate/enrollgate/protocols/operations"
)

// foreignCA is a CA that is not ours, as this daemon answers for it.
type foreignCA struct {
	*foreign.Feed
	cfg      *config.ForeignCA
	delegate *service.Delegate
}

// openForeign makes the responders of CAs that are not ours.
func (d *daemon) openForeign(ctx context.Context, responders map[string]ocsp.Responder) error {
	if d.sockets["http"] == nil || len(d.cfg.Foreign) == 0 {
		return nil
	}
	d.importer = &foreign.Importer{Store: d.store, Log: d.log, Now: time.Now}
	d.elsewhere = &foreign.Shelf{Store: d.store, Log: d.log, Read: func(size int) {
		if size > largeList {
			debug.FreeOSMemory()
		}
	}}
	for i := range d.cfg.Foreign {
		c := &d.cfg.Foreign[i]
		f, err := d.newForeign(ctx, c)
		if err != nil {
			return fmt.Errorf("foreign CA %s/%s: %w", c.Tenant, c.ID, err)
		}
		d.foreign = append(d.foreign, f)
		d.importer.Feeds = append(d.importer.Feeds, f.Feed)
		d.elsewhere.CAs = append(d.elsewhere.CAs, f.CA)
		responders[c.Tenant+"/"+c.ID] = d.desk.BindForeign(status.ForeignRules{Tenant: c.Tenant, CA: c.ID, Issuer: f.Issuer, Signer: f.delegate,
			List: func() status.Listing {
				if l := f.List(); l != nil {
					return l
				}
				return nil
			},
			NotListed: status.UnknownAs(c.OCSP.NotListed), Nonce: c.OCSP.Nonce, Lifetime: c.OCSP.Lifetime, MaxAge: c.OCSP.MaxAge, ArchiveCutoff: c.OCSP.ArchiveCutoff})
		d.metrics.BoundOCSP(c.Tenant, c.ID)
	}
	if err := d.elsewhere.Look(ctx); err != nil { // answers say try-later until it works
		d.log.Warn("foreign.stale", "error", err)
	}
	return nil
}

func (d *daemon) newForeign(ctx context.Context, c *config.ForeignCA) (*foreignCA, error) {
	data, err := config.ReadFile(c.Certificate)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no PEM certificate", c.Certificate)
	}
	issuer, err := pkix.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Certificate, err)
	}
	ext, found := pkix.FindExtension(issuer.Extensions, pkix.OIDBasicConstraints)
	if isCA, _, err := pkix.ParseBasicConstraints(ext.Value); !found || err != nil || !isCA {
		return nil, errors.Join(fmt.Errorf("%s is not the certificate of a CA", c.Certificate), err)
	}
	key, err := d.keyring().Open(ctx, c.OCSP.Key, c.OCSP.KeyPassword)
	if err != nil {
		return nil, err
	}
	f := &foreignCA{cfg: c, Feed: &foreign.Feed{CA: &foreign.CA{Tenant: c.Tenant, ID: c.ID, Issuer: issuer}, Refresh: c.CRL.Refresh, Source: foreign.File{Path: c.CRL.File}},
		delegate: &service.Delegate{File: c.OCSP.Certificate, Issuer: issuer, Key: key, Tenant: c.Tenant, ByName: c.OCSP.ByName, Now: time.Now}}
	if err := f.delegate.Look(); err != nil {
		return nil, err
	}
	if c.CRL.URL != "" {
		f.Source, err = fetch.New(fetch.Options{URL: c.CRL.URL, Resolvers: d.cfg.ACME.Resolvers, Allow: c.CRL.Allow,
			LocalhostToLoopback: d.cfg.ACME.LocalhostToLoopback, Max: foreign.MaxList})
	}
	return f, err
}

// followForeign reads newer lists and renewed responder certificates.
func (d *daemon) followForeign(ctx context.Context) {
	if d.elsewhere == nil {
		return
	}
	d.working.Go(func() { d.elsewhere.Follow(ctx) })
	d.working.Go(func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-d.hungUp:
			}
			for _, f := range d.foreign {
				if err := f.delegate.Look(); err != nil {
					d.log.Error("foreign.responder", "tenant", f.Tenant, "ca", f.ID, "error", err)
				}
			}
		}
	})
}

// foreignLists is what metrics tell about the lists of other CAs.
func (d *daemon) foreignLists() (all []operations.CRL) {
	for _, f := range d.foreign {
		if l := f.List(); l != nil {
			all = append(all, operations.CRL{Tenant: f.Tenant, CA: f.ID, List: "foreign", NextUpdate: l.Next, Entries: l.Len()})
		}
	}
	return all
}

// foreignFetches is what metrics tell about fetching them.
func (d *daemon) foreignFetches() (all []operations.Fetches) {
	for _, f := range d.foreign {
		n := d.importer.Counts(f.Feed)
		all = append(all, operations.Fetches{Tenant: f.Tenant, CA: f.ID, Taken: n.Taken, Unchanged: n.Unchanged, Failed: n.Failed, Last: n.Last})
	}
	return all
}

// lateForeign warns of lists that end soon, and of those that there are not.
// They stop nobody else: only questions about that CA are told to try later.
func (d *daemon) lateForeign() (late []string) {
	for _, f := range d.foreign {
		switch l := f.List(); {
		case l == nil:
			late = append(late, fmt.Sprintf("no CRL of the foreign CA %s/%s was fetched yet", f.Tenant, f.ID))
		case time.Until(l.Next) < f.cfg.CRL.Warning:
			late = append(late, fmt.Sprintf("the CRL of the foreign CA %s/%s ends at %s", f.Tenant, f.ID, l.Next.UTC().Format(time.RFC3339)))
		}
	}
	return late
}
