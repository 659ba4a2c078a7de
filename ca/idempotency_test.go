package ca

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func account(t testing.TB, endpoint, id string) caller.Caller {
	t.Helper()
	c, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: "default", Endpoint: endpoint, Account: id,
		Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authorization(t testing.TB, owner caller.Caller, name string) claim.Claim {
	t.Helper()
	c, err := claim.FromAuthorization(claim.NewVerifier(caller.ACME), claim.ValidatedAuthorization{ID: "z", Owner: owner.ID(), Identifier: name,
		Challenge: claim.HTTP01, Status: "valid", Validated: at, Expires: at.Add(time.Hour), Now: at})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fixedKey is the possession of one key that never changes: digests of it are
// compared across releases.
func fixedKey(t testing.TB) claim.Possession {
	t.Helper()
	spki, err := hex.DecodeString("302a300506032b6570032100000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	if err != nil {
		t.Fatal(err)
	}
	key, err := pkix.ParsePublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	p, err := claim.OwnKey(claim.NewVerifier(caller.System), key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func csrKey(t testing.TB) claim.Possession {
	t.Helper()
	return shown(t, ecKey(t))
}

func sampleRequest(t testing.TB) (*Endpoint, *Request) {
	t.Helper()
	who := account(t, "e", "a")
	return &Endpoint{ID: "e", Tenant: "default", Door: caller.ACME}, &Request{Endpoint: "e", Operation: Enroll, Caller: who, Possession: fixedKey(t), Window: time.Hour, Transaction: "order-1",
		Claims:   []claim.Claim{authorization(t, who, "a.example"), authorization(t, who, "b.example")},
		Asserted: Asserted{Subject: pkix.EmptyName, AltNames: []pkix.GeneralName{pkix.DNS("a.example"), pkix.DNS("b.example")}}}
}

// The key and the digest of one request, as replicas of every release must
// compute them: a change here makes running retries look like new requests.
func TestIdempotencyIsStable(t *testing.T) {
	id := idempotency(sampleRequest(t))
	const key, digest = "f49de0dc6a507baff237f58b860a998c127cb6c64a3bbcf9b20f8b2f8bdaf34b", "b5f193a9deab9784f4e6e683bb4c3bd0a46badc8c860c998caebab84c5873c70"
	if got := hex.EncodeToString(id.Key[:]); got != key {
		t.Errorf("key %s", got)
	}
	if got := hex.EncodeToString(id.Digest[:]); got != digest {
		t.Errorf("digest %s", got)
	}
	if id.Window != time.Hour {
		t.Errorf("window %s", id.Window)
	}
}

func TestIdempotencyTellsApart(t *testing.T) {
	base := idempotency(sampleRequest(t))
	for name, c := range map[string]struct {
		change            func(e *Endpoint, r *Request)
		newKey, newDigest bool
	}{
		"trace":           {func(_ *Endpoint, r *Request) { r.Trace = "X" }, false, false},
		"order of claims": {func(_ *Endpoint, r *Request) { r.Claims[0], r.Claims[1] = r.Claims[1], r.Claims[0] }, false, false},
		"claim twice":     {func(_ *Endpoint, r *Request) { r.Claims = append(r.Claims, r.Claims[0]) }, false, false},
		"claim less":      {func(_ *Endpoint, r *Request) { r.Claims = r.Claims[:1] }, false, true},
		"key":             {func(_ *Endpoint, r *Request) { r.Possession = csrKey(t) }, false, true},
		"subject":         {func(_ *Endpoint, r *Request) { r.Asserted.Subject = nil }, false, true},
		"order of names":  {func(_ *Endpoint, r *Request) { n := r.Asserted.AltNames; n[0], n[1] = n[1], n[0] }, false, true},
		"extension":       {func(_ *Endpoint, r *Request) { r.Asserted.Extensions = []pkix.Extension{{ID: pkix.OIDKeyUsage}} }, false, true},
		"not before":      {func(_ *Endpoint, r *Request) { r.Asserted.NotBefore = at }, false, true},
		"not after":       {func(_ *Endpoint, r *Request) { r.Asserted.NotAfter = at }, false, true},
		"renewal":         {func(_ *Endpoint, r *Request) { r.Renews = &Renewal{Certificate: []byte("x")} }, false, true},
		"operation":       {func(_ *Endpoint, r *Request) { r.Operation = Rekey }, true, false},
		"transaction":     {func(_ *Endpoint, r *Request) { r.Transaction = "order-2" }, true, false},
		"no transaction":  {func(_ *Endpoint, r *Request) { r.Transaction = "" }, true, false},
		"caller":          {func(_ *Endpoint, r *Request) { r.Caller = account(t, "e", "other") }, true, false},
		"endpoint":        {func(e *Endpoint, _ *Request) { e.ID = "f" }, true, false},
		"tenant":          {func(e *Endpoint, _ *Request) { e.Tenant = "other" }, true, false},
	} {
		e, r := sampleRequest(t)
		c.change(e, r)
		got := idempotency(e, r)
		if (got.Key != base.Key) != c.newKey || (got.Digest != base.Digest) != c.newDigest {
			t.Errorf("%s: new key %v, new digest %v", name, got.Key != base.Key, got.Digest != base.Digest)
		}
	}
	// Without a transaction the digest is the key: another request never meets the first.
	e, r := sampleRequest(t)
	r.Transaction = ""
	first := idempotency(e, r)
	r.Asserted.AltNames = r.Asserted.AltNames[:1]
	if idempotency(e, r).Key == first.Key {
		t.Error("two requests without transaction share a key")
	}
}
