package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enrollgate/enrollgate/ca"
)

// parseURL reads a connection URL and refuses one that would let somebody on
// the way listen or answer in the server's place. Errors never show the URL.
func parseURL(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		var reason *pgconn.ParseConfigError
		if errors.As(err, &reason) { // its text has the password masked
			return nil, fmt.Errorf("postgres: %w", reason)
		}
		return nil, errors.New("postgres: the store's URL or one of its pool_ settings does not parse; write postgres://user:password@host/database")
	}
	type way struct {
		host string
		tls  *tls.Config
	}
	ways := []way{{config.ConnConfig.Host, config.ConnConfig.TLSConfig}}
	for _, f := range config.ConnConfig.Fallbacks {
		ways = append(ways, way{f.Host, f.TLSConfig})
	}
	for _, w := range ways {
		if local(w.host) {
			continue
		}
		if w.tls == nil || w.tls.InsecureSkipVerify || w.tls.ServerName != w.host {
			return nil, fmt.Errorf("postgres: %s is another machine: add sslmode=verify-full to the store's URL (and sslrootcert=FILE where its CA is your own)", w.host)
		}
	}
	return config, nil
}

// local tells whether a host is this machine: a Unix socket or loopback.
func local(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// check asks the engine whether it is durable and migrated.
func (s *Store) check(ctx context.Context, reason string) error {
	var fsync, fullPages, commit *string
	if err := s.pool.QueryRow(ctx, sql.Settings).Scan(&fsync, &fullPages, &commit); err != nil {
		return ca.UnavailableError(fmt.Errorf("ask the server for its settings: %w", err), 2*time.Second)
	}
	if commit != nil {
		s.durability = *commit
	}
	if found := undurable(fsync, fullPages, commit); found != "" {
		if reason == "" {
			return fmt.Errorf("postgres: %s: an issued certificate could be lost after it was handed out. Turn it on, or accept the risk by giving a reason", found)
		}
		s.unsafe = reason
		s.log.Error("store.unsafe", "found", found, "reason", reason)
	}
	return s.checkVersion(ctx)
}

// Durability tells how the settings stand that undurable judges.
func (s *Store) Durability(ctx context.Context) ([]ca.Durability, error) {
	var fsync, fullPages, commit *string
	if err := s.pool.QueryRow(ctx, sql.Settings).Scan(&fsync, &fullPages, &commit); err != nil {
		return nil, readError(err, "setting")
	}
	return durability(fsync, fullPages, commit), nil
}

// durability judges the settings; nil is one that the engine does not have.
func durability(fsync, fullPages, commit *string) (all []ca.Durability) {
	for _, s := range []struct {
		name  string
		value *string
		safe  []string
	}{
		{"fsync", fsync, []string{"on"}},
		{"full_page_writes", fullPages, []string{"on"}},
		// All of these wait for the local disk.
		{"synchronous_commit", commit, []string{"on", "local", "remote_write", "remote_apply"}},
	} {
		d := ca.Durability{Setting: s.name, Value: "not said by the server"}
		if s.value != nil {
			d.Value, d.Safe = *s.value, slices.Contains(s.safe, *s.value)
		}
		all = append(all, d)
	}
	return all
}

// undurable names what keeps a commit from being durable.
func undurable(fsync, fullPages, commit *string) string {
	for _, s := range durability(fsync, fullPages, commit) {
		if !s.Safe {
			return s.Setting + " is " + s.Value
		}
	}
	return ""
}

// checkVersion holds the schema against the one this program was built with.
func (s *Store) checkVersion(ctx context.Context) error {
	var found, least *int64
	err := s.pool.QueryRow(ctx, sql.Version).Scan(&found, &least)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000"): // undefined table, schema
		return errors.New("postgres: the database has no schema yet: run `enrollgate migrate`")
	case errors.As(err, &pg) && pg.Code == "42501":
		return errors.New("postgres: the runtime role may not read the schema: run `enrollgate migrate`, which grants it what it needs")
	case err != nil:
		return ca.UnavailableError(fmt.Errorf("read the schema's version: %w", err), 2*time.Second)
	}
	want, err := newest()
	switch {
	case err != nil:
		return err
	case found == nil || least == nil || *found < want:
		return fmt.Errorf("postgres: the database's schema is older than this program needs (version %d): run `enrollgate migrate`", want)
	case *least > want:
		return fmt.Errorf("postgres: the database's schema is too new for this program: it asks for version %d at least, this one has %d. Install the newer program; `enrollgate migrate` never goes back", *least, want)
	}
	return nil
}
