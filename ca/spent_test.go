package ca

import (
	"context"
	"errors"
	"testing"

	"github.com/enrollgate/enrollgate/ca/claim"
)

// answering is a ledger that has answered before, or not.
type answering struct {
	*crooked
	kept  *Certificate
	err   error
	asked Idempotency
	notes []string
}

func (c *answering) Answered(_ context.Context, tenant string, id *Idempotency) (*Certificate, error) {
	if tenant != "default" {
		c.t.Errorf("tenant %s was asked", tenant)
	}
	c.asked = *id
	return c.kept, c.err
}

func (c *answering) Note(a Audit) { c.notes = append(c.notes, a.Event) }

// TestSpent: who has no use left gets what was answered before, or the lost use;
// the key of the CA is not asked either way.
func TestSpent(t *testing.T) {
	issuing := ecKey(t)
	kept := &Certificate{Tenant: "default", CA: "issuing", State: Issued, DER: []byte("kept")}
	var lost *LostEffect
	for name, c := range map[string]struct {
		kept *Certificate
		err  error
		good func(Result) bool
		note string
	}{
		"answered before":   {kept, nil, func(r Result) bool { return r.Err == nil && r.Replayed && r.Certificate == kept }, ""},
		"another request":   {nil, Errorf(NotFound, "none"), func(r Result) bool { return errors.As(r.Err, &lost) }, "request.refused"},
		"its transaction":   {nil, Errorf(Conflict, "taken"), func(r Result) bool { return IsKind(r.Err, Conflict) }, "request.refused"},
		"the store is away": {nil, UnavailableError(errors.New("away"), 0), func(r Result) bool { return IsKind(r.Err, Unavailable) }, "request.refused"},
	} {
		t.Run(name, func(t *testing.T) {
			signed := 0
			l := &answering{crooked: &crooked{t: t, key: issuing, facts: factsOf(t, issuing)}, kept: c.kept, err: c.err}
			l.sign = func(tbs []byte) []byte { signed++; return l.honest(tbs) }
			a := l.authority()
			a.ledger = l
			who := account(t, "e", "a")
			q := &Request{Trace: "T", Endpoint: "e", Operation: Enroll, Caller: who, Possession: fixedKey(t), Spent: true,
				Claims: []claim.Claim{authorization(t, who, "a.example")}}
			got := a.Enroll(t.Context(), q)[0]
			if !c.good(got) || signed != 0 || l.recorded != 0 || l.asked != idempotency(a.endpoints["e"], q) {
				t.Errorf("%+v, %d signed, %d recorded", got, signed, l.recorded)
			}
			if (c.note != "") != (len(l.notes) == 1) || c.note != "" && l.notes[0] != c.note {
				t.Errorf("audited: %v", l.notes)
			}
			q.Spent = false
			if got := a.Enroll(t.Context(), q)[0]; got.Err != nil || signed != 1 || l.recorded != 1 {
				t.Errorf("with a use left: %v, %d signed", got.Err, signed)
			}
		})
	}
}
