package main

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/store/backup"
	"github.com/enrollgate/enrollgate/store/postgres"
	"github.com/enrollgate/enrollgate/store/sqlite"
)

// store is what a driver offers to core and doors together.
type store interface {
	ca.Ledger
	ca.Statuses
	ca.Archive
	ca.CRLs
	ca.Months
	ca.Leases
	ca.Outbox
	ca.Generations
	ca.ServiceCertificates
	seal.Store
	audit.Store
	credential.Store
	credential.Upkeep
	state.Store
	ca.Upkeep
	ca.Replicas
	ca.PendingStore
	ca.SupersededStore
	ca.KeptReplies
	ca.Renewals
	state.Upkeep
	state.Rates
	Counters() ca.StoreCounters
	Durability(ctx context.Context) ([]ca.Durability, error)
	Backup(ctx context.Context, w *backup.Writer) error
	io.Closer
}

// openStore opens the configured store.
func (d *daemon) openStore(ctx context.Context) error {
	s, replica := d.cfg.Store, ca.RandomID(10)
	d.replica = replica
	if s.Engine == config.SQLite {
		opened, err := sqlite.Open(ctx, sqlite.Options{Path: s.Path, Log: d.log, Replica: replica})
		if err != nil {
			return err
		}
		d.store = opened
		return nil
	}
	dsn, err := withPassword(s.URL, s.Password)
	if err != nil {
		return err
	}
	opened, err := postgres.Open(ctx, postgres.Options{URL: dsn, Replica: replica, Writers: s.Writers,
		UnsafeReason: s.UnsafeDurabilityReason, Log: d.log})
	if err != nil {
		return err
	}
	d.store = opened
	return nil
}

// migrate makes or updates the tables and grants the runtime role what it
// needs. It gives warnings where there is something to think about.
func migrate(ctx context.Context, s config.Store) (warnings []string, err error) {
	if s.Engine == config.SQLite {
		return nil, sqlite.Migrate(ctx, s.Path)
	}
	owner, runtime, err := roles(s)
	if err != nil {
		return nil, err
	}
	return postgres.Migrate(ctx, owner, runtime)
}

// roles gives the URL of the role that owns the tables, with its password, and
// the name of the role that serves.
func roles(s config.Store) (ownerURL, runtime string, err error) {
	ownerURL, err = withPassword(s.MigrateURL, s.MigratePassword)
	if err != nil {
		return "", "", err
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", "", fmt.Errorf("store.url: %w", err)
	}
	return ownerURL, u.User.Username(), nil
}

// withPassword puts a password, looked up now, into a connection URL that is
// handed to the driver and nowhere else.
func withPassword(dsn string, password keys.Secret) (string, error) {
	if password.IsZero() {
		return dsn, nil
	}
	secret, err := password.Resolve()
	if err != nil {
		return "", err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("store.url: %w", err)
	}
	u.User = url.UserPassword(u.User.Username(), string(secret))
	return u.String(), nil
}
