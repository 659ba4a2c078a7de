package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
)

// openSeal opens the data keys and what signs the audit trail.
func (d *daemon) openSeal(ctx context.Context) (err error) {
	if d.sealing, err = keyringFrom(d.cfg.Seal, d.store, "seal.key"); err != nil {
		return err
	}
	if err := d.sealing.Refresh(ctx); err != nil {
		return err
	}
	d.signer = audit.NewSigner(d.store, d.sealing, d.log)
	return nil
}

// keyringFrom resolves a key-encryption key; name is what errors call it.
func keyringFrom(ref keys.Secret, store seal.Store, name string) (*seal.Keyring, error) {
	content, err := ref.Resolve()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer clear(content)
	secret, err := config.SealKey(content)
	if err != nil {
		return nil, err
	}
	defer clear(secret[:])
	return seal.NewKeyring(secret[:], store)
}

// followTrust keeps data keys fresh and the audit trail signed.
func (d *daemon) followTrust(ctx context.Context) {
	d.working.Go(func() { d.sealing.Follow(ctx, d.log) })
	d.working.Go(func() { d.signer.Keep(ctx) })
}

// writeAuditRoot writes the root of trust of the audit trail where a developer finds it.
func (d *daemon) writeAuditRoot(ctx context.Context, dir string) error {
	root, err := d.signer.Root(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "audit-root.pem"), audit.EncodeRoot(root), 0o644)
}

// nonceKeys gives the data keys that ACME nonces are authenticated with, as the
// keyring last read them.
func (d *daemon) nonceKeys(ctx context.Context) (acme.NonceKeys, error) {
	if _, err := d.sealing.Keys(ctx, seal.Nonce); err != nil {
		return nil, err
	}
	type converted struct {
		from    *seal.Set
		current acme.NonceKey
		all     []acme.NonceKey
	}
	var last atomic.Pointer[converted]
	return func() (acme.NonceKey, []acme.NonceKey) {
		set := d.sealing.Cached(seal.Nonce)
		if c := last.Load(); c != nil && c.from == set {
			return c.current, c.all
		}
		c := &converted{from: set, current: acme.NonceKey{Version: uint32(set.Current.Version), Secret: set.Current.Secret()}}
		for _, k := range set.All {
			c.all = append(c.all, acme.NonceKey{Version: uint32(k.Version), Secret: k.Secret()})
		}
		last.Store(c)
		return c.current, c.all
	}, nil
}
