package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme/recent"
)

// generationsPoll is how long a replica may not know of a CA's new generation.
const generationsPoll = 2 * time.Second

type serveCmd struct {
	source
}

// Run starts the daemon and stops it on SIGINT or SIGTERM: new connections are
// refused at once, requests in flight get drain_timeout to finish.
func (s *serveCmd) Run(c console) error {
	if os.Getenv("GOGC") == "" { // what lives is small, and most of it for a request
		debug.SetGCPercent(400)
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	level := &slog.LevelVar{}
	level.Set(cfg.Log.Level)
	log := newLogAt(cfg.Log, level, c.err)
	for _, w := range cfg.Warnings {
		log.Warn("config.warning", "text", w)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	d, err := s.start(ctx, cfg, log, level)
	if err != nil {
		return err
	}
	if s.Dev {
		welcome(c.out, s.Data, cfg)
	}
	fmt.Fprintln(c.out, "ready")
	select {
	case <-ctx.Done():
	case err = <-d.failed:
	}
	stop() // a second signal ends the process at once
	return errors.Join(err, d.stop(cfg.Drain))
}

// start brings everything up; what was started before a failure is stopped again.
func (s *serveCmd) start(ctx context.Context, cfg *config.Config, log *slog.Logger, level *slog.LevelVar) (d *daemon, err error) {
	written := *cfg // before addresses are bound
	reread := func() (*config.Config, error) {
		again := s.source // load fills in defaults
		return again.load()
	}
	d = &daemon{cfg: cfg, log: log, failed: make(chan error, 5), hungUp: make(chan struct{}, 1), reread: reread, written: &written, level: level}
	d.background, d.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop(cfg.Drain))
		}
	}()
	if s.Dev {
		if err := prepareDev(s.Data); err != nil {
			return d, err
		}
		warnings, err := migrate(ctx, cfg.Store)
		if err != nil {
			return d, err
		}
		for _, w := range warnings {
			log.Warn("store.migrated", "text", w)
		}
	}
	if err := d.openStore(ctx); err != nil {
		return d, err
	}
	d.recent = recent.New(d.store, time.Now)
	if err := d.openSeal(ctx); err != nil {
		return d, err
	}
	if err := d.bind(); err != nil {
		return d, err
	}
	if s.Dev {
		if err := d.ensureDevCA(ctx, s.Data); err != nil {
			return d, err
		}
	}
	if err := d.openCAs(ctx); err != nil {
		return d, err
	}
	if s.Dev {
		issuer, err := d.issuers.Issuer(devTenant, devCA)
		if err != nil {
			return d, err
		}
		if err := writeTrust(s.Data, issuer.Facts().Root, issuer.Facts().Chain); err != nil {
			return d, err
		}
		if err := d.ensureDevCredentials(ctx, s.Data); err != nil {
			return d, err
		}
	}
	if err := d.observe(); err != nil {
		return d, err
	}
	if err := d.openProxies(); err != nil {
		return d, err
	}
	if err := d.openCRLs(ctx); err != nil {
		return d, err
	}
	d.makeRAs()
	first, err := d.assemble(ctx, cfg, nil)
	if err != nil {
		return d, err
	}
	d.policy.Store(first)
	if err := d.openTLS(ctx, s.Data); err != nil {
		return d, err
	}
	if err := d.openStatus(ctx, s.Data); err != nil {
		return d, err
	}
	d.openRAs(ctx)
	if d.retention, err = d.keeper(); err != nil {
		return d, err
	}
	if err := d.openSocket(); err != nil {
		return d, err
	}
	if s.Dev {
		if err := d.writeAuditRoot(ctx, s.Data); err != nil {
			return d, err
		}
		if err := d.writeRun(filepath.Join(s.Data, "run.json")); err != nil {
			return d, err
		}
	}
	if err := d.startUpkeep(ctx); err != nil {
		return d, err
	}
	d.followTrust(d.background)
	d.working.Go(func() { d.issuers.Follow(d.background, generationsPoll, d.log) })
	d.followStatus(d.background)
	d.followRAs(d.background)
	d.followForeign(d.background)
	d.followSignals(d.background)
	d.working.Go(func() { d.shareRates(d.background) })
	d.serve()
	return d, nil
}

func newLog(l config.Log, w io.Writer) *slog.Logger { return newLogAt(l, l.Level, w) }

// newLogAt is newLog with a level that may change.
func newLogAt(l config.Log, level slog.Leveler, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
