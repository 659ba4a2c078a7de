package acme

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

// modelled is a door on two replicas that the model is walked on.
type modelled struct {
	*bench
	twin   *bench
	office *office               // nil: nothing waits for an operator
	manual bool                  // the profile wants an operator
	chosen func(transition) bool // which transitions are compared; the others only lead there
	walks  int
}

// TestModel walks every transition of the model on the real door: every
// operation in every situation that can be reached.
func TestModel(t *testing.T) {
	for name, manual := range map[string]bool{"issued at once": false, "approved": true} {
		t.Run("sqlite, "+name, func(t *testing.T) {
			o := newOfficeWith(t, manual)
			walk(&modelled{bench: o.bench, office: o, manual: manual, chosen: func(t transition) bool {
				return !manual || t.from.order != state.Pending || t.from.stands() == state.Ready
			}})
		})
	}
	t.Run("postgres", func(t *testing.T) { // whose clock cannot be moved
		walk(&modelled{bench: newBenchOn(t, openPostgres(t)), chosen: func(t transition) bool {
			return t.from.stands() != state.Pending || t.by == "leave"
		}})
	})
}

func walk(m *modelled) {
	m.door.AuthorizationLifetime, m.door.OrderLifetime, m.door.Patience = 20*time.Minute, 45*time.Minute, time.Minute
	m.twin = m.bench.twin()
	m.walk()
}

type transition struct {
	from situation
	by   string
}

// walk takes orders along transitions that were not taken before, until there are none.
func (m *modelled) walk() {
	taken := map[transition]bool{}
	for {
		before, order := len(taken), m.begin()
		for s := (situation{first: state.Pending, second: state.Pending, order: state.Pending}); ; {
			by, ok := m.next(s, taken)
			if !ok {
				break
			}
			taken[transition{s, by}] = true
			s = order.apply(s, by)
			if m.t.Failed() {
				return
			}
		}
		if order.certificates(); len(taken) == before {
			break
		}
	}
	m.t.Logf("%d transitions on %d orders", len(taken), m.walks)
	if len(taken) < 50 {
		m.t.Errorf("%d transitions were taken", len(taken))
	}
}

// possible gives what can happen in a situation.
func (m *modelled) possible(s situation) map[string]situation {
	out := map[string]situation{}
	for by, operation := range operations {
		again := s.left && (by == "fail the first" || by == "prove the second" || by == "retry another way" || by == "give up the second") // of an account that has left the others say enough
		if after, _, ok := operation(s, m.manual); ok && !again && (by != "later" || m.office != nil) {
			out[by] = after
		}
	}
	return out
}

// open tells whether a transition is still to be taken.
func (m *modelled) open(taken map[transition]bool, t transition) bool {
	return !taken[t] && m.chosen(t)
}

// next chooses a transition that was not taken: one that changes nothing, then any,
// then the first of the shortest way to one.
func (m *modelled) next(s situation, taken map[transition]bool) (by string, ok bool) {
	for name, after := range m.possible(s) {
		if m.open(taken, transition{s, name}) {
			if by, ok = name, true; after == s {
				return by, true
			}
		}
	}
	if ok {
		return by, true
	}
	type way struct {
		to    situation
		first string
	}
	seen, ways := map[situation]bool{s: true}, []way{{to: s}}
	for len(ways) > 0 {
		at := ways[0]
		ways = ways[1:]
		for name, after := range m.possible(at.to) {
			first := at.first
			if first == "" {
				first = name
			}
			if at.first != "" && m.open(taken, transition{at.to, name}) {
				return at.first, true
			}
			if !seen[after] {
				seen[after] = true
				ways = append(ways, way{after, first})
			}
		}
	}
	return "", false
}

// walked is one order on its walk.
type walked struct {
	*modelled
	one, two *client // the account at each replica
	url      string
	names    [2]string
	order    orderObject
	authz    [2]authorizationObject
	turn     int
	ends     situation
}

func (m *modelled) begin() *walked {
	m.walks++
	w := &walked{modelled: m, one: m.registered("one"), names: [2]string{fmt.Sprintf("a%d.example", m.walks), fmt.Sprintf("b%d.example", m.walks)}}
	other := *w.one
	other.b, other.nonce = m.twin, ""
	w.two = &other
	w.url, w.order = w.one.order(w.names[0], w.names[1])
	for i, url := range w.order.Authorizations {
		w.one.post(url, "").into(m.t, &w.authz[i])
	}
	return w
}

// by alternates between the replicas, but for an account that has left: the other
// one may take it for valid for a moment (docs/divergences.md).
func (w *walked) by(s situation) *client {
	if w.turn++; w.turn%2 == 0 && !s.left {
		return w.two
	}
	return w.one
}

// apply does something to the order and compares what is answered, and how
// everything stands afterwards, with the model.
func (w *walked) apply(s situation, by string) situation {
	w.t.Helper()
	after, want, _ := operations[by](s, w.manual)
	check := func(r reply) {
		w.t.Helper()
		if got := told(r); got != want {
			w.t.Errorf("%s in %+v: %v %s, want %v", by, s, got, r.body, want)
		}
	}
	challenge := func(i int, method string) string {
		return w.order.Authorizations[i][:strings.Index(w.order.Authorizations[i], "/authorization/")] + "/challenge/" + last(w.order.Authorizations[i]) + "/" + method
	}
	finalize := func(c *client) reply {
		return c.post(w.order.Finalize, `{"csr":"`+c.csr("", w.names[0], w.names[1])+`"}`)
	}
	switch c := w.by(s); by {
	case "prove the first":
		check(c.post(challenge(0, "http-01"), "{}"))
	case "fail the first":
		w.fails(w.names[0], true)
		check(c.post(challenge(0, "http-01"), "{}"))
		w.fails(w.names[0], false)
	case "prove the second":
		check(c.post(challenge(1, "dns-01"), "{}"))
	case "retry another way":
		check(c.post(challenge(0, "dns-01"), "{}"))
	case "give up the first":
		check(c.post(w.order.Authorizations[0], `{"status":"deactivated"}`))
	case "give up the second":
		check(c.post(w.order.Authorizations[1], `{"status":"deactivated"}`))
	case "finalize":
		check(finalize(c))
	case "finalize twice at once":
		var both sync.WaitGroup
		answers := make([]reply, 2)
		for i, c := range []*client{w.one, w.two} {
			both.Go(func() { answers[i] = finalize(c) })
		}
		both.Wait()
		check(answers[0])
		check(answers[1])
	case "later":
		w.office.clock.Pass(25 * time.Minute)
	case "leave":
		check(w.one.post(w.one.kid, `{"status":"deactivated"}`))
	case "approve", "deny":
		w.decide(by == "approve")
	default:
		w.t.Fatalf("nobody knows how to %s", by)
	}
	if w.ends = after; !after.left {
		w.compare(after, by, after != s)
	}
	return after
}

// compare reads the order, or everything, through the replica whose turn it is.
func (w *walked) compare(s situation, by string, everything bool) {
	w.t.Helper()
	c := w.by(s)
	var o orderObject
	c.post(w.url, "").into(w.t, &o)
	if o.Status != s.stands() || (o.Certificate != "") != (s.stands() == state.Valid) {
		w.t.Errorf("after %s the order is %s with certificate %q, want %+v", by, o.Status, o.Certificate, s)
	}
	for i, want := range []state.Status{s.at(s.first), s.at(s.second)} {
		if !everything {
			continue
		}
		var a authorizationObject
		c.post(o.Authorizations[i], "").into(w.t, &a)
		if a.Status != want {
			w.t.Errorf("after %s authorization %d is %s, want %+v", by, i, a.Status, s)
		}
	}
}

// certificates: an order that ended valid has issued one certificate, any other none.
func (w *walked) certificates() {
	w.t.Helper()
	archive := w.store.(interface {
		FindCertificates(context.Context, *ca.Filter) ([]ca.Certificate, error)
	})
	found, err := archive.FindCertificates(w.t.Context(), &ca.Filter{Tenant: "one", CA: "issuing", Name: pkix.DNS(w.names[0]), Limit: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	want := 0
	if w.ends.order == state.Valid {
		want = 1
	}
	if len(found) != want {
		w.t.Errorf("%d certificates were issued for an order that ended as %+v", len(found), w.ends)
	}
}

func (w *walked) fails(name string, yes bool) {
	w.validator.mu.Lock()
	defer w.validator.mu.Unlock()
	delete(w.validator.fail, name)
	if yes {
		w.validator.fail[name] = &va.Problem{Type: va.TypeConnection, Detail: "nobody answers"}
	}
}

// decide is an operator's word and the job that follows it.
func (w *walked) decide(yes bool) {
	w.t.Helper()
	all, err := w.office.sqlite.PendingRequests(w.t.Context(), "one", ca.AwaitsApproval, "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range all {
		if all[i].Transaction != last(w.url) {
			continue
		}
		if yes {
			w.office.approve(&all[i])
		} else if _, err := w.office.core.Deny(w.t.Context(), w.office.verdict("one", &all[i])); err != nil {
			w.t.Fatal(err)
		}
		if err := w.office.work(); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	w.t.Fatalf("no request of %s waits", w.url)
}

func last(url string) string { return url[strings.LastIndex(url, "/")+1:] }

// told is what an answer says.
func told(r reply) outcome {
	var o struct{ Type, Status any }
	if err := json.Unmarshal(r.body, &o); err != nil {
		return outcome{r.status, "?"}
	}
	if kind, ok := o.Type.(string); ok && strings.HasPrefix(kind, urn) {
		return outcome{r.status, strings.TrimPrefix(kind, urn)}
	}
	return outcome{r.status, fmt.Sprint(o.Status)}
}
