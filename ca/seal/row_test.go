package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// rows is a store of data keys in memory.
type rows struct {
	keys []WrappedKey
	now  time.Time
}

func (r *rows) DataKeys(context.Context) ([]WrappedKey, error) { return slices.Clone(r.keys), nil }

func (r *rows) AddDataKey(_ context.Context, k WrappedKey, a ca.Audit) error {
	if a.Event == "" || a.Actor == "" || !strings.Contains(string(a.Detail), `"version"`) {
		return fmt.Errorf("an audit row that says nothing: %+v", a)
	}
	for _, other := range r.keys {
		if other.Purpose == k.Purpose && other.Version == k.Version {
			return ca.Errorf(ca.Conflict, "taken")
		}
	}
	k.CreatedAt = r.now
	r.keys = append(r.keys, k)
	return nil
}

func (r *rows) Rewrap(_ context.Context, _, to []WrappedKey, _ ca.Audit) error {
	r.keys = slices.Clone(to)
	return nil
}

func (r *rows) Now(context.Context) (time.Time, error) { return r.now, nil }

func ring(t *testing.T, secret byte, s Store) *Keyring {
	t.Helper()
	r, err := NewKeyring(bytes.Repeat([]byte{secret}, KeySize), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSealedRowsAreBound: a sealed row opens for its own purpose, tenant and id
// and for nothing else.
func TestSealedRowsAreBound(t *testing.T) {
	r := ring(t, 1, &rows{now: time.Now()})
	sealed, err := r.Seal(t.Context(), "eab", "a", "row-1", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the secret is readable")
	}
	if again, err := r.Seal(t.Context(), "eab", "a", "row-1", []byte("secret")); err != nil || bytes.Equal(again, sealed) {
		t.Errorf("the same secret seals to the same octets, %v", err)
	}
	if got, err := r.Open(t.Context(), "eab", "a", "row-1", sealed); err != nil || string(got) != "secret" {
		t.Errorf("open: %q, %v", got, err)
	}
	changed := slices.Clone(sealed)
	changed[len(changed)-1] ^= 1
	version := slices.Clone(sealed)
	version[4]++
	for name, try := range map[string]struct {
		purpose     Purpose
		tenant, row string
		sealed      []byte
	}{
		"another row":      {"eab", "a", "row-2", sealed},
		"another tenant":   {"eab", "b", "row-1", sealed},
		"moved border":     {"eab", "ar", "ow-1", sealed},
		"another purpose":  {"cmp", "a", "row-1", sealed},
		"a changed octet":  {"eab", "a", "row-1", changed},
		"another version":  {"eab", "a", "row-1", version},
		"a truncated row":  {"eab", "a", "row-1", sealed[:20]},
		"an empty row":     {"eab", "a", "row-1", nil},
		"an unknown shape": {"eab", "a", "row-1", append([]byte{2}, sealed[1:]...)},
	} {
		if got, err := r.Open(t.Context(), try.purpose, try.tenant, try.row, try.sealed); err == nil || got != nil {
			t.Errorf("%s opens: %q", name, got)
		}
	}
}

// TestRotatedKeysStillOpen: what an older version sealed opens after a rotation,
// also in a process that has not refreshed yet.
func TestRotatedKeysStillOpen(t *testing.T) {
	store := &rows{now: time.Now()}
	a, b := ring(t, 1, store), ring(t, 1, store)
	old, err := a.Seal(t.Context(), "eab", "a", "1", []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Keys(t.Context(), "eab"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Rotate(t.Context(), "eab", ca.Audit{Event: "seal.rotated", Actor: "operator:x"}); err != nil {
		t.Fatal(err)
	}
	store.now = store.now.Add(CurrentAfter)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh, err := a.Seal(t.Context(), "eab", "a", "2", []byte("new"))
	if err != nil || fresh[4] != 2 {
		t.Fatalf("sealed with version %d, %v", fresh[4], err)
	}
	for _, r := range []*Keyring{a, b} {
		for id, sealed := range map[string][]byte{"1": old, "2": fresh} {
			if _, err := r.Open(t.Context(), "eab", "a", id, sealed); err != nil {
				t.Errorf("row %s: %v", id, err)
			}
		}
	}
}

// TestWrongKeyEncryptionKey: another seal.key opens nothing and adds nothing.
func TestWrongKeyEncryptionKey(t *testing.T) {
	store := &rows{now: time.Now()}
	if _, err := ring(t, 1, store).Keys(t.Context(), Nonce); err != nil {
		t.Fatal(err)
	}
	wrong := ring(t, 2, store)
	if _, err := wrong.Keys(t.Context(), Audit); !errors.Is(err, ErrOtherKey) {
		t.Errorf("keys: %v", err)
	}
	if _, err := wrong.Rewrap(t.Context(), ring(t, 3, store), ca.Audit{}); !errors.Is(err, ErrOtherKey) {
		t.Errorf("rewrap: %v", err)
	}
	same := ring(t, 1, store)
	if _, err := same.Rewrap(t.Context(), ring(t, 1, store), ca.Audit{}); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("rewrap to the same key: %v", err)
	}
	if len(store.keys) != 1 {
		t.Errorf("%d keys are stored", len(store.keys))
	}
	if _, err := NewKeyring([]byte("short"), store); err == nil {
		t.Error("a short key-encryption key is taken")
	}
}

// TestKeysDoNotPrint keeps data keys out of logs.
func TestKeysDoNotPrint(t *testing.T) {
	k := Key{Version: 1, secret: [KeySize]byte([]byte("0123456789abcdef0123456789abcdef"))}
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprintf("%v", []Key{k})} {
		if strings.Contains(text, "0123") {
			t.Errorf("a key prints: %s", text)
		}
	}
}
