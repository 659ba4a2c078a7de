package main

import (
	"context"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/doctor"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/config"
)

// raEndpoints bind the registration authorities to their profile.
func (d *daemon) raEndpoints() (all []ca.Endpoint) {
	for i := range d.cfg.CAs {
		if c := &d.cfg.CAs[i]; c.RA.Enabled {
			all = append(all, ca.Endpoint{ID: raEndpoint(c), Door: caller.System, Tenant: c.Tenant, CA: c.ID, Profile: "gateway-ra",
				Policies: [][]caller.Method{{caller.ServiceItself}}})
		}
	}
	return all
}

// raEndpoint is no id that configuration could give: those have no slash.
func raEndpoint(c *config.CA) string { return "service-ra/" + c.Tenant + "/" + c.ID }

// makeRAs makes the registration authorities, which have nothing yet.
func (d *daemon) makeRAs() {
	for i := range d.cfg.CAs {
		c := &d.cfg.CAs[i]
		if !c.RA.Enabled {
			continue
		}
		d.ras = append(d.ras, &service.RA{Enroller: d, Endpoint: raEndpoint(c), Tenant: c.Tenant, CA: c.ID, KeyURI: c.RA.Key, Secret: c.RA.KeyPassword, Ring: d.keyring(),
			Sealing: d.sealing, Store: d.store, Holder: d.replica, Issuer: d.signing(c.Tenant, c.ID), Issuers: func() []ca.Issuer { return d.issuers.All(c.Tenant, c.ID) },
			Callers: caller.NewVerifier(caller.System), Claims: claim.NewVerifier(caller.System), Log: d.log, Now: time.Now})
	}
}

// openRAs has each registration authority look once, so that what the first start
// makes is there when the daemon is ready. A failure is tried again in the
// background: a token may be away for a moment.
func (d *daemon) openRAs(ctx context.Context) {
	for _, r := range d.ras {
		if err := r.Look(ctx); err != nil {
			d.log.Error("service.renewal", "service", service.RAName, "tenant", r.Tenant, "ca", r.CA, "error", err)
		}
	}
}

// followRAs keeps the registration authorities, and takes up what other replicas renew.
func (d *daemon) followRAs(ctx context.Context) {
	for _, r := range d.ras {
		d.working.Go(func() { r.Follow(ctx) })
	}
}

// lookAtRAs adds the registration authorities of the configuration to what doctor looks at.
func (e *examination) lookAtRAs(ctx context.Context) (keys []doctor.Key, certificates []doctor.Certificate, err error) {
	for i := range e.cfg.CAs {
		c := &e.cfg.CAs[i]
		if !c.RA.Enabled {
			continue
		}
		name := "registration authority of CA " + c.Tenant + "/" + c.ID
		all, err := e.store.ServiceCertificates(ctx, c.Tenant, c.ID, service.RAName)
		if err != nil {
			return nil, nil, err
		}
		if len(all) == 0 {
			e.Findings = append(e.Findings, doctor.Finding{Area: "certificates", What: name, Status: doctor.Warn, Found: "it has no certificate yet",
				Do: "It is made when the daemon first starts; else see service.renewal in its log."})
			if c.RA.Key != "" {
				keys = append(keys, doctor.Key{Name: name, Tenant: c.Tenant, URI: c.RA.Key, Secret: c.RA.KeyPassword})
			}
			continue
		}
		newest := all[len(all)-1]
		certificates = append(certificates, doctor.Certificate{Name: fmt.Sprintf("%s, number %d", name, newest.Number), DER: newest.DER})
		if newest.KeyURI != "" {
			keys = append(keys, doctor.Key{Name: name, Tenant: c.Tenant, URI: newest.KeyURI, Secret: c.RA.KeyPassword, Certificate: newest.DER})
		}
	}
	return keys, certificates, nil
}
