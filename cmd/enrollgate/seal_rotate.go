package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/config"
)

type sealCmd struct {
	Rotate sealRotateCmd `cmd:"" help:"Make new versions of data keys, or change the key-encryption key."`
}

type sealRotateCmd struct {
	source
	Purpose string `help:"Purpose of the data keys: nonce, audit, ra, eab, lookup, or all." placeholder:"PURPOSE"`
	KEK     bool   `name:"kek" help:"Put every data key under the key-encryption key of --new-key."`
	NewKey  string `help:"The new key-encryption key: file:/PATH or env:NAME; the old one is seal.key." placeholder:"SECRET"`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Run rotates through the daemon where one answers. The key-encryption key is
// changed by this process itself: both keys are then read here, and no daemon
// opens a file that somebody names over a socket.
func (cmd *sealRotateCmd) Run(c console) error {
	switch {
	case cmd.KEK == (cmd.Purpose != ""):
		return fmt.Errorf("%w: give --purpose PURPOSE, or --kek with --new-key", errUsage)
	case cmd.KEK != (cmd.NewKey != ""):
		return fmt.Errorf("%w: --kek and --new-key go together", errUsage)
	case cmd.KEK:
		return cmd.changeKey(c)
	}
	var out sealRotateOut
	err := cmd.ask(c, sealRotatePath, sealRotateIn{cmd.Purpose}, &out, func(ctx context.Context, d *daemon, actor caller.Caller) (err error) {
		out.Keys, err = core.RotateDataKeys(ctx, d.sealing, cmd.Purpose, actor)
		return err
	})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return json.NewEncoder(c.out).Encode(out)
	}
	for _, k := range out.Keys {
		if _, err := fmt.Fprintf(c.out, "data key %s has version %d now; it is used from 30 seconds on\n", k.Purpose, k.Version); err != nil {
			return err
		}
	}
	return nil
}

func (cmd *sealRotateCmd) changeKey(c console) error {
	ref, err := keys.ParseSecret(cmd.NewKey)
	if err != nil {
		return fmt.Errorf("%w: --new-key is file:/absolute/path or env:NAME", errUsage)
	}
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	return withStore(context.Background(), cfg, c, func(ctx context.Context, d *daemon, actor caller.Caller) error {
		next, err := keyringFrom(ref, d.store, "--new-key")
		if err != nil {
			return err
		}
		n, err := core.ChangeSealKey(ctx, d.sealing, next, actor)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return json.NewEncoder(c.out).Encode(map[string]int{"rewrapped": n})
		}
		_, err = fmt.Fprintf(c.out, "%s now open with the new key alone: set seal.key to it and restart every replica\n", count(n, "data key"))
		return err
	})
}

// withStore runs f as a replica of its own, in the name of whoever runs this process.
func withStore(ctx context.Context, cfg *config.Config, c console, f func(context.Context, *daemon, caller.Caller) error) (err error) {
	d := &daemon{cfg: cfg, log: newLog(cfg.Log, c.err)}
	if err := d.openStore(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.store.Close()) }()
	if err := d.openSeal(ctx); err != nil {
		return err
	}
	actor, err := localOperator(ca.Installation)
	if err != nil {
		return err
	}
	return f(ctx, d, actor)
}
