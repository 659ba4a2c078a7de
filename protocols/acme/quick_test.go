package acme

import (
	"path"
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
	o, a := c.authorization("host.example")
	if challenge := c.begin(a); challenge.Status != state.Valid {
		t.Fatalf("challenge is %s", challenge.Status)
	}
	var done orderObject
	c.post(o.Finalize, `{"csr":"`+c.csr("", "host.example")+`"}`).into(t, &done)
	if done.Status != state.Valid || done.Certificate == "" {
		t.Fatalf("order is %+v", done)
	}
	if err := b.store.Close(); err != nil { // what is queued is written and counted then
		t.Error(err)
	}
	if n := b.store.Counters().Members; n != 5 {
		t.Errorf("%d writes, want 5: the profile, the account and 3 of the flow", n)
	}
}

// TestOneValidationATime: a challenge that is asked for while it is validated is
// not validated twice, and both clients see how it ended.
func TestOneValidationATime(t *testing.T) {
	b := newBench(t)
	b.door.Patience = time.Minute
	b.validator.gate = make(chan struct{})
	c := b.registered("one")
	o, a := c.authorization("host.example")
	first := make(chan challengeObject)
	twin := *c
	twin.nonce = ""
	go func() {
		first <- twin.begin(a)
	}()
	for b.validator.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	var second challengeObject
	r := c.post(a.Challenges[0].URL, "{}")
	r.into(t, &second)
	if second.Status != state.Processing || r.header.Get("Retry-After") == "" {
		t.Errorf("the second request: %s, Retry-After %q", second.Status, r.header.Get("Retry-After"))
	}
	close(b.validator.gate)
	if got := <-first; got.Status != state.Valid {
		t.Errorf("the first request: %s", got.Status)
	}
	c.post(o.Authorizations[0], "").into(t, &a)
	if a.Status != state.Valid || b.validator.count() != 1 {
		t.Errorf("authorization is %s after %d validations", a.Status, b.validator.count())
	}
}

// TestPatience: a validation that takes longer is answered as processing and
// ends in the background; when the nonce turns out to be used, it is dropped.
func TestPatience(t *testing.T) {
	b := newBench(t)
	b.door.Patience = time.Millisecond
	b.validator.gate = make(chan struct{})
	c := b.registered("one")
	o, a := c.authorization("host.example")
	if challenge := c.begin(a); challenge.Status != state.Processing {
		t.Fatalf("challenge is %s", challenge.Status)
	}
	close(b.validator.gate)
	b.door.validations.running.Wait()
	c.post(o.Authorizations[0], "").into(t, &a)
	if a.Status != state.Valid {
		t.Errorf("authorization is %s", a.Status)
	}

	b.validator.gate = make(chan struct{})
	o, a = c.authorization("other.example", "third.example")
	id, expires, err := b.door.nonces.check(c.nonce)
	if err != nil {
		t.Fatal(err)
	}
	third := path.Base(o.Authorizations[1])
	e := b.door.endpoints["one/issuing/privatessl-tls-server"]
	if err := b.store.DeactivateAuthorization(t.Context(), "one", e.ID, third, state.Nonce{ID: id, Expires: expires}); err != nil {
		t.Fatal(err) // another replica answered this nonce
	}
	if p := c.post(a.Challenges[0].URL, "{}").problem(t); p.Type != urn+"badNonce" {
		t.Errorf("a used nonce: %s", p.Type)
	}
	b.door.validations.running.Wait() // nobody opened the gate: it was dropped
	close(b.validator.gate)
	c.post(o.Authorizations[0], "").into(t, &a)
	if a.Status != state.Pending {
		t.Errorf("authorization is %s", a.Status)
	}
}
