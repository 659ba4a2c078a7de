package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/config"
)

// followSignals reloads the configuration on SIGHUP until ctx ends.
func (d *daemon) followSignals(ctx context.Context) {
	hangups := make(chan os.Signal, 1) // more that come meanwhile are one
	signal.Notify(hangups, syscall.SIGHUP)
	d.working.Go(func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				select {
				case d.hungUp <- struct{}{}:
				default: // one is waiting
				}
				// The outcome is in the log: a signal has nobody to answer.
				_, _ = d.reload(ctx, "service:signal")
			}
		}
	})
}

// reload reads the configuration again and puts it in force, or changes nothing
// and says why. It gives the digest of the policy.
func (d *daemon) reload(ctx context.Context, actor string) (digest string, err error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	next, err := d.reread()
	if err != nil {
		var problems config.Problems
		if !errors.As(err, &problems) {
			d.log.Error("config.invalid", "problem", err.Error())
			return "", ca.Wrap(ca.BadRequest, err, "the configuration cannot be read; nothing was changed")
		}
		for _, p := range problems {
			d.log.Error("config.invalid", "problem", p.Error())
		}
		return "", ca.Errorf(ca.BadRequest, "the configuration has %d mistakes; nothing was changed: %s", len(problems), problems.Error())
	}
	for _, w := range next.Warnings {
		d.log.Warn("config.warning", "text", w)
	}
	if keys := d.written.NeedsRestart(next); len(keys) > 0 {
		d.log.Warn("config.restart_needed", "keys", strings.Join(keys, " "))
		return "", ca.Errorf(ca.Conflict, "%s changed, which needs a restart; nothing was changed", strings.Join(keys, ", "))
	}
	applied := *next
	applied.BaseURL = d.cfg.BaseURL // with the addresses that were bound
	digest = fmt.Sprintf("%x", applied.Digest())
	old := d.policy.Load()
	p, err := d.assemble(ctx, &applied, old)
	if err != nil {
		d.log.Error("config.refused", "error", err)
		return "", fmt.Errorf("the configuration cannot be put in force; nothing was changed: %w", err)
	}
	detail, err := json.Marshal(map[string]string{"digest": digest})
	if err == nil {
		err = d.store.Append(ctx, ca.Audit{Tenant: ca.Installation, Event: "config.reloaded", Actor: actor, Trace: ca.NewTrace(), Detail: detail})
	}
	if err != nil {
		d.log.Error("config.refused", "error", err)
		d.retire(p)
		return "", err
	}
	d.policy.Store(p)
	d.heartbeat.Configured(applied.Digest())
	d.written = next
	d.level.Set(next.Log.Level)
	d.log.Info("config.reloaded", "digest", digest, "endpoints", len(applied.Endpoints))
	d.retire(old)
	return digest, nil
}
