package credential_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/memory"
)

var added = ca.Audit{Tenant: "one", Event: "credential.created", Actor: "operator:x", Detail: []byte("{}")}

type bench struct {
	*credential.Registry
	store *memory.Store
	keys  *seal.Keyring
	now   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{now: time.Now()}
	b.store = memory.New(memory.Options{Clock: func() time.Time { return b.now }})
	t.Cleanup(func() { b.store.Close() })
	var err error
	if b.keys, err = seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize), b.store); err != nil {
		t.Fatal(err)
	}
	b.Registry = credential.NewRegistry(b.store, b.keys)
	return b
}

func (b *bench) plain(kind credential.Kind) credential.Credential {
	return credential.Credential{Tenant: "one", Kind: kind, Door: caller.ACME, Granted: 1, Left: 1, Expires: b.now.Add(time.Hour)}
}

// TestKinds: each kind is checked in its own way and in no other, its secret has
// 128 bits or more, and no part of it is in the store.
func TestKinds(t *testing.T) {
	b := newBench(t)
	const chosen = "correct horse battery"
	for _, kind := range credential.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			password := ""
			if kind == credential.Password {
				password = chosen
			}
			c, secret, err := b.Create(t.Context(), b.plain(kind), password, added)
			if err != nil {
				t.Fatal(err)
			}
			text := secret.Text()
			if kind == credential.Password {
				text = chosen
			} else if len(secret.Octets()) < 16 {
				t.Errorf("the secret has %d octets", len(secret.Octets()))
			}
			if kind == credential.OneTime && (len(text) != 26 || strings.Trim(text, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "") { // 130 bits
				t.Errorf("a one-time secret reads %q", text)
			}
			record, err := b.store.Credential(t.Context(), "one", c.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, form := range []string{string(secret.Octets()), text} {
				if strings.Contains(fmt.Sprintf("%s %s", record.Secret, record.Lookup), form) {
					t.Error("the store can read the secret")
				}
			}
			check := func(tenant, id, text string) error { _, err := b.Check(t.Context(), tenant, id, text); return err }
			find := func(tenant, text string) error { _, err := b.Find(t.Context(), tenant, text); return err }
			key := func(tenant, id string) error { _, _, err := b.Key(t.Context(), tenant, id); return err }
			for what, err := range map[string]error{"Check": check("one", c.ID, text), "Find": find("one", text), "Key": key("one", c.ID)} {
				good := map[credential.Kind]string{credential.HMACKey: "Key", credential.Code: "Check Key", credential.OneTime: "Find", credential.Password: "Check"}[kind]
				if strings.Contains(good, what) != (err == nil) || err != nil && !ca.IsKind(err, ca.BadProof) {
					t.Errorf("%s: %v", what, err)
				}
			}
			wrong := map[string]error{"found by another tenant": find("two", text), "found by another secret": find("one", text+"x"), "found by nothing": find("one", ""),
				"found in small letters": find("one", strings.ToLower(text)), "found by a part": find("one", text[:len(text)-1]),
				"key of another tenant": key("two", c.ID), "key of nobody": key("one", "unknown")}
			if kind == credential.Password || kind == credential.Code { // the others are never checked so, and argon2id takes its time
				wrong["another tenant"], wrong["another id"] = check("two", c.ID, text), check("one", "unknown", text)
				wrong["another secret"], wrong["a long one"] = check("one", c.ID, text+"x"), check("one", c.ID, strings.Repeat("x", 5000))
			}
			for what, err := range wrong {
				if !ca.IsKind(err, ca.BadProof) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// TestRotatedLookup: secrets are found after their data key was rotated.
func TestRotatedLookup(t *testing.T) {
	b := newBench(t)
	_, before, err := b.Create(t.Context(), b.plain(credential.OneTime), "", added)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.keys.Rotate(t.Context(), seal.Lookup, added); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(seal.CurrentAfter)
	if err := b.keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, after, err := b.Create(t.Context(), b.plain(credential.OneTime), "", added)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []credential.Secret{before, after} {
		if _, err := b.Find(t.Context(), "one", s.Text()); err != nil {
			t.Error(err)
		}
	}
}

// TestMovedSecret: a sealed secret opens in its own row alone.
func TestMovedSecret(t *testing.T) {
	b := newBench(t)
	c, _, err := b.Create(t.Context(), b.plain(credential.HMACKey), "", added)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.store.Credential(t.Context(), "one", c.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range [][2]string{{"one", "other"}, {"two", c.ID}} {
		moved := *r
		moved.Tenant, moved.ID = place[0], place[1]
		if err := b.store.AddCredential(t.Context(), &moved, added); err != nil {
			t.Fatal(err)
		}
		if _, secret, err := b.Key(t.Context(), place[0], place[1]); err == nil || len(secret.Octets()) != 0 {
			t.Errorf("a secret opens at %v", place)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	b := newBench(t)
	for name, test := range map[string]struct {
		change   func(*credential.Credential)
		password string
		want     ca.Kind
	}{
		"an unknown kind":         {func(c *credential.Credential) { c.Kind = "x" }, "", ca.BadRequest},
		"a short password":        {func(c *credential.Credential) { c.Kind = credential.Password }, "secret", ca.BadRequest},
		"a chosen key":            {func(*credential.Credential) {}, "correct horse battery", ca.BadRequest},
		"no uses":                 {func(c *credential.Credential) { c.Granted, c.Left = 0, 0 }, "", ca.Internal},
		"less than were granted":  {func(c *credential.Credential) { c.Granted = 2 }, "", ca.Internal},
		"no end":                  {func(c *credential.Credential) { c.Expires = time.Time{} }, "", ca.Internal},
		"no tenant":               {func(c *credential.Credential) { c.Tenant = "" }, "", ca.Internal},
		"no door":                 {func(c *credential.Credential) { c.Door = "" }, "", ca.Internal},
		"an id that is taken":     {func(c *credential.Credential) { c.ID = "taken" }, "", ca.Conflict},
		"fewer than no uses left": {func(c *credential.Credential) { c.Granted, c.Left = -2, -2 }, "", ca.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			if test.want == ca.Conflict {
				first := b.plain(credential.HMACKey)
				test.change(&first)
				if _, _, err := b.Create(t.Context(), first, "", added); err != nil {
					t.Fatal(err)
				}
			}
			c := b.plain(credential.HMACKey)
			test.change(&c)
			if _, secret, err := b.Create(t.Context(), c, test.password, added); !ca.IsKind(err, test.want) || len(secret.Octets()) != 0 {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestStates(t *testing.T) {
	b := newBench(t)
	c := b.plain(credential.HMACKey)
	for want, change := range map[credential.State]func(*credential.Credential){
		credential.Live:    func(*credential.Credential) {},
		credential.Spent:   func(c *credential.Credential) { c.Left = 0 },
		credential.Expired: func(c *credential.Credential) { c.Left, c.Expires = 0, b.now },
		credential.Revoked: func(c *credential.Credential) { c.Left, c.Expires, c.RevokedAt = 0, b.now, b.now },
	} {
		one := c
		if change(&one); one.At(b.now) != want {
			t.Errorf("%s, want %s", one.At(b.now), want)
		}
	}
	if c.Left = credential.Unlimited; c.At(b.now) != credential.Live {
		t.Error("without limit it is spent")
	}
}

// TestServes: tenant, door, profile and endpoint all count.
func TestServes(t *testing.T) {
	at := ca.Endpoint{ID: "web", Tenant: "one", Door: caller.ACME, Profile: "tls"}
	for name, test := range map[string]struct {
		change func(*credential.Credential)
		want   bool
	}{
		"plain":             {func(*credential.Credential) {}, true},
		"profile":           {func(c *credential.Credential) { c.Binding.Profile = "tls" }, true},
		"endpoint":          {func(c *credential.Credential) { c.Endpoints = []string{"mail", "web"} }, true},
		"another profile":   {func(c *credential.Credential) { c.Binding.Profile = "mail" }, false},
		"another endpoint":  {func(c *credential.Credential) { c.Endpoints = []string{"mail"} }, false},
		"another tenant":    {func(c *credential.Credential) { c.Tenant = "two" }, false},
		"another door":      {func(c *credential.Credential) { c.Door = caller.SCEP }, false},
		"profile, not here": {func(c *credential.Credential) { c.Binding.Profile, c.Endpoints = "tls", []string{"mail"} }, false},
	} {
		c := credential.Credential{Tenant: "one", Door: caller.ACME}
		if test.change(&c); c.Serves(&at) != test.want {
			t.Errorf("%s: %v", name, !test.want)
		}
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	b := newBench(t)
	_, s, err := b.Create(t.Context(), b.plain(credential.HMACKey), "", added)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := base64.RawURLEncoding.DecodeString(s.Text()); err != nil || !bytes.Equal(got, s.Octets()) {
		t.Errorf("the text is %d octets, %v", len(got), err)
	}
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(form, s) + fmt.Sprintf(form, struct{ S credential.Secret }{s}); strings.Contains(text, s.Text()) || strings.Contains(text, fmt.Sprint(s.Octets())) {
			t.Errorf("%s prints the secret", form)
		}
	}
}

// TestMadePassword: a password that is made here is kept as a keyed HMAC, opens in
// its own row alone, and after its data key was rotated.
func TestMadePassword(t *testing.T) {
	b := newBench(t)
	c, secret, err := b.Create(t.Context(), b.plain(credential.Password), "", added)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.store.Credential(t.Context(), "one", c.ID)
	if err != nil || len(secret.Octets()) < 16 || !strings.HasPrefix(string(r.Secret), "$hmac-sha256$") || strings.Contains(string(r.Secret), secret.Text()) {
		t.Fatalf("%s is kept of %d octets: %v", r.Secret, len(secret.Octets()), err)
	}
	for _, place := range [][2]string{{"one", "other"}, {"two", c.ID}} {
		moved := *r
		moved.Tenant, moved.ID = place[0], place[1]
		if err := b.store.AddCredential(t.Context(), &moved, added); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Check(t.Context(), place[0], place[1], secret.Text()); !ca.IsKind(err, ca.BadProof) {
			t.Errorf("it opens at %v: %v", place, err)
		}
	}
	for _, wrong := range []string{"", secret.Text() + "x", strings.ToLower(secret.Text()), string(r.Secret)} {
		if _, err := b.Check(t.Context(), "one", c.ID, wrong); !ca.IsKind(err, ca.BadProof) {
			t.Errorf("%q opens: %v", wrong, err)
		}
	}
	if _, err := b.keys.Rotate(t.Context(), seal.Lookup, added); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(seal.CurrentAfter)
	if err := b.keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Check(t.Context(), "one", c.ID, secret.Text()); err != nil {
		t.Error(err)
	}
}

// TestTextIsNoOption: what is pasted behind a client's option never begins with "-".
// certbot said "--eab-hmac-key: expected one argument" to one secret in 64.
func TestTextIsNoOption(t *testing.T) {
	b := newBench(t)
	for _, kind := range []credential.Kind{credential.HMACKey, credential.Code, credential.OneTime, credential.Password} {
		for range 1500 { // one that may begin so passes once in 10^10
			if _, s, err := b.Create(t.Context(), b.plain(kind), "", added); err != nil || strings.HasPrefix(s.Text(), "-") {
				t.Fatalf("%s: a secret may begin with a hyphen (%v)", kind, err)
			}
		}
	}
}
