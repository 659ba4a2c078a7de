package acme

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/fixture"
)

func encodeDER(der []byte) string { return base64.RawURLEncoding.EncodeToString(der) }

// TestSameNamesInTwoTenants: CA, profile, DNS name, account key and certificate
// key are the same in both tenants, and stay two of each.
func TestSameNamesInTwoTenants(t *testing.T) {
	for store, open := range openStores {
		t.Run(store, func(t *testing.T) {
			b := newBenchOn(t, open(t))
			one, key := b.registered("one"), fixture.Key(t)
			two := b.client("two")
			two.key = one.key
			r := two.post(two.base+"/new-account", `{}`)
			if two.kid = r.header.Get("Location"); r.status != http.StatusCreated {
				t.Fatalf("%d %s", r.status, r.body)
			}
			derOne, _ := one.issue(key, "host.example")
			// What tenant one has proven is not proven for tenant two.
			if url, order := two.order("host.example"); order.Status != state.Pending {
				t.Errorf("order %s is %s", url, order.Status)
			}
			derTwo, urlTwo := two.issue(key, "host.example")
			if r := one.revoke(derOne, `,"reason":4`); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			for tenant, want := range map[string]ca.State{"one": ca.Revoked, "two": ca.Issued} {
				der := map[string][]byte{"one": derOne, "two": derTwo}[tenant]
				c, err := b.store.Certificate(t.Context(), tenant, "issuing", serialOf(t, der))
				if err != nil || c.State != want || string(c.DER) != string(der) {
					t.Errorf("tenant %s: %+v, %v, want %s", tenant, c, err, want)
				}
			}
			if r := two.post(urlTwo, ""); r.status != http.StatusOK || string(decodePEM(r.body)[0]) != string(derTwo) {
				t.Errorf("tenant two's certificate: %d", r.status)
			}
			if r := one.post(one.kid, `{"status":"deactivated"}`); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if r := two.revoke(derTwo, ""); r.status != http.StatusOK {
				t.Errorf("the other tenant's account went with the first one's: %d %s", r.status, r.body)
			}
		})
	}
}

// TestSameTransactionInTwoTenants hands the core the same account id, transaction,
// key and name for both tenants: neither gets the other's recorded answer.
func TestSameTransactionInTwoTenants(t *testing.T) {
	for store, open := range openStores {
		t.Run(store, func(t *testing.T) {
			b := newBenchOn(t, open(t))
			key, now := fixture.Key(t), time.Now()
			csr, err := base64.RawURLEncoding.DecodeString(b.client("one").csrWith(key, "", "host.example"))
			if err != nil {
				t.Fatal(err)
			}
			_, possession, err := claim.VerifyCSR(csr, false)
			if err != nil {
				t.Fatal(err)
			}
			serials := map[string]ca.Serial{}
			for _, again := range []bool{false, true} {
				for _, tenant := range tenants {
					who, err := caller.FromAccountSignature(b.door.Callers, caller.AccountSignature{Tenant: tenant, Endpoint: "acme-" + tenant,
						Account: "SAME", Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: now})
					if err != nil {
						t.Fatal(err)
					}
					proven, err := claim.FromAuthorization(b.door.Claims, claim.ValidatedAuthorization{ID: "SAME", Owner: who.ID(), Identifier: "host.example",
						Challenge: claim.HTTP01, Status: "valid", Validated: now, Expires: now.Add(time.Hour), Now: now})
					if err != nil {
						t.Fatal(err)
					}
					r := b.door.Core.Enroll(t.Context(), &ca.Request{Trace: ca.NewTrace(), Endpoint: "acme-" + tenant, Operation: ca.Enroll, Caller: who,
						Possession: possession, Claims: []claim.Claim{proven}, Transaction: "SAME", Window: time.Hour})[0]
					if r.Err != nil || r.Replayed != again || r.Certificate.Tenant != tenant {
						t.Fatalf("tenant %s, again %v: %+v", tenant, again, r)
					}
					if again && r.Certificate.Serial != serials[tenant] {
						t.Errorf("tenant %s got another answer the second time", tenant)
					}
					serials[tenant] = r.Certificate.Serial
				}
			}
			if serials["one"] == serials["two"] {
				t.Error("both tenants got the same certificate")
			}
		})
	}
}
