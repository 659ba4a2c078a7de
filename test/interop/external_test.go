package interop

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/go-acme/lego/v4/registration"
	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/test/harness"
)

// externalAccount is what `credential create --json` and dev-credentials.json give.
type externalAccount struct{ KID, HMAC string }

// externalAccount has the binary make a key for one new account.
func (s *site) externalAccount(t *testing.T, args ...string) (out externalAccount) {
	t.Helper()
	args = append([]string{"credential", "create", "--json", "--protocol", "acme", "--profile", "privatessl-tls-server"}, args...)
	if err := json.Unmarshal(enrollgate(t, append(args, s.flags...)...), &out); err != nil || out.KID == "" || out.HMAC == "" {
		t.Fatal(out, err)
	}
	return out
}

// TestExternalAccounts has each client register where a binding is required, at
// a daemon that asks for agreement to terms too, and go through what an account
// does besides ordering.
func TestExternalAccounts(t *testing.T) {
	s := start(t, "endpoints: [{id: acme-server, authentication: [[acme-account, eab]], terms_of_service: \"https://pki.example/terms\"}]\n")
	d := &door{s, s.File("root.pem"), s.directory(t, "privatessl-tls-server"), t.TempDir()}

	t.Run("certbot", func(t *testing.T) {
		c := certbot{harness.Certbot(t, d.root, d.port), d, d.zone.hooks(t)}
		key := s.externalAccount(t, "--name", "*.bot.example")
		c.MustRun("register", "--server", d.directory, "--agree-tos", "-m", "ops@host.example", "--no-eff-email", "--eab-kid", key.KID, "--eab-hmac-key", key.HMAC)
		d.holds(t, c.obtain(t, "http-01", "a.bot.example"))
		c.MustRun("unregister", "--server", d.directory)
	})
	t.Run("lego", func(t *testing.T) {
		legoTurn.Lock()
		defer legoTurn.Unlock()
		key := s.externalAccount(t)
		c := &legoClient{door: d, user: legoUser{key: newKey(t)}}
		options := registration.RegisterEABOptions{TermsOfServiceAgreed: true, Kid: key.KID, HmacEncoded: key.HMAC}
		account, err := c.client(t, c.user).Registration.RegisterWithExternalAccountBinding(options)
		if err != nil || account.Body.Status != "valid" {
			t.Fatalf("%+v, %v", account, err)
		}
		c.user.registration = account
		if found, err := c.client(t, legoUser{key: c.user.key}).Registration.ResolveAccountByKey(); err != nil || found.URI != account.URI {
			t.Errorf("by its key: %+v, %v", found, err)
		}
		other := legoUser{key: newKey(t)}
		if _, err := c.client(t, other).Registration.RegisterWithExternalAccountBinding(options); err == nil || !strings.Contains(err.Error(), "spent") {
			t.Errorf("a second account by the same key: %v", err)
		}
		if updated, err := c.client(t, c.user).Registration.UpdateRegistration(registration.RegisterOptions{TermsOfServiceAgreed: true}); err != nil || updated.Body.Status != "valid" {
			t.Errorf("update: %+v, %v", updated, err)
		}
		if asked, err := c.client(t, c.user).Registration.QueryRegistration(); err != nil || asked.Body.Status != "valid" {
			t.Errorf("query: %+v, %v", asked, err)
		}
		if err := c.client(t, c.user).Registration.DeleteRegistration(); err != nil {
			t.Errorf("deactivate: %v", err)
		}
	})
	t.Run("x/crypto/acme", func(t *testing.T) {
		key := s.externalAccount(t, "--uses", "2")
		secret, err := base64.RawURLEncoding.DecodeString(key.HMAC)
		if err != nil {
			t.Fatal(err)
		}
		l := library{d, &acme.Client{Key: newKey(t), DirectoryURL: d.directory, HTTPClient: trusting(t, d.root)}, nil}
		account, err := l.acme.Register(t.Context(), &acme.Account{ExternalAccountBinding: &acme.ExternalAccountBinding{KID: key.KID, Key: secret}}, acme.AcceptTOS)
		if err != nil {
			t.Fatal(err)
		}
		if account.Contact = []string{"mailto:new@host.example"}; account.OrdersURL == "" {
			t.Error("the account has no list of orders")
		}
		if _, err := l.acme.UpdateReg(t.Context(), account); err != nil {
			t.Errorf("update: %v", err)
		}
		if err := l.acme.AccountKeyRollover(t.Context(), newKey(t)); err != nil {
			t.Errorf("key change: %v", err)
		}
		if _, err := l.acme.AuthorizeOrder(t.Context(), acme.DomainIDs("rolled.example")); err != nil {
			t.Errorf("an order with the new key: %v", err)
		}
		if err := l.acme.DeactivateReg(t.Context()); err != nil {
			t.Errorf("deactivate: %v", err)
		}
	})
	t.Run("dev credentials", func(t *testing.T) { // where a binding is optional
		data, err := os.ReadFile(s.File("dev-credentials.json"))
		if err != nil {
			t.Fatal(err)
		}
		var have struct{ ACME externalAccount }
		if err := json.Unmarshal(data, &have); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(s.File("dev-credentials.json")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		directory := s.directory(t, "privatessl-tls-client-server")
		c := harness.Certbot(t, d.root, d.port)
		c.MustRun("register", "--server", directory, "--agree-tos", "-m", "ops@host.example", "--no-eff-email", "--eab-kid", have.ACME.KID, "--eab-hmac-key", have.ACME.HMAC)
		if list := enrollgate(t, append([]string{"credential", "list", "--json"}, s.flags...)...); strings.Contains(string(list), have.ACME.HMAC) || strings.Contains(s.Stderr(), have.ACME.HMAC) {
			t.Error("the secret is in the list or the log")
		}
	})
}
