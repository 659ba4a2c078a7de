// Package backup is the archive that a store is written to and restored from:
// one file, which a driver fills from one consistent view of its store.
//
// The file is a tar archive (POSIX.1-1988 ustar, with PAX headers where a field
// is too long). Every part is a run of members NAME/000001, NAME/000002, ... of at
// most 4 MiB, so that what is streamed needs no length beforehand; then come
// manifest.json, and manifest.sha256 with the SHA-256 of every octet before it.
// A file with one octet changed, missing or added is refused before anything
// in it is used. The digest notices damage; it is no signature: who can write
// the file can make another one, so its digest is recorded in the audit trail
// of the store that was backed up.
//
// Private keys are never in it. The manifest lists where they are.
package backup

import (
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Format is the version of the archive that this package reads and writes.
const Format = 1

// Kinds of stores.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Manifest says what an archive holds.
type Manifest struct {
	Format  int       `json:"format"`
	Store   string    `json:"store"`            // SQLite or Postgres
	Engine  string    `json:"engine,omitempty"` // what the database calls itself, for people
	Schema  int64     `json:"schema"`           // version of the tables
	Program string    `json:"program"`          // version of the program that wrote it
	Created time.Time `json:"created"`          // by the store's clock, at the moment that the archive shows
	Config  string    `json:"config"`           // hexadecimal digest of the policy in force

	Feed   int64   `json:"feed_position"` // last position of the status feed
	CRLs   []List  `json:"crls"`
	Keys   []Key   `json:"keys_not_included"` // what else a restore needs
	Parts  []Part  `json:"parts"`             // in the order of the file
	Tables []Table `json:"tables"`            // by name
	Months []int32 `json:"months,omitempty"`  // that have partitions; Postgres alone
}

// List is where a scope of CRLs stands; see ca.CRLHead.
type List struct {
	Tenant   string `json:"tenant"`
	CA       string `json:"ca"`
	Scope    string `json:"scope"`
	Number   int64  `json:"number"`
	Complete int64  `json:"complete"`
	Delta    int64  `json:"delta,omitempty"`
}

// Key is a secret outside of the store: what for, and where it was.
type Key struct {
	For string `json:"for"`
	At  string `json:"at"` // key URI or reference, without any secret
}

// Part is one run of octets in the archive.
type Part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// Table is one table as it was.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	SHA256  string   `json:"sha256"` // hexadecimal; of its rows as the driver writes them
}

// Rows counts the rows of all tables.
func (m *Manifest) Rows() (n int64) {
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// Table finds a table, nil where the archive has none of that name.
func (m *Manifest) Table(name string) *Table {
	for i := range m.Tables {
		if m.Tables[i].Name == name {
			return &m.Tables[i]
		}
	}
	return nil
}

// Fits refuses an archive of another kind of store, or of a newer program, as BadRequest.
func (m *Manifest) Fits(kind string, schema int64) error {
	switch {
	case m.Store != kind:
		return ca.Errorf(ca.BadRequest, "the backup is of a %s store and store.url names a %s store; a backup is restored into the kind of store it was made from", m.Store, kind)
	case m.Schema > schema:
		return ca.Errorf(ca.BadRequest, "the backup's tables have version %d, this program knows %d; restore it with the program that wrote it, or a newer one", m.Schema, schema)
	case m.Schema < 1:
		return ca.Errorf(ca.BadRequest, "the backup does not say which version its tables have")
	}
	return nil
}

// Progress is told now and then which part is being worked on, and how many of
// its octets are done; nil is for nobody.
type Progress func(part string, octets int64)

func (p Progress) say(part string, octets int64) {
	if p != nil {
		p(part, octets)
	}
}

func damaged(format string, args ...any) error {
	return ca.Errorf(ca.BadRequest, "the backup is damaged and must not be restored: %s", fmt.Sprintf(format, args...))
}
