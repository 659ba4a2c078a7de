package conformance

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/seal"
)

var sealCases = []Case{
	{"Rewrap", rewrap},
	{"RewrapConflict", rewrapConflict},
	{"TwoKeyrings", twoKeyrings},
}

func keyAudit() ca.Audit {
	return ca.Audit{Tenant: ca.Installation, Event: "seal.key_added", Actor: "operator:x", Trace: ca.NewTrace(), Detail: []byte("{}")}
}

func secretOf(b byte) []byte {
	out := make([]byte, seal.KeySize)
	for i := range out {
		out[i] = b
	}
	return out
}

func (k *kit) keyring(b byte) *seal.Keyring {
	r, err := seal.NewKeyring(secretOf(b), k.Store)
	if err != nil {
		k.Fatalf("keyring: %v", err)
	}
	return r
}

// rewrap: what was sealed before opens after, with the new key-encryption key alone.
func rewrap(t T, open func() *Driver) {
	k := start(t, open)
	before := k.keyring(1)
	row, err := before.Seal(t.Context(), "test", Tenant, "row", []byte("secret"))
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	if _, err := before.Rotate(t.Context(), "test", keyAudit()); err != nil {
		t.Fatalf("rotate: %v", err)
	}
	change := keyAudit()
	n, err := before.Rewrap(t.Context(), k.keyring(2), change)
	if err != nil || n != 2 {
		t.Fatalf("rewrap: %d keys, %v", n, err)
	}
	if k.audited(change.Trace) != 1 {
		t.Errorf("the rewrap has no audit row")
	}
	if err := k.keyring(1).Refresh(t.Context()); !errors.Is(err, seal.ErrOtherKey) {
		t.Errorf("the old key-encryption key: %v", err)
	}
	if got, err := k.keyring(2).Open(t.Context(), "test", Tenant, "row", row); err != nil || string(got) != "secret" {
		t.Errorf("a row sealed before: %q, %v", got, err)
	}
	if _, err := before.Rotate(t.Context(), "test", keyAudit()); err == nil {
		t.Errorf("a process with the old key-encryption key added a data key")
	}
	if got, err := before.Open(t.Context(), "test", Tenant, "row", row); err != nil || string(got) != "secret" {
		t.Errorf("a process with the old key-encryption key lost the keys it had read: %q, %v", got, err)
	}
}

// rewrapConflict: a store that changed meanwhile is left as it was.
func rewrapConflict(t T, open func() *Driver) {
	k := start(t, open)
	r := k.keyring(1)
	if _, err := r.Keys(t.Context(), "test"); err != nil {
		t.Fatalf("keys: %v", err)
	}
	from, err := k.Store.DataKeys(t.Context())
	if err != nil || len(from) != 1 {
		t.Fatalf("data keys: %v, %v", from, err)
	}
	stale := slices.Clone(from)
	from[0].KEK = [32]byte{9}
	to := []seal.WrappedKey{{Purpose: from[0].Purpose, Version: 1, KEK: [32]byte{8}, Wrapped: []byte("other")}}
	k.kind("a rewrap from another key-encryption key", k.Store.Rewrap(t.Context(), from, to, keyAudit()), ca.Conflict)
	if _, err := r.Rotate(t.Context(), "test", keyAudit()); err != nil {
		t.Fatalf("rotate: %v", err)
	}
	late, err := seal.NewKeyring(secretOf(1), staleKeys{k.Store, stale})
	if err != nil {
		t.Fatalf("keyring: %v", err)
	}
	_, err = late.Rewrap(t.Context(), k.keyring(2), keyAudit())
	k.kind("a rewrap that does not know a new key", err, ca.Conflict)
	if err := k.keyring(1).Refresh(t.Context()); err != nil {
		t.Errorf("after refused rewraps: %v", err)
	}
}

// staleKeys answers with the data keys of a moment ago.
type staleKeys struct {
	seal.Store
	old []seal.WrappedKey
}

func (s staleKeys) DataKeys(context.Context) ([]seal.WrappedKey, error) {
	return slices.Clone(s.old), nil
}

// twoKeyrings: a new version is known to every process before any uses it.
func twoKeyrings(t T, open func() *Driver) {
	k := start(t, open)
	a, b := k.keyring(1), k.keyring(1)
	for _, r := range []*seal.Keyring{a, b} {
		if set, err := r.Keys(t.Context(), seal.Nonce); err != nil || set.Current.Version != 1 {
			t.Fatalf("first key: %v, %v", set, err)
		}
	}
	if v, err := a.Rotate(t.Context(), seal.Nonce, keyAudit()); err != nil || v != 2 {
		t.Fatalf("rotate: version %d, %v", v, err)
	}
	refresh := func() {
		for _, r := range []*seal.Keyring{a, b} {
			if err := r.Refresh(t.Context()); err != nil {
				t.Fatalf("refresh: %v", err)
			}
		}
	}
	refresh()
	for _, r := range []*seal.Keyring{a, b} {
		if set := r.Cached(seal.Nonce); set.Current.Version != 1 || len(set.All) != 2 {
			t.Errorf("at once: current %d of %d, want 1 of 2", set.Current.Version, len(set.All))
		}
	}
	k.Advance(seal.CurrentAfter + time.Second)
	refresh()
	one, two := a.Cached(seal.Nonce), b.Cached(seal.Nonce)
	if one.Current.Version != 2 || two.Current.Version != 2 || string(one.Current.Secret()) != string(two.Current.Secret()) {
		t.Errorf("later: versions %d and %d, want the same key 2", one.Current.Version, two.Current.Version)
	}
}
