package acme

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestRevokeThenCompromised: after a revocation for any reason, a proof that the
// key is compromised changes the reason and blocks the key, for every tenant; once.
// The word of an account changes nothing (RFC 8555 section 7.6).
func TestRevokeThenCompromised(t *testing.T) {
	for name, first := range map[string]struct {
		extra  string
		reason ca.Reason
	}{
		"without a reason":                {``, ca.Unspecified},
		"superseded":                      {`,"reason":4`, ca.Superseded},
		"compromised, the account's word": {`,"reason":1`, ca.KeyCompromise},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c, key := b.registered("one"), fixture.Key(t)
			der, _ := c.issue(key, "host.example")
			if r := c.revoke(der, first.extra); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			already := func(what string, r reply) {
				t.Helper()
				if r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeAlreadyRevoked {
					t.Errorf("%s: %d %s", what, r.status, r.body)
				}
			}
			already("the account's word", c.revoke(der, `,"reason":1`))
			already("the key, for another reason", c.holder(key).revoke(der, `,"reason":4`))
			if r := b.registered("two").finalize(key, "before.example"); r.status != http.StatusOK {
				t.Errorf("the key, before: %d %s", r.status, r.body)
			}
			if r := c.holder(key).revoke(der, `,"reason":1`); r.status != http.StatusOK || len(r.body) != 0 {
				t.Fatalf("the key: %d %s", r.status, r.body)
			}
			already("the key again", c.holder(key).revoke(der, `,"reason":1`))
			want := []string{fmt.Sprintf("%s revoked %s", serialOf(t, der), first.reason), fmt.Sprintf("%s revoked keyCompromise", serialOf(t, der))}
			if got := b.revocations(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("status feed %q, want %q", got, want)
			}
			for _, tenant := range tenants {
				if r := b.registered(tenant).finalize(key, "next.example"); r.status == http.StatusOK {
					t.Errorf("the key is certified at tenant %s", tenant)
				}
			}
		})
	}
}
