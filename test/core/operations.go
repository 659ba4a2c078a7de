package core

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
)

// Register makes a credential, which lasts an hour where nothing else is said, and
// gives its secret.
func (c *Core) Register(made credential.Credential, changes ...func(*credential.Credential)) (*credential.Credential, credential.Secret) {
	c.t.Helper()
	if made.Expires.IsZero() {
		made.Expires = c.Now().Add(time.Hour)
	}
	for _, change := range changes {
		change(&made)
	}
	return Register(c.t, c.Registry, made)
}

// Register makes a credential in a registry, and gives its secret.
func Register(t testing.TB, registry *credential.Registry, made credential.Credential) (*credential.Credential, credential.Secret) {
	t.Helper()
	out, secret, err := registry.Create(t.Context(), made, "", ca.Audit{Tenant: made.Tenant, Event: "credential.created", Actor: "operator:x", Detail: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	return out, secret
}

// Revoke revokes a certificate of tenant one's CA "issuing".
func (c *Core) Revoke(serial []byte, reason ca.Reason) {
	c.t.Helper()
	if _, err := c.Store.Revoke(c.t.Context(), &ca.Revocation{Tenant: "one", CA: "issuing", Serial: ca.Serial(serial), Reason: reason,
		Audit: ca.Audit{Tenant: "one", Event: "certificate.revoked", Actor: "operator:x", Detail: []byte("{}")}}); err != nil {
		c.t.Fatal(err)
	}
}

// Waiting are the requests of tenant one that wait for an operator; the test ends
// where they are not so many.
func (c *Core) Waiting(n int) []ca.PendingRequest {
	c.t.Helper()
	all, err := c.Store.PendingRequests(c.t.Context(), "one", ca.AwaitsApproval, "", n+1)
	if err != nil || len(all) != n {
		c.t.Fatalf("%d requests wait, not %d: %v", len(all), n, err)
	}
	return all
}

// Decide is what an operator of tenant one says of a request that waits: "ticket 1".
func (c *Core) Decide(id string, approve bool) {
	c.t.Helper()
	decide := c.Authority.Deny
	if approve {
		decide = c.Authority.Approve
	}
	if _, err := decide(c.t.Context(), &ca.Verdict{Tenant: "one", ID: id, Caller: Operator(c.t, "one", c.Now()), Reason: "ticket 1"}); err != nil {
		c.t.Fatal(err)
	}
}

// Settle issues what was approved.
func (c *Core) Settle() {
	c.t.Helper()
	lease, err := c.Store.Acquire(c.t.Context(), "approvals", "test", time.Minute)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.Authority.SettlePending(c.t.Context(), lease); err != nil {
		c.t.Fatal(err)
	}
	if err := c.Store.Release(c.t.Context(), lease); err != nil {
		c.t.Fatal(err)
	}
}
