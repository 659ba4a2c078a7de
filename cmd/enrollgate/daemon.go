package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/background"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/retention"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/ca/status"
	"github.com/enrollgate/enrollgate/ca/status/crl"
	"github.com/enrollgate/enrollgate/ca/status/foreign"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
	"github.com/enrollgate/enrollgate/protocols/acme/recent"
	"github.com/enrollgate/enrollgate/protocols/admin"
	"github.com/enrollgate/enrollgate/protocols/aia"
	crldoor "github.com/enrollgate/enrollgate/protocols/crl"
	"github.com/enrollgate/enrollgate/protocols/est"
	"github.com/enrollgate/enrollgate/protocols/forwarded"
	"github.com/enrollgate/enrollgate/protocols/ocsp"
	"github.com/enrollgate/enrollgate/protocols/operations"
	"github.com/enrollgate/enrollgate/protocols/scep"
)

// daemon is everything that runs. Its methods are called in the order they
// stand here; stop undoes whatever was done.
type daemon struct {
	cfg    *config.Config
	log    *slog.Logger
	failed chan error // a listener that ended by itself

	store   store
	recent  *recent.Store // the store as the ACME door sees it
	ring    *keys.Ring
	tokens  *pkcs11.Backend // the ring's
	issuers *issuer.Registry
	sealing *seal.Keyring
	signer  *audit.Signer
	policy  atomic.Pointer[policy]
	tls     certificateSource
	sockets map[string]net.Listener // by listener name
	servers []*http.Server
	proxies map[string]*forwarded.Proxies // by listener name

	administration *admin.Server // nil without a socket
	background     context.Context
	cancel         context.CancelFunc // ends background
	working        sync.WaitGroup     // what runs in the background

	reread    func() (*config.Config, error) // reads the configuration again
	written   *config.Config                 // as last read
	level     *slog.LevelVar
	reloading sync.Mutex

	replica    string // id of this process in the store
	view       *status.View
	desk       *status.Desk
	ocsp       *ocsp.Door
	responders []*service.Responder
	ras        []*service.RA     // registration authorities
	foreign    []*foreignCA      // CAs that are not ours
	importer   *foreign.Importer // fetches their lists; nil without any
	elsewhere  *foreign.Shelf    // holds them
	hungUp     chan struct{}     // a reload was asked for

	metrics   *operations.Metrics
	retention *retention.Keeper
	pending   waiting        // requests that wait for an operator
	shelf     *crl.Shelf     // CRLs as the http listener serves them; nil without one
	lists     *crl.Publisher // makes them
	heartbeat *background.Heartbeat
	upkeep    *background.Runner
}

// bind opens the sockets first, so that port 0 is known before anything is told a URL.
func (d *daemon) bind() error {
	d.sockets = map[string]net.Listener{}
	for name, address := range map[string]string{"https": d.cfg.Listen.HTTPS, "http": d.cfg.Listen.HTTP, "est": d.cfg.Listen.EST, "admin": d.cfg.Listen.Admin} {
		if address == "" {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("cannot listen on %s (listen.%s): %w", address, name, err)
		}
		d.sockets[name] = l
	}
	for name, base := range map[string]*string{"https": &d.cfg.BaseURL.HTTPS, "http": &d.cfg.BaseURL.HTTP, "est": &d.cfg.BaseURL.EST} {
		if l := d.sockets[name]; l != nil && *base == "" {
			url, err := externalURL(schemeOf(name), l.Addr().String())
			if err != nil {
				return err
			}
			*base = url
		}
	}
	return nil
}

// schemeOf is the scheme of a listener's URLs.
func schemeOf(listener string) string {
	if listener == "http" {
		return "http"
	}
	return "https"
}

// openCAs opens every CA's key and certificate.
func (d *daemon) openCAs(ctx context.Context) error {
	var bindings []issuer.Binding
	for _, c := range d.cfg.CAs {
		b := issuer.Binding{Tenant: c.Tenant, CA: c.ID, Secret: c.KeyPassword}
		if d.sockets["http"] != nil { // no URL is issued that no listener serves
			b.URLs.AIA = []string{d.cfg.BaseURL.HTTP}
			b.URLs.CRL, b.URLs.Shards = d.cfg.BaseURL.HTTP, c.CRL.Shards
		}
		if d.responds(&c) {
			b.URLs.OCSP = []string{d.cfg.BaseURL.HTTP + ocsp.Path(c.Tenant, c.ID)}
		}
		bindings = append(bindings, b)
	}
	var err error
	d.issuers, err = issuer.Load(ctx, d.store, d.keyring(), bindings, time.Now)
	return err
}

// keyring opens keys: one a process, because a PKCS#11 module has one owner.
func (d *daemon) keyring() *keys.Ring {
	if d.ring == nil {
		d.tokens = pkcs11.New(pkcs11.Options{Modules: d.cfg.PKCS11.Modules, Limits: keys.Limits{Workers: d.cfg.PKCS11.Sessions}})
		d.ring = keys.NewRing(pkcs11.With(d.tokens))
	}
	return d.ring
}

// assemble builds the core and the doors of a configuration, without putting
// them in force; previous is the one that is, or nil.
func (d *daemon) assemble(ctx context.Context, cfg *config.Config, previous *policy) (*policy, error) {
	endpoints := withVariants(cfg)
	if own, ok := d.serviceEndpoint(); ok {
		endpoints = append(endpoints, own)
	}
	endpoints = append(append(endpoints, d.responderEndpoints()...), d.raEndpoints()...)
	bound := map[string]*profile.Profile{}
	for _, e := range endpoints {
		bound[e.ID] = cfg.Profiles[e.Profile]
	}
	engine, err := profile.NewEngine(bound)
	if err != nil {
		return nil, err
	}
	for _, p := range engine.Profiles() {
		if err := d.store.KeepProfile(ctx, p.Hash(), p.Text()); err != nil {
			return nil, err
		}
	}
	linter, err := d.linter(engine)
	if err != nil {
		return nil, err
	}
	p := &policy{cfg: cfg}
	p.authority, err = ca.NewAuthority(ca.Parts{Observer: d.metrics, Endpoints: endpoints, Policy: engine, Linter: linter, Issuers: d.issuers,
		Ledger: d.store, Log: d.log, Now: time.Now, Approvals: d.approvals(cfg), Windows: d.store})
	if err != nil {
		return nil, err
	}
	if err := d.assembleACME(ctx, p, previous); err != nil {
		return nil, err
	}
	if err := d.assembleSCEP(p); err != nil {
		return nil, err
	}
	p.https = d.httpsRoutes(p)
	if err := d.assembleEST(p); err != nil {
		return nil, err
	}
	d.metrics.Bound(endpoints)
	return p, nil
}

// withVariants lists the endpoints of a configuration with their variants.
func withVariants(cfg *config.Config) []ca.Endpoint {
	endpoints := append([]ca.Endpoint(nil), cfg.Endpoints...)
	for i := range cfg.Endpoints {
		endpoints = append(endpoints, cfg.Variants(&cfg.Endpoints[i])...)
	}
	return endpoints
}

// linter does what each bound profile says about findings.
func (d *daemon) linter(engine *profile.Engine) (lint.Linter, error) {
	policies := map[string]ruleset.Policy{}
	for _, p := range engine.Profiles() {
		policies[p.ID()] = p.Lint()
	}
	return lint.New(lint.Options{Policies: policies, Log: d.log, Observer: d.metrics})
}

func (d *daemon) assembleACME(ctx context.Context, p, previous *policy) error {
	nonces, err := d.nonceKeys(ctx)
	if err != nil {
		return err
	}
	validators, err := newValidators(p.cfg.ACME, nil)
	if err != nil {
		return err
	}
	var endpoints []ca.Endpoint
	for _, e := range p.cfg.Endpoints {
		if e.Door == caller.ACME {
			endpoints = append(endpoints, e)
		}
	}
	if len(endpoints) == 0 {
		return nil
	}
	var before *acme.Door
	if previous != nil {
		before = previous.acme
	}
	own, err := ownOf(p.cfg, endpoints)
	if err != nil {
		return err
	}
	limits := limitsOf(p.cfg.ACME.RateLimits)
	for i := range endpoints {
		d.metrics.Limits(&endpoints[i], limits.Names()...)
	}
	p.acme, err = acme.New(acme.Options{Observer: d.metrics, BaseURL: p.cfg.BaseURL.HTTPS, Endpoints: endpoints, Core: p.authority, Issuers: d.issuers,
		Alternates: d.issuers.Alternates, Generations: d.issuers.All, Windows: d.store, Own: own, Certificates: d.store, Store: d.recent, Callers: caller.NewVerifier(caller.ACME), Claims: claim.NewVerifier(caller.ACME),
		Nonces: nonces, Validators: validators, Log: d.log, Now: time.Now, OrderLifetime: p.cfg.ACME.OrderLifetime,
		AuthorizationLifetime: p.cfg.ACME.AuthLifetime, ApprovalLifetime: p.cfg.Approvals.Lifetime, Schedule: p.cfg.ACME.HTTP01.Waits, Previous: before,
		External: credential.NewRegistry(d.store, d.sealing), Terms: p.cfg.ACME.Terms, MaxContacts: p.cfg.ACME.MaxContacts,
		Rates: d.store, Limits: limits})
	return err
}

// serve starts answering on every socket.
func (d *daemon) serve() {
	if d.tls != nil {
		d.listen("https", http.HandlerFunc(d.serveHTTPS), &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: d.tls.Certificate})
		d.listen("est", http.HandlerFunc(d.serveEST), d.estTLS())
	}
	for name, routes := range d.mounted() {
		d.listen(name, routes, nil)
	}
}

// mounted gives the routes of the listeners that no reload changes, by name; the
// http listener's hand SCEP to the policy in force.
func (d *daemon) mounted() map[string]chi.Router {
	certificates, lists := aia.New(d.issuers.Certificate), crldoor.New(d.findCRL, time.Now)
	status := func(r chi.Router) {
		certificates.Routes(r)
		lists.Routes(r)
		d.ocsp.Routes(r)
		r.HandleFunc(scep.Prefix+"/*", d.serveSCEP)
		r.HandleFunc(ndesPrefix+"/*", d.serveSCEP)
	}
	health := operations.New(d.log, d.metrics.Handler(), d.checks()...)
	return map[string]chi.Router{"http": d.routes(status, "/acme", est.Prefix),
		"admin": d.routes(health.Routes, "/acme", "/aia", "/crl", "/ocsp", est.Prefix, scep.Prefix, ndesPrefix)}
}

// routes mounts one listener's routes. Paths that another listener serves
// answer 421 (RFC 9110 section 15.5.20).
func (d *daemon) routes(mount func(chi.Router), elsewhere ...string) chi.Router {
	r := chi.NewRouter()
	mount(r)
	for _, prefix := range elsewhere {
		r.HandleFunc(prefix+"/*", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "this listener does not serve that path", http.StatusMisdirectedRequest)
		})
	}
	return r
}

func (d *daemon) listen(name string, h http.Handler, t *tls.Config) {
	socket := d.sockets[name]
	if socket == nil {
		return
	}
	s := &http.Server{Handler: d.behindProxies(name, d.metrics.Recover(name, d.log, h)), TLSConfig: t, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
	if name == "est" { // clients answer a certificate request late, which HTTP/2 forbids (RFC 8740)
		s.Protocols = &http.Protocols{}
		s.Protocols.SetHTTP1(true)
	}
	d.servers = append(d.servers, s)
	d.log.Info("listening", "listener", name, "address", socket.Addr().String())
	go func() {
		var err error
		if t != nil {
			err = s.ServeTLS(socket, "", "")
		} else {
			err = s.Serve(socket)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			d.failed <- fmt.Errorf("listener %s: %w", name, err)
		}
	}()
}

// stop drains: no new connections, requests and validations in flight get
// their time, then keys and store are closed.
func (d *daemon) stop(drain time.Duration) error {
	d.log.Info("stopping", "drain", drain)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	var errs []error
	for _, s := range d.servers {
		errs = append(errs, s.Shutdown(ctx))
	}
	for _, l := range d.sockets {
		l.Close() // closed already where its server was shut down
	}
	if d.administration != nil {
		errs = append(errs, d.administration.Shutdown(ctx))
	}
	if p := d.policy.Load(); p != nil && p.acme != nil {
		p.acme.Close(ctx)
	}
	if d.cancel != nil {
		d.cancel()
	}
	d.working.Wait()
	if d.policy.Load() != nil { // it served: sign what it did
		if _, err := d.signer.All(ctx); err != nil {
			d.log.Warn("audit.checkpoint", "error", err) // made by the next process
		}
	}
	if d.ring != nil {
		errs = append(errs, d.ring.Close())
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	return errors.Join(errs...)
}
