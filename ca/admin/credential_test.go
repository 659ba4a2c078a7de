package admin

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/memory"
)

// TestCreateCredential: each door's holders get their kind, an administrator gets
// a password, and what does not hold together is refused.
func TestCreateCredential(t *testing.T) {
	store := memory.New(memory.Options{})
	t.Cleanup(func() { store.Close() })
	ring, err := seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize), store)
	if err != nil {
		t.Fatal(err)
	}
	registry := credential.NewRegistry(store, ring)
	actor, err := operatorOf("one")
	if err != nil {
		t.Fatal(err)
	}
	create := func(change func(*NewCredential)) (*credential.Credential, credential.Secret, error) {
		n := NewCredential{Tenant: "one", Door: caller.SCEP, Profile: "p", Uses: 1, Lifetime: time.Hour, Actor: actor, Now: time.Now()}
		change(&n)
		return CreateCredential(t.Context(), registry, n)
	}
	administrator := func(n *NewCredential) { n.Administrator, n.Uses = true, credential.Unlimited }
	decrypt := func(n *NewCredential) { n.DecryptKey, n.Uses, n.Door = true, credential.Unlimited, caller.EST }
	for what, c := range map[string]struct {
		change func(*NewCredential)
		kind   credential.Kind // "": BadRequest
	}{
		"acme":                       {func(n *NewCredential) { n.Door = caller.ACME }, credential.HMACKey},
		"est":                        {func(n *NewCredential) { n.Door = caller.EST }, credential.Password},
		"scep":                       {func(*NewCredential) {}, credential.OneTime},
		"a common name":              {func(n *NewCredential) { n.CommonName = "Router 7 (Zürich)" }, credential.OneTime},
		"an administrator":           {administrator, credential.Password},
		"a decrypt key":              {decrypt, credential.Code},
		"a decrypt key of scep":      {func(n *NewCredential) { decrypt(n); n.Door = caller.SCEP }, ""},
		"a decrypt key, once":        {func(n *NewCredential) { decrypt(n); n.Uses = 1 }, ""},
		"a decrypt key's device":     {func(n *NewCredential) { decrypt(n); n.Device = "d" }, ""},
		"a decrypt key's names":      {func(n *NewCredential) { decrypt(n); n.Names = []string{"a.example"} }, ""},
		"no door":                    {func(n *NewCredential) { n.Door = caller.Operator }, ""},
		"an administrator of est":    {func(n *NewCredential) { administrator(n); n.Door = caller.EST }, ""},
		"an administrator of acme":   {func(n *NewCredential) { administrator(n); n.Door = caller.ACME }, ""},
		"an administrator, once":     {func(n *NewCredential) { n.Administrator = true }, ""},
		"an administrator's device":  {func(n *NewCredential) { administrator(n); n.Device = "d" }, ""},
		"an administrator's names":   {func(n *NewCredential) { administrator(n); n.Names = []string{"a.example"} }, ""},
		"an administrator's CN":      {func(n *NewCredential) { administrator(n); n.CommonName = "x" }, ""},
		"an administrator's key":     {func(n *NewCredential) { administrator(n); n.KeyHash = strings.Repeat("0a", 32) }, ""},
		"a long common name":         {func(n *NewCredential) { n.CommonName = strings.Repeat("x", 65) }, ""},
		"control characters in a CN": {func(n *NewCredential) { n.CommonName = "x\n" }, ""},
		"octets in a CN":             {func(n *NewCredential) { n.CommonName = "x\xff" }, ""},
	} {
		made, secret, err := create(c.change)
		if c.kind == "" {
			if !ca.IsKind(err, ca.BadRequest) || len(secret.Octets()) != 0 {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err != nil || made.Kind != c.kind || made.Administrator() != (what == "an administrator") || made.DecryptKey() != (what == "a decrypt key") {
			t.Errorf("%s: %+v, %v", what, made, err)
		}
	}
	made, secret, err := create(func(n *NewCredential) { n.CommonName = "router-7" })
	if err != nil {
		t.Fatal(err)
	}
	if found, err := registry.Find(t.Context(), "one", secret.Text()); err != nil || found.ID != made.ID || found.Binding.CommonName != "router-7" {
		t.Errorf("found %+v, %v", found, err)
	}
	made, secret, err = create(administrator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Check(t.Context(), "one", made.ID, secret.Text()); err != nil {
		t.Errorf("the administrator's password: %v", err)
	}
	if _, err := registry.Find(t.Context(), "one", secret.Text()); !ca.IsKind(err, ca.BadProof) {
		t.Errorf("the administrator's password enrolls: %v", err)
	}
}
