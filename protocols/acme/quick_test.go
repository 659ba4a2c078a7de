package acme

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// TestQuickChallenge: a validation that is done soon is answered and stored at
// once; a whole flow is three commits.
func TestQuickChallenge(t *testing.T) {
	b := newBench(t)
	b.door.Patience = time.Minute
	c := b.registered("one")
	before := b.store.Stats().Members.Load()
	_, o := c.order("host.example")
	var a authorizationObject
	c.post(o.Authorizations[0], "").into(t, &a)
	var challenge challengeObject
	c.post(a.Challenges[0].URL, "{}").into(t, &challenge)
	if challenge.Status != state.Valid {
		t.Fatalf("challenge is %s", challenge.Status)
	}
	var done orderObject
	c.post(o.Finalize, `{"csr":"`+c.csr("", "host.example")+`"}`).into(t, &done)
	if done.Status != state.Valid || done.Certificate == "" {
		t.Fatalf("order is %+v", done)
	}
	if n := b.store.Stats().Members.Load() - before; n != 3 {
		t.Errorf("%d writes, want 3", n)
	}
}
