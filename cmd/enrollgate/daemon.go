package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/background"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/protocols/aia"
	"github.com/enrollgate/enrollgate/protocols/operations"
)

// daemon is everything that runs. Its methods are called in the order they
// stand here; stop undoes whatever was done.
type daemon struct {
	cfg    *config.Config
	log    *slog.Logger
	failed chan error // a listener that ended by itself

	store     store
	ring      *keys.Ring
	issuers   *issuer.Registry
	authority *ca.Authority
	acme      *acme.Door
	tls       certificateSource
	sockets   map[string]net.Listener // by listener name
	servers   []*http.Server
	cancel    context.CancelFunc // ends what runs in the background

	replica   string // id of this process in the store
	metrics   *operations.Metrics
	heartbeat *background.Heartbeat
	upkeep    *background.Runner
	endUpkeep func() // ends both and waits
}

// bind opens the sockets first, so that port 0 is known before anything is told a URL.
func (d *daemon) bind() error {
	d.sockets = map[string]net.Listener{}
	for name, address := range map[string]string{"https": d.cfg.Listen.HTTPS, "http": d.cfg.Listen.HTTP, "admin": d.cfg.Listen.Admin} {
		if address == "" {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("cannot listen on %s (listen.%s): %w", address, name, err)
		}
		d.sockets[name] = l
	}
	for name, base := range map[string]*string{"https": &d.cfg.BaseURL.HTTPS, "http": &d.cfg.BaseURL.HTTP} {
		if l := d.sockets[name]; l != nil && *base == "" {
			url, err := externalURL(name, l.Addr().String())
			if err != nil {
				return err
			}
			*base = url
		}
	}
	return nil
}

// openCAs opens every CA's key and certificate.
func (d *daemon) openCAs(ctx context.Context) error {
	var bindings []issuer.Binding
	for _, c := range d.cfg.CAs {
		b := issuer.Binding{Tenant: c.Tenant, CA: c.ID, Secret: c.KeyPassword}
		if d.sockets["http"] != nil { // no URL is issued that no listener serves
			b.URLs.AIA = []string{d.cfg.BaseURL.HTTP + issuer.AIAPath(c.Tenant, c.ID)}
		}
		bindings = append(bindings, b)
	}
	var err error
	d.issuers, err = issuer.Load(ctx, d.store, d.keyring(), bindings)
	return err
}

func (d *daemon) keyring() *keys.Ring {
	if d.ring == nil {
		d.ring = keys.NewRing()
	}
	return d.ring
}

// assemble builds the core and the doors.
func (d *daemon) assemble(ctx context.Context) error {
	endpoints := append([]ca.Endpoint(nil), d.cfg.Endpoints...)
	if own, ok := d.serviceEndpoint(); ok {
		endpoints = append(endpoints, own)
	}
	bound := map[string]*profile.Profile{}
	for _, e := range endpoints {
		bound[e.ID] = d.cfg.Profiles[e.Profile]
	}
	engine, err := profile.NewEngine(bound)
	if err != nil {
		return err
	}
	for _, p := range engine.Profiles() {
		if err := d.store.KeepProfile(ctx, p.Hash(), p.Text()); err != nil {
			return err
		}
	}
	d.metrics.Bound(endpoints)
	d.authority, err = ca.NewAuthority(ca.Parts{Observer: d.metrics, Endpoints: endpoints, Policy: engine, Linter: lint.Linter{}, Issuers: d.issuers,
		Ledger: d.store, Log: d.log, Now: time.Now})
	if err != nil {
		return err
	}
	return d.assembleACME(ctx)
}

func (d *daemon) assembleACME(ctx context.Context) error {
	nonces, err := d.nonceKeys(ctx)
	if err != nil {
		return err
	}
	validators, err := d.validators()
	if err != nil {
		return err
	}
	var endpoints []ca.Endpoint
	for _, e := range d.cfg.Endpoints {
		if e.Door == caller.ACME {
			endpoints = append(endpoints, e)
		}
	}
	if len(endpoints) == 0 {
		return nil
	}
	d.acme, err = acme.New(acme.Options{Observer: d.metrics, BaseURL: d.cfg.BaseURL.HTTPS, Endpoints: endpoints, Core: d.authority, Issuers: d.issuers,
		Certificates: d.store, Store: d.store, Callers: caller.NewVerifier(caller.ACME), Claims: claim.NewVerifier(caller.ACME),
		Nonces: nonces, Validators: validators, Log: d.log, Now: time.Now, OrderLifetime: d.cfg.ACME.OrderLifetime,
		AuthorizationLifetime: d.cfg.ACME.AuthLifetime, Schedule: d.cfg.ACME.HTTP01.Waits})
	return err
}

// validators make the challenge types that every ACME endpoint offers.
func (d *daemon) validators() (map[claim.Method]acme.Validator, error) {
	c := d.cfg.ACME
	options := va.Options{Resolvers: c.Resolvers, Allow: c.AllowTargets, LocalhostToLoopback: c.LocalhostToLoopback,
		Port: c.HTTP01.Port, Timeout: c.HTTP01.Timeout}
	http01, err := va.NewHTTP01(options)
	if err != nil {
		return nil, err
	}
	dns01, err := va.NewDNS01(options)
	if err != nil {
		return nil, err
	}
	return map[claim.Method]acme.Validator{claim.HTTP01: http01, claim.DNS01: dns01}, nil
}

// nonceKeys unwraps the data keys that ACME nonces are authenticated with.
func (d *daemon) nonceKeys(ctx context.Context) (acme.NonceKeys, error) {
	content, err := d.cfg.Seal.Resolve()
	if err != nil {
		return nil, fmt.Errorf("seal.key: %w", err)
	}
	secret, err := config.SealKey(content)
	if err != nil {
		return nil, err
	}
	ring, err := seal.NewKeyring(secret[:], d.store)
	if err != nil {
		return nil, err
	}
	data, err := ring.Keys(ctx, seal.Nonce)
	if err != nil {
		return nil, err
	}
	all := make([]acme.NonceKey, len(data))
	for i, k := range data {
		all[i] = acme.NonceKey{Version: uint32(k.Version), Secret: k.Secret()}
	}
	return func() (acme.NonceKey, []acme.NonceKey) { return all[len(all)-1], all }, nil
}

// serve starts answering on every socket.
func (d *daemon) serve() {
	d.listen("https", d.acmeRoutes(), &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: d.tls.Certificate})
	publisher := aia.New(d.issuers.Certificates())
	d.listen("http", d.routes(publisher.Routes, "/acme"), nil)
	health := operations.New(d.log, d.metrics.Handler(), d.checks()...)
	d.listen("admin", d.routes(health.Routes, "/acme", "/aia"), nil)
}

func (d *daemon) acmeRoutes() http.Handler {
	if d.acme == nil {
		return d.routes(func(chi.Router) {}, "/aia")
	}
	return d.routes(d.acme.Routes, "/aia")
}

// routes mounts one listener's routes. Paths that another listener serves
// answer 421 (RFC 9110 section 15.5.20).
func (d *daemon) routes(mount func(chi.Router), elsewhere ...string) http.Handler {
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
	s := &http.Server{Handler: d.metrics.Recover(name, d.log, h), TLSConfig: t, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
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
	if d.acme != nil {
		d.acme.Close(ctx)
	}
	if d.cancel != nil {
		d.cancel()
	}
	if d.endUpkeep != nil {
		d.endUpkeep()
	}
	if d.ring != nil {
		errs = append(errs, d.ring.Close())
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	return errors.Join(errs...)
}
