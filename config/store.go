package config

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca/keys"
)

// The engines a store can be.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Store says where facts are remembered.
type Store struct {
	Engine string // SQLite or Postgres
	// URL is as written; no password is in it.
	URL      string
	Path     string      // of the SQLite file, absolute; empty for Postgres
	Password keys.Secret // of the runtime role; zero where the server asks for none
	// MigrateURL and MigratePassword are of the role that owns the schema; the
	// same as above where the file does not separate them.
	MigrateURL      string
	MigratePassword keys.Secret
	Writers         int // group commits at the same time, 1 to 16; 1 shares most and costs least
	// UnsafeDurabilityReason, where not empty, says why an engine that cannot
	// tell its durability settings is used all the same.
	UnsafeDurabilityReason string
}

const maxWriters = 16

func (c *checker) store(w writtenStore) Store {
	s := Store{
		URL: w.URL, MigrateURL: w.URL, Writers: 1,
		Password:               c.secret("store.password", w.Password),
		MigratePassword:        c.secret("store.migrate_password", w.MigratePassword),
		UnsafeDurabilityReason: w.UnsafeDurabilityReason,
	}
	if !c.required("store.url", w.URL, "it says where certificates are recorded") {
		return s
	}
	scheme, _, _ := strings.Cut(w.URL, ":")
	switch scheme {
	case "sqlite":
		s.Engine = SQLite
		s.Path = c.sqlitePath("store.url", w.URL)
		for _, key := range []string{"password", "migrate_url", "migrate_password", "unsafe_durability_reason"} {
			if _, written := c.places["store."+key]; written {
				c.problem("store."+key, "SQLite has no roles, passwords or durability settings; the key is for postgres:// URLs")
			}
		}
	case "postgres", "postgresql":
		s.Engine = Postgres
		c.postgresURL("store.url", w.URL, "store.password")
		c.migration(w, &s)
		if c.given("store.unsafe_durability_reason", w.UnsafeDurabilityReason) {
			c.warn("store.unsafe_durability_reason", "certificates may be lost in a crash: durability of the store is not checked (%s)", w.UnsafeDurabilityReason)
		}
	default:
		c.choose("store.url", []string{"sqlite:///absolute/path", "postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full"}, "this is not the URL of a store")
	}
	if w.Writers != nil {
		s.Writers = *w.Writers
		if *w.Writers < 1 || *w.Writers > maxWriters {
			c.problem("store.writers", "1 to %d writers are possible, not %d", maxWriters, *w.Writers)
		} else if s.Engine == SQLite && *w.Writers > 1 {
			c.problem("store.writers", "SQLite has one writer; remove the key")
		}
	}
	return s
}

// migration settles the role that owns the schema.
func (c *checker) migration(w writtenStore, s *Store) {
	if !c.given("store.migrate_url", w.MigrateURL) {
		s.MigratePassword = s.Password
		if w.MigratePassword != "" {
			c.problem("store.migrate_password", "there is no store.migrate_url that it could belong to")
		}
		c.warn("store.url", "the role that serves also owns the schema, so it could delete records; set store.migrate_url to another role")
		return
	}
	s.MigrateURL = w.MigrateURL
	if scheme, _, _ := strings.Cut(w.MigrateURL, ":"); scheme != "postgres" && scheme != "postgresql" {
		c.problem("store.migrate_url", "store.url is a postgres URL, and this must lead to the same database")
		return
	}
	c.postgresURL("store.migrate_url", w.MigrateURL, "store.migrate_password")
	if w.MigrateURL == w.URL {
		c.warn("store.migrate_url", "it is the same as store.url, so the role that serves could delete records; use another role")
	}
}

// sqlitePath takes the path out of sqlite:///absolute/path.
func (c *checker) sqlitePath(field, text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		!path.IsAbs(u.Path) || strings.HasSuffix(u.Path, "/") || strings.ContainsRune(u.Path, 0) {
		c.choose(field, []string{"sqlite:///absolute/path"}, "an SQLite URL names one file, without host or options; durability is not negotiable")
		return ""
	}
	return path.Clean(u.Path)
}

// sslModes are libpq's, from weak to strong.
func sslModes() []string {
	return []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
}

// postgresOptions are the query parameters that a store URL may have.
func postgresOptions() []string {
	return []string{"application_name", "connect_timeout", "host", "search_path", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs"}
}

// postgresURL checks postgres://user@host:port/database?options. No part of the
// text is repeated, because a password may stand in it.
func (c *checker) postgresURL(field, text, passwordKey string) {
	_, rest, found := strings.Cut(text, "://")
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, hosts := "", authority
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, hosts = authority[:i], authority[i+1:]
	}
	database, rawQuery, _ := strings.Cut(tail, "?")
	query, err := url.ParseQuery(rawQuery)
	_, password := query["password"]
	_, sslPassword := query["sslpassword"]
	switch {
	case strings.Contains(user, ":") || strings.Contains(tail, "@") || password || sslPassword:
		c.problem(field, "a password does not belong into the URL, which is logged and shown; write it to a file or variable and set %s: file:/absolute/path or env:NAME", passwordKey)
		return
	case !found || err != nil || strings.Contains(tail, "#") || badEscape(user) || badEscape(database):
		c.problem(field, "postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full is wanted here, special characters percent-encoded")
		return
	case strings.Trim(database, "/") == "" || strings.Count(database, "/") != 1:
		c.problem(field, "the URL names no database; write its name after the host: /enrollgate")
	}
	c.postgresQuery(field, query)
	c.postgresHosts(field, strings.Split(hosts, ","), query)
}

func badEscape(text string) bool {
	_, err := url.PathUnescape(text)
	return err != nil
}

func (c *checker) postgresQuery(field string, query url.Values) {
	for _, key := range sortedKeys(query) {
		switch {
		case !slices.Contains(postgresOptions(), key):
			c.choose(field, postgresOptions(), "the option %s is not known%s", quote(key), suggest(key, postgresOptions()))
		case len(query[key]) > 1:
			c.problem(field, "the option %s stands in the URL twice", key)
		}
	}
	for _, key := range []string{"sslrootcert", "sslcert", "sslkey", "host"} {
		if value, ok := query[key]; ok && !path.IsAbs(value[0]) {
			c.problem(field, "the option %s is an absolute path", key)
		}
	}
	if mode, ok := query["sslmode"]; ok && !slices.Contains(sslModes(), mode[0]) {
		c.choose(field, sslModes(), "sslmode is not known")
	}
}

// postgresHosts checks the hosts, several of which may be separated by commas,
// and that whatever is not on this machine proves who it is.
func (c *checker) postgresHosts(field string, hosts []string, query url.Values) {
	if query.Has("host") {
		if len(hosts) != 1 || strings.Trim(hosts[0], ":0123456789") != "" {
			c.problem(field, "the option host is the directory of a Unix socket; leave the host before the slash empty then")
		}
		return
	}
	remote := false
	for _, host := range hosts {
		name, port := host, ""
		if i := strings.LastIndex(host, ":"); i >= 0 && !strings.HasSuffix(host, "]") {
			name, port = host[:i], host[i+1:]
			if !validPort(port) {
				c.problem(field, "a port is a number from 1 to 65535; if a password with a colon stands before it, see %s", "store.password")
				return
			}
		}
		if bare, ok := strings.CutPrefix(name, "["); ok {
			name = strings.TrimSuffix(bare, "]")
		}
		if !validHost(name) {
			c.problem(field, "the URL names no host, or one that is neither a DNS name nor an IP address; IPv6 goes in brackets")
			return
		}
		remote = remote || !loopback(name)
	}
	if remote && query.Get("sslmode") != "verify-full" {
		c.problem(field, "a store on another machine must prove who it is: add sslmode=verify-full, and sslrootcert=/absolute/path of its CA's certificate")
	}
}

func sortedKeys(query url.Values) []string {
	out := make([]string, 0, len(query))
	for key := range query {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}
