// Package core is a real core over a store in memory, for the tests of doors: the
// authority (package ca) with its CAs, its profiles, its linter, its approvals and
// its registry of credentials, as the daemon puts them together, but for the clock,
// which a test sets, and for a store that forgets. A door adds its options, its
// server and its client. Whatever cannot be made ends the test.
//
// What a door tests over another store has the CAs, the profiles and the sealing
// from here.
package core

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/memory"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// Options are what a core is made of beside what every core has.
type Options struct {
	Endpoints   []ca.Endpoint                 // their profiles are built in
	Changed     string                        // the profile that Change is for
	Change      func(*profile.Written)        // nil: the profiles are as they are built in
	Completions map[caller.Door]ca.Completion // of requests that wait, which do so for an hour
	Log         *slog.Logger
}

// Core is an authority and what it stands on. All clocks are its own.
type Core struct {
	Clock
	Authority *ca.Authority
	Issuers   *issuer.Registry // those of Authorities
	Store     *memory.Store
	Keyring   *seal.Keyring
	Registry  *credential.Registry
	t         testing.TB
}

// New makes a core, which ends with the test.
func New(t testing.TB, o Options) *Core {
	t.Helper()
	c := &Core{t: t}
	c.Issuers, _ = Authorities(t)
	c.Store = memory.New(memory.Options{Clock: c.Now})
	t.Cleanup(func() { c.Store.Close() })
	c.Keyring = fixture.Must(seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize), c.Store))(t)
	c.Registry = credential.NewRegistry(c.Store, c.Keyring)
	bound := map[string]*profile.Profile{}
	for _, e := range o.Endpoints {
		var changes []func(*profile.Written)
		if o.Change != nil && e.Profile == o.Changed {
			changes = append(changes, o.Change)
		}
		bound[e.ID] = Profile(t, e.Profile, changes...)
	}
	c.Authority = fixture.Must(ca.NewAuthority(ca.Parts{Endpoints: o.Endpoints, Policy: Engine(t, bound, c.Store), Linter: lint.Linter{}, Issuers: c.Issuers, Ledger: c.Store, Log: o.Log, Now: c.Now,
		Approvals: &ca.Approvals{Store: c.Store, Leases: c.Store, Sealing: Sealing{c.Keyring, seal.Pending}, Lifetime: time.Hour, Completions: o.Completions}}))(t)
	return c
}

// Profile is a built-in profile, changed.
func Profile(t testing.TB, id string, changes ...func(*profile.Written)) *profile.Profile {
	t.Helper()
	w, ok, err := profile.BuiltinByID(id)
	if err != nil || !ok {
		t.Fatalf("built-in profile %s: %t, %v", id, ok, err)
	}
	for _, change := range changes {
		change(&w)
	}
	return fixture.Must(profile.Compile(w))(t)
}

// Profiles keeps the texts of profiles.
type Profiles interface {
	KeepProfile(ctx context.Context, hash [32]byte, text []byte) error
}

// Engine decides by the profiles of endpoints, whose texts the stores keep.
func Engine(t testing.TB, bound map[string]*profile.Profile, stores ...Profiles) *profile.Engine {
	t.Helper()
	engine := fixture.Must(profile.NewEngine(bound))(t)
	for _, p := range engine.Profiles() {
		for _, store := range stores {
			if err := store.KeepProfile(t.Context(), p.Hash(), p.Text()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return engine
}

// Sealing seals for one purpose, as the daemon does.
type Sealing struct {
	*seal.Keyring
	Purpose seal.Purpose
}

// Seal implements ca.Sealing.
func (s Sealing) Seal(ctx context.Context, tenant, id string, plain []byte) ([]byte, error) {
	return s.Keyring.Seal(ctx, s.Purpose, tenant, id, plain)
}

// Open implements ca.Sealing.
func (s Sealing) Open(ctx context.Context, tenant, id string, sealed []byte) ([]byte, error) {
	return s.Keyring.Open(ctx, s.Purpose, tenant, id, sealed)
}

// Clock is the real one, set ahead. Its zero value is not.
type Clock struct{ ahead atomic.Int64 } // nanoseconds

// Now is the time by this clock.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Late sets the clock ahead of the real one.
func (c *Clock) Late(by time.Duration) { c.ahead.Store(int64(by)) }

// Pass sets the clock further ahead.
func (c *Clock) Pass(by time.Duration) { c.ahead.Add(int64(by)) }
