package main

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/est"
	"github.com/enrollgate/enrollgate/protocols/scep"
)

// What the SCEP door has on its listeners beside its own prefix: the addresses of
// NDES, and the page that is on https alone.
const (
	ndesPrefix = "/certsrv"
	ndesAdmin  = ndesPrefix + "/mscep_admin"
)

// assembleSCEP builds the SCEP door of a policy and its routes on the http listener.
func (d *daemon) assembleSCEP(p *policy) error {
	var endpoints []ca.Endpoint
	own := map[string]scep.Own{}
	for _, e := range p.cfg.Endpoints {
		if e.Door != caller.SCEP {
			continue
		}
		o, err := scepOwn(p.cfg.SCEPOf[e.ID])
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", e.ID, err)
		}
		if err := d.lookAtLifetime(p.cfg, &e, o.Quirks); err != nil {
			return err
		}
		d.metrics.SCEP().Granted(&e, o.Legacy...)
		own[e.ID] = o
		endpoints = append(endpoints, e)
	}
	p.scep = d.routes(func(chi.Router) {})
	if len(endpoints) == 0 {
		return nil
	}
	o := scep.Options{Endpoints: endpoints, Own: own, Core: p.authority, Issuers: d.issuers, Generations: d.issuers.All, RAs: d.raOf, CRL: d.listOf,
		Certificates: d.store, Credentials: credential.NewRegistry(d.store, d.sealing), Callers: caller.NewVerifier(caller.SCEP), Claims: claim.NewVerifier(caller.SCEP),
		Log: d.log, Now: time.Now, Observer: d.metrics.SCEP()}
	if n := p.cfg.SCEP.NDES; n != nil {
		o.NDES = &scep.NDES{Endpoint: n.Endpoint, Lifetime: n.Lifetime}
	}
	door, err := scep.New(o)
	if err != nil {
		return err
	}
	p.scepDoor, p.scep = door, d.routes(door.Routes, ndesAdmin)
	return nil
}

func scepOwn(w config.SCEPEndpoint) (scep.Own, error) {
	o := scep.Own{Addresses: w.Addresses, Certificates: scep.Bundle(w.CACertificates), Legacy: w.Legacy, Quirks: w.Quirks}
	if w.StaticSecret.IsZero() {
		return o, nil
	}
	secret, err := w.StaticSecret.Resolve()
	if err != nil {
		return o, fmt.Errorf("static_secret: %w", err)
	}
	if len(secret) < 8 || len(secret) > credential.MaxSecret {
		return o, ca.Errorf(ca.BadRequest, "static_secret: a secret that devices share has 8 to %d octets", credential.MaxSecret)
	}
	o.StaticSecret = secret
	return o, nil
}

// lookAtLifetime warns of clients that would renew all the time: those that do so
// a fixed time before the end, under a profile that gives them little more.
func (d *daemon) lookAtLifetime(cfg *config.Config, e *ca.Endpoint, quirks string) error {
	q, err := scep.QuirkSet(quirks)
	if err != nil || q.RenewsBefore() == 0 {
		return err
	}
	period, err := profile.ParsePeriod(cfg.Profiles[e.Profile].Written().Validity.Default)
	if err != nil {
		return err
	}
	now := time.Now()
	if life := period.From(now).Sub(now); life < 2*q.RenewsBefore() {
		d.log.Warn("scep.lifetime", "endpoint", e.ID, "profile", e.Profile, "lifetime", life, "quirks", quirks, "renews_before", q.RenewsBefore())
	}
	return nil
}

// raOf finds the registration authority of a CA for the SCEP door.
func (d *daemon) raOf(tenant, id string) scep.RA {
	i := slices.IndexFunc(d.ras, func(r *service.RA) bool { return r.Tenant == tenant && r.CA == id })
	if i < 0 {
		return nil
	}
	return registrationAuthority{d.ras[i]}
}

// registrationAuthority is a service as the SCEP door knows it.
type registrationAuthority struct{ *service.RA }

// raTimeout bounds one operation with a registration authority's key.
const raTimeout = 10 * time.Second

// Current implements scep.RA.
func (r registrationAuthority) Current(ctx context.Context) (*scep.RAKey, error) {
	return r.key(r.RA.Current(ctx))
}

// ByRecipient implements scep.RA.
func (r registrationAuthority) ByRecipient(ctx context.Context, issuer pkix.RawName, serial, keyID []byte) (*scep.RAKey, error) {
	return r.key(r.RA.ByRecipient(ctx, service.Recipient{Issuer: issuer, Serial: serial, KeyID: keyID}))
}

func (r registrationAuthority) key(k *service.RAKey, err error) (*scep.RAKey, error) {
	if err != nil {
		return nil, err
	}
	return &scep.RAKey{Certificate: k.Certificate.Raw, Signer: keys.Standard(k.Key, ca.LaneEnrollment, r.Tenant, raTimeout),
		Decrypter: func(ctx context.Context) crypto.Decrypter {
			return keys.StandardDecrypter(ctx, k.Key, ca.LaneEnrollment, r.Tenant, raTimeout)
		}}, nil
}

// listOf finds the newest complete list of a generation of a CA.
func (d *daemon) listOf(issuer ca.Issuer) (der []byte, ok bool) {
	f := issuer.Facts()
	l, ok := d.findCRL(f.Tenant, f.CA, ca.CRLScope(f.Generation, 0))
	return l.DER, ok
}

// serveSCEP answers a request of the http listener under the policy in force.
func (d *daemon) serveSCEP(w http.ResponseWriter, r *http.Request) {
	p := d.enter()
	defer p.leave()
	p.scep.ServeHTTP(w, r)
}

// httpsRoutes are those of the https listener: ACME, and SCEP once more.
func (d *daemon) httpsRoutes(p *policy) chi.Router {
	return d.routes(func(r chi.Router) {
		if p.acme != nil {
			p.acme.Routes(r)
		}
		if p.scepDoor != nil {
			p.scepDoor.Routes(r)
			p.scepDoor.AdminRoutes(r)
		}
	}, "/aia", "/crl", "/ocsp", est.Prefix)
}
