package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/admin"
)

// The operations of the socket, and what they take and give.
const (
	sealRotatePath = "/v1/seal/rotate"
	auditSignPath  = "/v1/audit/checkpoint"
	reloadPath     = "/v1/config/reload"
	certRevokePath = "/v1/cert/revoke"
	certSweepPath  = "/v1/cert/sweep"
)

type (
	sealRotateIn struct {
		Purpose string `json:"purpose"`
	}
	sealRotateOut struct {
		Keys []core.RotatedKey `json:"keys"`
	}
	auditSignIn  struct{}
	auditSignOut struct {
		Checkpoints int `json:"checkpoints"`
	}
	reloadIn  struct{}
	reloadOut struct {
		Digest string `json:"digest"`
	}
)

// operations is the socket's closed table.
func (d *daemon) operations() []admin.Operation {
	return append(slices.Concat(d.crlOperations(), d.credentialOperations(), d.requestOperations()), d.retentionOperation(),
		admin.Op(sealRotatePath, func(ctx context.Context, by admin.Actor, in sealRotateIn) (out sealRotateOut, err error) {
			actor, err := by.For(ca.Installation)
			if err == nil {
				out.Keys, err = core.RotateDataKeys(ctx, d.sealing, in.Purpose, actor)
			}
			return out, err
		}),
		admin.Op(auditSignPath, func(ctx context.Context, by admin.Actor, _ auditSignIn) (out auditSignOut, err error) {
			actor, err := by.For(ca.Installation)
			if err == nil {
				out.Checkpoints, err = core.SignTrail(ctx, d.store, d.signer, actor)
			}
			return out, err
		}),
		admin.Op(reloadPath, func(ctx context.Context, by admin.Actor, _ reloadIn) (out reloadOut, err error) {
			actor, err := by.For(ca.Installation)
			if err == nil {
				out.Digest, err = d.reload(ctx, actor.ID())
			}
			return out, err
		}),
		admin.Op(certRevokePath, func(ctx context.Context, by admin.Actor, in certRevokeIn) (*core.Revoked, error) {
			p := d.enter()
			defer p.leave()
			return d.revoke(ctx, p.cfg, p.authority, in, by.For)
		}),
		admin.Op(certSweepPath, func(ctx context.Context, by admin.Actor, in certSweepIn) (*core.Swept, error) {
			p := d.enter()
			defer p.leave()
			return d.sweep(ctx, p.cfg, p.authority, &in, by.For)
		}),
	)
}

// openSocket starts the administrative socket where one is configured.
func (d *daemon) openSocket() error {
	path := d.cfg.Admin.Socket
	if path == "" {
		return nil
	}
	if d.cfg.Dev && len(path) > 107 {
		d.log.Warn("admin.no_socket", "path", path, "why", "longer than a Unix socket's path may be; take a shorter --data")
		return nil
	}
	uids := []int{0, os.Getuid()}
	server, err := admin.New(admin.Options{Operations: d.operations(), UIDs: slices.Compact(uids),
		Callers: caller.NewVerifier(caller.Operator), Log: d.log, Note: d.store.Note, Now: time.Now})
	if err != nil {
		return err
	}
	l, err := admin.Listen(path)
	if err != nil {
		return err
	}
	d.administration = server
	d.log.Info("listening", "listener", "socket", "address", path)
	d.working.Go(func() {
		if err := server.Serve(l); err != nil {
			d.failed <- err
		}
	})
	return nil
}

// callDaemon has the daemon at the configured socket do something, where there is one.
func callDaemon(ctx context.Context, cfg *config.Config, path string, in, out any) (answered bool, err error) {
	if cfg.Admin.Socket == "" {
		return false, nil
	}
	err = admin.Call(ctx, cfg.Admin.Socket, path, in, out)
	if admin.Absent(err) {
		return false, nil
	}
	return err == nil, err
}

// ask has the daemon at the configured socket do something. Where there is
// none, alone does it, as a replica of its own on the same store.
func (s *source) ask(c console, path string, in, out any, alone func(context.Context, *daemon, caller.Caller) error) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if answered, err := callDaemon(ctx, cfg, path, in, out); answered || err != nil {
		return err
	}
	if alone == nil {
		return fmt.Errorf("no daemon answers at admin.socket %q, and there is nothing to do without one", cfg.Admin.Socket)
	}
	return withStore(ctx, cfg, c, alone)
}
