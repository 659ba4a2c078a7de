package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/ca/status"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/ocsp"
	"github.com/enrollgate/enrollgate/protocols/operations"
)

// responds tells whether a CA has a responder here.
func (d *daemon) responds(c *config.CA) bool { return c.OCSP.Enabled && d.sockets["http"] != nil }

// responderEndpoints bind the delegated responders to their profile.
func (d *daemon) responderEndpoints() (all []ca.Endpoint) {
	for i := range d.cfg.CAs {
		if c := &d.cfg.CAs[i]; d.responds(c) && c.OCSP.Signer == "delegated" {
			all = append(all, ca.Endpoint{ID: responderEndpoint(c), Door: caller.System, Tenant: c.Tenant, CA: c.ID, Profile: "gateway-ocsp-signing",
				Policies: [][]caller.Method{{caller.ServiceItself}}})
		}
	}
	return all
}

// responderEndpoint is no id that configuration could give: those have no slash.
func responderEndpoint(c *config.CA) string { return "service-ocsp/" + c.Tenant + "/" + c.ID }

// openStatus makes the view of the status feed, the responders and their door.
// It signs nothing yet; dir keeps the responders' keys in dev.
func (d *daemon) openStatus(ctx context.Context, dir string) error {
	d.view = status.NewView(d.store, d.log, time.Now)
	d.desk = status.NewDesk(status.Options{View: d.view, Certificates: d.store, Observer: d.metrics, Log: d.log, Now: time.Now, Prepare: ocsp.Prepare})
	responders := map[string]ocsp.Responder{}
	since, err := d.archiveSince(ctx)
	if err != nil {
		return err
	}
	for i := range d.cfg.CAs {
		c := &d.cfg.CAs[i]
		if !d.responds(c) {
			continue
		}
		rules := status.Rules{Tenant: c.Tenant, CA: c.ID, IssuerOf: d.issuers.IssuerOf, Unknown: status.UnknownAs(c.OCSP.Unknown), Nonce: c.OCSP.Nonce,
			Lifetime: c.OCSP.Lifetime, MaxAge: c.OCSP.MaxAge, ArchiveCutoff: c.OCSP.ArchiveCutoff, ArchiveSince: since}
		rules.Issuers = func() []ca.Issuer { return d.issuers.All(c.Tenant, c.ID) }
		rules.Signer = func(generation ca.Issuer) status.Signer {
			return status.Direct(generation, c.OCSP.ByName, d.metrics.Signed)
		}
		if c.OCSP.Signer == "delegated" {
			delegated, err := d.delegated(ctx, c, dir)
			if err != nil {
				return fmt.Errorf("OCSP responder of CA %s/%s: %w", c.Tenant, c.ID, err)
			}
			d.responders = append(d.responders, delegated)
			delegated.Direct = rules.Signer
			rules.Signer = delegated.Of
		}
		responders[c.Tenant+"/"+c.ID] = d.desk.Bind(rules)
		d.metrics.BoundOCSP(c.Tenant, c.ID)
	}
	if err := d.openForeign(ctx, responders); err != nil {
		return err
	}
	d.ocsp = ocsp.New(ocsp.Options{Responders: responders, Observer: d.metrics, Log: d.log})
	return nil
}

func (d *daemon) delegated(ctx context.Context, c *config.CA, dir string) (*service.Responder, error) {
	r := &service.Responder{Enroller: d, Endpoint: responderEndpoint(c), Tenant: c.Tenant, CA: c.ID, File: c.OCSP.Store, Issuer: d.signing(c.Tenant, c.ID),
		ByName: c.OCSP.ByName, Callers: caller.NewVerifier(caller.System), Claims: claim.NewVerifier(caller.System), Log: d.log, Now: time.Now}
	if r.File == "" && d.cfg.Dev {
		r.File = filepath.Join(dir, "keys", "ocsp-"+c.Tenant+"-"+c.ID+".pem")
	}
	if c.OCSP.Key == "" {
		return r, nil
	}
	var key keys.Signer
	key, err := d.keyring().Open(ctx, c.OCSP.Key, c.OCSP.KeyPassword)
	r.Key = key
	return r, err
}

// signing finds the generation of a CA that signs now.
func (d *daemon) signing(tenant, id string) func() (ca.Issuer, error) {
	return func() (ca.Issuer, error) { return d.issuers.Issuer(tenant, id) }
}

// statusCounters are read at a scrape.
func (d *daemon) statusCounters() (n operations.StatusCounters) {
	if d.view == nil {
		return n
	}
	n.Age, n.Followed = d.view.Age()
	n.Known, n.Kept = d.view.Known(), d.desk.Kept()
	return n
}

// followStatus keeps the view, the answers and the responders' certificates fresh.
// The first reading of the feed is waited for: a daemon that says it is ready is.
// Where that fails, Follow reads again at once and says why.
func (d *daemon) followStatus(ctx context.Context) {
	_ = d.view.Poll(ctx)
	d.working.Go(func() { d.view.Follow(ctx) })
	d.working.Go(func() { d.desk.Keep(ctx) })
	d.working.Go(func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			for _, r := range d.responders {
				if ctx.Err() == nil {
					r.Look(ctx)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}
