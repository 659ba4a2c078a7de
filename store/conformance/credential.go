package conformance

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
)

var credentialCases = []Case{
	{"Credential", credentialReadBack},
	{"CredentialTaken", credentialTaken},
	{"CredentialList", credentialList},
	{"CredentialRevoked", credentialRevoked},
	{"CredentialUnlimited", credentialUnlimited},
	{"CredentialAudited", credentialAudited},
}

func credentialAdded(tenant string) ca.Audit {
	return ca.Audit{Tenant: tenant, Event: "credential.created", Actor: "operator:x", Trace: ca.NewTrace(), Detail: []byte("{}")}
}

func (k *kit) newCredential(tenant, id string, uses int) *credential.Record {
	k.Helper()
	expires := k.now().Add(24 * time.Hour).UTC().Truncate(time.Microsecond)
	return &credential.Record{Credential: credential.Credential{Tenant: tenant, ID: id, Kind: credential.HMACKey, Door: caller.ACME, Expires: expires,
		Endpoints: []string{"web", "mail"}, Granted: uses, Left: uses, Binding: caller.Binding{Credential: id, Profile: "tls-server", Subject: "Unit 7",
			Device: "SN-1", Names: []string{"*.a.example", "10.0.0.0/8"}, CommonName: "host.a.example", KeyHash: randomBytes(32)}}, Secret: randomBytes(60), Lookup: randomBytes(32)}
}

// credential adds a credential and gives its id.
func (k *kit) credential(tenant string, uses int) string {
	k.Helper()
	id := "cred-" + ca.RandomID(8)
	k.must("add a credential", k.Store.AddCredential(k.Context(), k.newCredential(tenant, id, uses), credentialAdded(tenant)))
	return id
}

func (k *kit) usesLeft(tenant, id string) int {
	k.Helper()
	r, err := k.Store.Credential(k.Context(), tenant, id)
	k.must("credential", err)
	return r.Left
}

func credentialReadBack(t T, open func() *Driver) {
	k := start(t, open)
	bare := k.newCredential(Tenant, "bare", 3)
	bare.Endpoints, bare.Lookup, bare.Binding = nil, nil, caller.Binding{Credential: "bare"}
	other := k.newCredential(Tenant, "other", 1)
	for _, want := range []*credential.Record{k.newCredential(Tenant, "full", 1), bare, other} {
		k.must("add", k.Store.AddCredential(t.Context(), want, credentialAdded(Tenant)))
		if d := want.CreatedAt.Sub(k.now()).Abs(); d > time.Hour {
			t.Errorf("created at %v", want.CreatedAt)
		}
		got, err := k.Store.Credential(t.Context(), Tenant, want.ID)
		k.must("credential", err)
		byLookup := got
		if want.Lookup != nil {
			byLookup, err = k.Store.CredentialByLookup(t.Context(), Tenant, [][]byte{randomBytes(32), want.Lookup})
			k.must("by lookup", err)
		}
		for _, r := range []*credential.Record{got, byLookup} {
			same := *r
			same.Lookup = want.Lookup // which is for finding alone
			if diff := cmp.Diff(want, &same); diff != "" {
				t.Errorf("credential %s:\n%s", want.ID, diff)
			}
		}
	}
	_, err := k.Store.Credential(t.Context(), Tenant, "unknown")
	k.kind("an unknown id", err, ca.NotFound)
	for _, none := range [][][]byte{nil, {randomBytes(32)}, {{}}} {
		_, err = k.Store.CredentialByLookup(t.Context(), Tenant, none)
		k.kind("an unknown lookup", err, ca.NotFound)
	}
}

func credentialTaken(t T, open func() *Driver) {
	k := start(t, open)
	first := k.newCredential(Tenant, "first", 1)
	k.must("add", k.Store.AddCredential(t.Context(), first, credentialAdded(Tenant)))
	k.kind("an id that is taken", k.Store.AddCredential(t.Context(), k.newCredential(Tenant, "first", 100), credentialAdded(Tenant)), ca.Conflict)
	second := k.newCredential(Tenant, "second", 1)
	second.Lookup = first.Lookup
	k.kind("a secret that is taken", k.Store.AddCredential(t.Context(), second, credentialAdded(Tenant)), ca.Conflict)
	if n := k.usesLeft(Tenant, "first"); n != 1 {
		t.Errorf("%d uses left of 1", n)
	}
	_, err := k.Store.Credential(t.Context(), Tenant, "second")
	k.kind("the refused credential", err, ca.NotFound)
}

func credentialList(t T, open func() *Driver) {
	k := start(t, open)
	for _, id := range []string{"b", "a", "d", "c"} {
		k.must("add", k.Store.AddCredential(t.Context(), k.newCredential(Tenant, id, 1), credentialAdded(Tenant)))
	}
	list := func(after string, limit int) (ids string) {
		t.Helper()
		all, err := k.Store.Credentials(t.Context(), Tenant, after, limit)
		k.must("list", err)
		for _, r := range all {
			ids += r.ID
		}
		return ids
	}
	if got := list("", 3) + " " + list("c", 3) + " " + list("d", 3); got != "abc d " {
		t.Errorf("the list is %q", got)
	}
}

func credentialRevoked(t T, open func() *Driver) {
	k := start(t, open)
	id := k.credential(Tenant, 5)
	k.must("revoke", k.Store.RevokeCredential(t.Context(), Tenant, id, credentialAdded(Tenant)))
	k.kind("again", k.Store.RevokeCredential(t.Context(), Tenant, id, credentialAdded(Tenant)), ca.Conflict)
	k.kind("an unknown one", k.Store.RevokeCredential(t.Context(), Tenant, "unknown", credentialAdded(Tenant)), ca.Conflict)
	r, err := k.Store.Credential(t.Context(), Tenant, id)
	k.must("credential", err)
	if r.RevokedAt.IsZero() || r.At(k.now()) != credential.Revoked {
		t.Errorf("revoked at %v", r.RevokedAt)
	}
	_, err = k.Store.Record(t.Context(), k.entry(Tenant, k.Store.Burn(Tenant, id)))
	k.lost(err, 0, 0)
}

func credentialUnlimited(t T, open func() *Driver) {
	k := start(t, open)
	id := k.credential(Tenant, credential.Unlimited)
	for range 3 {
		k.record(k.entry(Tenant, k.Store.Burn(Tenant, id)))
	}
	if n := k.usesLeft(Tenant, id); n != credential.Unlimited {
		t.Errorf("%d uses left of as many as one likes", n)
	}
	k.Advance(25 * time.Hour)
	_, err := k.Store.Record(t.Context(), k.entry(Tenant, k.Store.Burn(Tenant, id)))
	k.lost(err, 0, 0)
}

func credentialAudited(t T, open func() *Driver) {
	k := start(t, open)
	added, revoked, refused := credentialAdded(Tenant), credentialAdded(Tenant), credentialAdded(Tenant)
	k.must("add", k.Store.AddCredential(t.Context(), k.newCredential(Tenant, "one", 1), added))
	k.must("revoke", k.Store.RevokeCredential(t.Context(), Tenant, "one", revoked))
	k.kind("again", k.Store.AddCredential(t.Context(), k.newCredential(Tenant, "one", 1), refused), ca.Conflict)
	if a, b, c := k.audited(added.Trace), k.audited(revoked.Trace), k.audited(refused.Trace); a != 1 || b != 1 || c != 0 {
		t.Errorf("%d, %d and %d audit rows", a, b, c)
	}
}

func swapAddCredential(k *kit, _ *ca.Entry) {
	mine, theirs := k.newCredential(Tenant, "same", 1), k.newCredential(OtherTenant, "same", 7)
	theirs.Lookup = mine.Lookup
	k.must("add", k.Store.AddCredential(k.Context(), mine, credentialAdded(Tenant)))
	if err := k.Store.AddCredential(k.Context(), theirs, credentialAdded(OtherTenant)); err != nil {
		k.Errorf("the same id in another tenant: %v", err)
	}
	if a, b := k.usesLeft(Tenant, "same"), k.usesLeft(OtherTenant, "same"); a != 1 || b != 7 {
		k.Errorf("uses left: %d and %d, want 1 and 7", a, b)
	}
}

func swapCredential(k *kit, _ *ca.Entry) {
	_, err := k.Store.Credential(k.Context(), OtherTenant, k.credential(Tenant, 1))
	k.kind("another tenant's credential", err, ca.NotFound)
}

func swapCredentialByLookup(k *kit, _ *ca.Entry) {
	r := k.newCredential(Tenant, "one", 1)
	k.must("add", k.Store.AddCredential(k.Context(), r, credentialAdded(Tenant)))
	_, err := k.Store.CredentialByLookup(k.Context(), OtherTenant, [][]byte{r.Lookup})
	k.kind("another tenant's credential", err, ca.NotFound)
}

func swapCredentials(k *kit, _ *ca.Entry) {
	k.credential(Tenant, 1)
	if all, err := k.Store.Credentials(k.Context(), OtherTenant, "", 10); err != nil || len(all) != 0 {
		k.Errorf("another tenant's credentials: %v, %v", all, err)
	}
}

func swapRevokeCredential(k *kit, _ *ca.Entry) {
	id := k.credential(Tenant, 1)
	k.kind("another tenant's credential", k.Store.RevokeCredential(k.Context(), OtherTenant, id, credentialAdded(OtherTenant)), ca.Conflict)
	r, err := k.Store.Credential(k.Context(), Tenant, id)
	if err != nil || !r.RevokedAt.IsZero() {
		k.Errorf("another tenant revoked it: %v", err)
	}
}
