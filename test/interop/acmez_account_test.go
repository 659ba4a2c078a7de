package interop

import (
	"errors"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestAcmez enrolls with acmez by every method, for names and addresses, renews by
// renewal information, chooses profiles, revokes with either key, and has an account
// by external binding, updates it, changes its key and ends it.
func TestAcmez(t *testing.T) {
	harness.NeedPrograms(t)
	t.Parallel()
	s := start(t, renewalLines+"  - {id: acme-server, authentication: [[acme-account, eab]], terms_of_service: \"https://pki.example/terms\"}\n")
	t.Run("renewal", func(t *testing.T) { s.acmezRenews(t) })
	t.Run("account", func(t *testing.T) { s.acmezAccount(t) })
}

func (s *site) acmezRenews(t *testing.T) {
	c := newAcmez(t, &door{s, s.File("root.pem"), s.directory(t, "web"), t.TempDir()})
	first := c.obtain(t, "tls-alpn-01", "127.0.0.1", "alpn.example")
	leaf := c.leaf["tls-alpn-01"][0]
	for _, name := range first.names {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	c.obtain(t, "http-01", "127.0.0.1")
	if info, err := c.client.GetRenewalInfo(t.Context(), leaf); err != nil || info.SelectedTime.Before(leaf.NotAfter.AddDate(0, 0, -31)) || info.RetryAfter == nil {
		t.Errorf("renewal information: %+v, %v", info, err)
	}
	c.renew(t, first)
	id, err := acme.ARIUniqueIdentifier(leaf)
	if err != nil {
		t.Fatal(err)
	}
	again := acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: "alpn.example"}}, Replaces: id}
	if _, err := c.client.NewOrder(t.Context(), c.account, again); problemType(err) != acme.ProblemTypeAlreadyReplaced {
		t.Errorf("a second successor: %v", err)
	}
	c.order(t, "tls-alpn-01", []string{"short.example"}, func(q *acmez.OrderParameters) { q.Profile = "short" })
	if short := c.leaf["tls-alpn-01"][2]; short.NotAfter.Sub(short.NotBefore) > 6*24*time.Hour {
		t.Errorf("profile short: until %v", short.NotAfter)
	}
}

func (s *site) acmezAccount(t *testing.T) {
	ctx := t.Context()
	d := &door{s, s.File("root.pem"), s.directory(t, "privatessl-tls-server"), t.TempDir()}
	c := acmezWithoutAccount(t, d)
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: newKey(t), Contact: []string{"mailto:ops@host.example"}}
	if _, err := c.client.NewAccount(ctx, account); problemType(err) != acme.ProblemTypeExternalAccountRequired {
		t.Errorf("without a binding: %v", err)
	}
	key := s.externalAccount(t)
	err := account.SetExternalAccountBinding(ctx, c.client.Client, acme.EAB{KeyID: key.KID, MACKey: key.HMAC})
	if err != nil {
		t.Fatal(err)
	}
	if c.account, err = c.client.NewAccount(ctx, account); err != nil {
		t.Fatal(err)
	}
	p := d.holds(t, c.obtain(t, "http-01", "account.example"))
	d.differ(t, p, d.holds(t, c.renew(t, p)))
	old := c.account
	if c.account, err = c.client.AccountKeyRollover(ctx, c.account, newKey(t)); err != nil {
		t.Fatalf("key change: %v", err)
	}
	if _, err := c.client.NewOrder(ctx, old, acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: "old.example"}}}); problemType(err) == "" {
		t.Errorf("the old key orders: %v", err)
	}
	p = d.holds(t, c.obtain(t, "http-01", "rolled.example"))
	c.revoke(t, p, byAccount, superseded)
	d.wantRevoked(t, p, superseded, "acme-account:")
	wild := d.holds(t, c.obtain(t, "dns-01", "*.wild.example", "wild.example"))
	c.revoke(t, wild, byCertificate, keyCompromise)
	d.wantRevoked(t, wild, keyCompromise, "certificate-key:")
	found, err := c.client.GetAccount(ctx, acme.Account{PrivateKey: c.account.PrivateKey})
	if err != nil || found.Location != c.account.Location {
		t.Fatalf("by its key: %+v, %v", found, err)
	}
	c.account.Contact = []string{"mailto:new@host.example"}
	// acmez sends the whole account and takes the reply for the whole account, its URL included.
	updated, err := c.client.UpdateAccount(ctx, c.account)
	if err != nil || len(updated.Contact) != 1 || updated.Contact[0] != "mailto:new@host.example" || updated.Location != c.account.Location {
		t.Fatalf("update: %+v, %v", updated, err)
	}
	updated.Status = acme.StatusDeactivated
	if ended, err := c.client.UpdateAccount(ctx, updated); err != nil || ended.Status != acme.StatusDeactivated {
		t.Errorf("deactivate: %+v, %v", ended, err)
	}
	if _, err := c.client.GetAccount(ctx, acme.Account{PrivateKey: c.account.PrivateKey}); problemType(err) == "" {
		t.Errorf("the account lives on: %v", err)
	}
}

// problemType is the type of the problem document that acmez was given.
func problemType(err error) string {
	var problem acme.Problem
	errors.As(err, &problem)
	return problem.Type
}
