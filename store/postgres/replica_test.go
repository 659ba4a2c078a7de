package postgres

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/harness"
)

// readyOrder makes an order whose one authorization is valid.
func readyOrder(t testing.TB, s *Store) *state.Order {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	account := &state.Account{Tenant: "default", Endpoint: "acme", ID: ca.RandomID(16), Status: state.Valid, Key: []byte("{}"), CreatedAt: now}
	copy(account.Thumbprint[:], account.ID)
	if err := s.CreateAccount(t.Context(), account, newNonce()); err != nil {
		t.Fatalf("create an account: %v", err)
	}
	a := &state.Authorization{Tenant: "default", Endpoint: "acme", ID: ca.RandomID(16), Account: account.ID, Identifier: state.Identifier{Type: "dns", Value: "host.example"},
		Status: state.Valid, CreatedAt: now, Expires: now.Add(time.Hour), Challenges: []state.Challenge{{Type: "http-01", Token: "t", Status: state.Valid}}}
	o := &state.Order{Tenant: "default", Endpoint: "acme", ID: ca.RandomID(16), Account: account.ID, Status: state.Pending,
		Identifiers: []state.Identifier{a.Identifier}, CreatedAt: now, Expires: now.Add(time.Hour), Authorizations: []string{a.ID}}
	if err := s.CreateOrder(t.Context(), o, []*state.Authorization{a}, newNonce()); err != nil {
		t.Fatalf("create an order: %v", err)
	}
	return o
}

// keyOf is the thumbprint of the key that readyOrder gave the order's account.
func keyOf(o *state.Order) (out [32]byte) {
	copy(out[:], o.Account)
	return out
}

func newNonce() state.Nonce {
	return state.Nonce{ID: [16]byte([]byte(ca.RandomID(16))), Expires: time.Now().Add(time.Hour)}
}

// Two replicas finish one order at the same moment: one certificate, and both get it.
func TestReplicasFinishOneOrder(t *testing.T) {
	_, runtime := migrated(t, harness.Postgres(t))
	replicas := []*Store{open(t, runtime), open(t, runtime, func(o *Options) { o.Replica = "two" })}
	keepProfile(t, replicas[0])
	for round := range 20 {
		o := readyOrder(t, replicas[0])
		key := ca.Idempotency{Key: sha256.Sum256([]byte(o.ID)), Digest: profileHash, Window: time.Hour}
		got := make([]ca.Recorded, 8)
		var all sync.WaitGroup
		for i := range got {
			s := replicas[i%2]
			e := newEntry(s.Strike("default", newNonce()), s.FinishOrder("default", "acme", o.ID, ca.RandomID(16), keyOf(o)))
			e.Idempotency = key
			all.Go(func() {
				r, err := s.Record(t.Context(), e)
				if err != nil {
					t.Errorf("round %d: %v", round, err)
					return
				}
				got[i] = r[0]
			})
		}
		all.Wait()
		fresh := 0
		for _, r := range got {
			if !r.Replayed {
				fresh++
			}
			if r.Certificate.Serial != got[0].Certificate.Serial || string(r.Certificate.DER) != string(got[0].Certificate.DER) {
				t.Errorf("round %d: two certificates for one order", round)
			}
		}
		finished, _, err := replicas[1].Order(t.Context(), "default", "acme", o.ID)
		if err != nil || fresh != 1 || finished.Serial != got[0].Certificate.Serial {
			t.Errorf("round %d: %d fresh certificates, order %+v, %v", round, fresh, finished, err)
		}
	}
}

// Replicas that touch the same rows in different orders wait for each other or
// run again, but nobody fails and nothing is counted twice.
func TestReplicasShareCredentials(t *testing.T) {
	_, runtime := migrated(t, harness.Postgres(t))
	replicas := []*Store{open(t, runtime), open(t, runtime, func(o *Options) { o.Replica = "two" })}
	keepProfile(t, replicas[0])
	const credentials, uses, callers = 4, 20, 24
	for i := range credentials {
		if err := replicas[0].AddCredential(t.Context(), &credential.Record{Credential: credential.Credential{Tenant: "default", ID: fmt.Sprint(i), Granted: uses, Left: uses,
			Expires: time.Now().Add(time.Hour)}}, ca.Audit{Tenant: "default", Event: "credential.created", Actor: "x", Detail: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	won := make([]int, credentials)
	var all sync.WaitGroup
	for n := range callers {
		all.Go(func() {
			s := replicas[n%2]
			for i := range credentials {
				a, b := (n+i)%credentials, (n+i+1+n%2)%credentials
				_, err := s.Record(t.Context(), newEntry(s.Burn("default", fmt.Sprint(a)), s.Burn("default", fmt.Sprint(b))))
				var lost *ca.LostEffect
				switch {
				case err == nil:
					mu.Lock()
					won[a]++
					won[b]++
					mu.Unlock()
				case !errors.As(err, &lost):
					t.Errorf("record: %v", err)
				}
			}
		})
	}
	all.Wait()
	for i := range credentials {
		r, err := replicas[0].Credential(t.Context(), "default", fmt.Sprint(i))
		if err != nil || r.Left != uses-won[i] {
			t.Errorf("credential %d: %d uses left, %d were taken of %d (%v)", i, r.Left, won[i], uses, err)
		}
	}
}

// Two processes that were given the same replica name keep their chain whole.
func TestReplicaNameTwice(t *testing.T) {
	_, runtime := migrated(t, harness.Postgres(t))
	twins := []*Store{open(t, runtime, func(o *Options) { o.Writers = 1 }), open(t, runtime, func(o *Options) { o.Writers = 1 })}
	keepProfile(t, twins[0])
	var all sync.WaitGroup
	entries := make([]*ca.Entry, 12)
	for i := range entries {
		entries[i] = newEntry()
		all.Go(func() {
			for range 20 { // who loses the place in the chain too often is told to try later
				if _, err := twins[i%2].Record(t.Context(), entries[i]); err == nil {
					return
				} else if !ca.IsKind(err, ca.Unavailable) {
					t.Errorf("record: %v", err)
					return
				}
			}
			t.Error("never recorded")
		})
	}
	all.Wait()
	for _, e := range entries {
		intact(t, twins[0], e)
	}
}
