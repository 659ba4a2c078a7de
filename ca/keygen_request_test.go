package ca

import (
	"testing"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
)

// madeKey is the possession of a key that was made for a client.
func madeKey(t testing.TB) claim.Possession {
	t.Helper()
	p, err := claim.PossessionOfMade(claim.NewVerifier(caller.EST), ecKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A repeated request for a key is the same one although the key is another,
// also after it was parked; what stands in the key's place tells requests apart.
func TestKeyGenIsIdempotent(t *testing.T) {
	asking := func(change func(*Request)) Idempotency {
		e, r := sampleRequest(t)
		r.Transaction, r.Operation, r.Possession, r.InPlaceOfKey = "", KeyGen, madeKey(t), []byte("what the client sent")
		if change != nil {
			change(r)
		}
		text, err := writeRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readRequest(text)
		if err != nil {
			t.Fatal(err)
		}
		id := idempotency(e, r)
		if parked := idempotency(e, again); parked != id {
			t.Error("a request that was parked is another one")
		}
		return id
	}
	first := asking(nil)
	if asking(nil).Key != first.Key {
		t.Error("another key makes another request")
	}
	for what, change := range map[string]func(*Request){
		"another CSR":     func(r *Request) { r.InPlaceOfKey = []byte("something else") },
		"another name":    func(r *Request) { r.Asserted.AltNames = r.Asserted.AltNames[:1] },
		"an enrollment":   func(r *Request) { r.Operation, r.Possession, r.InPlaceOfKey = Enroll, fixedKey(t), nil },
		"another renewal": func(r *Request) { r.Renews = &Renewal{Certificate: []byte("x")} },
		"another caller":  func(r *Request) { r.Caller = account(t, "e", "b") },
	} {
		if got := asking(change); got.Key == first.Key {
			t.Errorf("%s: the same request", what)
		}
	}
}

// A key that was made here is certified for who asked for one, and for nobody
// else; and nobody's own key is certified as if it had been made here.
func TestKeyGenAdmission(t *testing.T) {
	for what, change := range map[string]func(*Request){
		"an enrollment with a made key":        func(r *Request) { r.Possession, r.InPlaceOfKey = madeKey(t), []byte("x") },
		"a renewal with a made key":            func(r *Request) { r.Operation, r.Possession, r.InPlaceOfKey = Rekey, madeKey(t), []byte("x") },
		"an own key as if made here":           func(r *Request) { r.Operation, r.InPlaceOfKey = KeyGen, []byte("x") },
		"a made key that nothing stands for":   func(r *Request) { r.Operation, r.Possession = KeyGen, madeKey(t) },
		"an own key that something stands for": func(r *Request) { r.InPlaceOfKey = []byte("x") },
	} {
		a, _ := authority(t)
		_, r := sampleRequest(t)
		change(r)
		if got := a.Enroll(t.Context(), r)[0]; !IsKind(got.Err, Internal) {
			t.Errorf("%s: %v", what, got.Err)
		}
	}
}
