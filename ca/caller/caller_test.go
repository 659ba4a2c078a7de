package caller

import (
	"slices"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func signature() AccountSignature {
	return AccountSignature{Tenant: "default", Endpoint: "e", Account: "a1", Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: now}
}

func TestFromAccountSignature(t *testing.T) {
	v := NewVerifier(ACME)
	c, err := FromAccountSignature(v, signature())
	if err != nil {
		t.Fatal(err)
	}
	if !c.Verified() || c.ID() != "acme-account:a1" || c.String() != c.ID() || c.Door() != ACME || c.Tenant() != "default" || c.Endpoint() != "e" || !c.At().Equal(now) || !slices.Equal(c.Methods(), []Method{ACMEAccount}) {
		t.Errorf("caller %+v", c.p)
	}
	c.Methods()[0] = LocalOperator
	if c.Methods()[0] != ACMEAccount {
		t.Error("a caller's methods can be changed from outside")
	}
	for name, change := range map[string]func(*AccountSignature){
		"no tenant":     func(e *AccountSignature) { e.Tenant = "" },
		"no endpoint":   func(e *AccountSignature) { e.Endpoint = "" },
		"no account":    func(e *AccountSignature) { e.Account = "" },
		"no time":       func(e *AccountSignature) { e.At = time.Time{} },
		"deactivated":   func(e *AccountSignature) { e.Status = "deactivated" },
		"revoked":       func(e *AccountSignature) { e.Status = "revoked" },
		"no key":        func(e *AccountSignature) { e.KeyThumbprint, e.AccountKey = [32]byte{}, [32]byte{} },
		"another's key": func(e *AccountSignature) { e.KeyThumbprint = [32]byte{2} },
	} {
		ev := signature()
		change(&ev)
		if c, err := FromAccountSignature(v, ev); err == nil || c.Verified() {
			t.Errorf("%s made the caller %s", name, c)
		}
	}
}

// A token makes only its own door's callers, and the zero token none.
func TestWrongVerifier(t *testing.T) {
	for _, door := range append(Doors(), "") {
		v := NewVerifier(door)
		if c, err := FromAccountSignature(v, signature()); (err == nil) != (door == ACME) || c.Verified() != (err == nil) {
			t.Errorf("door %q and an account: %v", door, err)
		}
		if c, err := FromService(v, ServiceIdentity{"default", "tls", now}); (err == nil) != (door == System) || c.Verified() != (err == nil) {
			t.Errorf("door %q and a service: %v", door, err)
		}
		if c, err := FromOperator(v, OperatorIdentity{"default", "root", 0, now}); (err == nil) != (door == Operator) || c.Verified() != (err == nil) {
			t.Errorf("door %q and an operator: %v", door, err)
		}
	}
}

func TestIncompleteEvidence(t *testing.T) {
	for _, ev := range []ServiceIdentity{{"", "tls", now}, {"default", "", now}, {"default", "tls", time.Time{}}} {
		if c, err := FromService(NewVerifier(System), ev); err == nil || c.Verified() {
			t.Errorf("%+v made %s", ev, c)
		}
	}
	for _, ev := range []OperatorIdentity{{"", "root", 0, now}, {"default", "", 0, now}, {"default", "root", -1, now}, {"default", "root", 0, time.Time{}}} {
		if c, err := FromOperator(NewVerifier(Operator), ev); err == nil || c.Verified() {
			t.Errorf("%+v made %s", ev, c)
		}
	}
}

func TestNobody(t *testing.T) {
	var c Caller
	if c.Verified() || c.String() != "nobody" || c.ID() != "" || c.Door() != "" || c.Tenant() != "" || c.Endpoint() != "" || c.Methods() != nil || !c.At().IsZero() {
		t.Errorf("the zero caller is %+v", c)
	}
}

// Callers of two tenants or ids never share a digest.
func TestDigest(t *testing.T) {
	seen := map[string]bool{}
	for _, ev := range []AccountSignature{signature(), {Tenant: "defaul", Account: "ta1"}, {Tenant: "default", Account: "a2"}} {
		full := signature()
		full.Tenant, full.Account = ev.Tenant, ev.Account
		c, err := FromAccountSignature(NewVerifier(ACME), full)
		if err != nil {
			t.Fatal(err)
		}
		if d := c.Digest(); seen[d] || len(d) != 32 {
			t.Errorf("digest %s of %s", d, c)
		}
		seen[c.Digest()] = true
	}
	for method, doors := range Methods() {
		for _, door := range doors {
			if !slices.Contains(Doors(), door) {
				t.Errorf("method %s is verified by %q, which is no door", method, door)
			}
		}
		if len(doors) == 0 {
			t.Errorf("method %s is verified by nobody", method)
		}
	}
}
