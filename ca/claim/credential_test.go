package claim

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
)

func boundCaller(t *testing.T, b *caller.Binding) caller.Caller {
	t.Helper()
	who, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: "default", Endpoint: "e", Account: "a1",
		Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, Binding: b, At: now})
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func TestFromCredential(t *testing.T) {
	v := NewVerifier(caller.ACME)
	got, err := FromCredential(v, boundCaller(t, &caller.Binding{Credential: "kid-1", Subject: "Web team", Device: "SN-77"}))
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	for i, want := range []string{"principal:Web team", "serial:SN-77"} {
		c := got[i]
		if c.String() != want || c.IsName() || c.Method() != Credential || c.Door() != caller.ACME || c.Owner() != "acme-account:a1" ||
			!c.Until().Equal(now.Add(time.Hour)) || c.Source() != "credential kid-1 at 2026-03-01T12:00:00Z" || !Permitted(c.Door(), c.Method(), c.Kind()) {
			t.Errorf("claim %s from %s until %s", c, c.Source(), c.Until())
		}
	}
	for what, b := range map[string]*caller.Binding{"no credential": nil, "one that says nothing": {Credential: "kid-1", Names: []string{"a.example"}}} {
		if got, err := FromCredential(v, boundCaller(t, b)); err != nil || len(got) != 0 {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	good := boundCaller(t, &caller.Binding{Credential: "kid-1", Subject: "x"})
	for what, try := range map[string]func() ([]Claim, error){
		"another door's verifier": func() ([]Claim, error) { return FromCredential(NewVerifier(caller.EST), good) },
		"nobody":                  func() ([]Claim, error) { return FromCredential(v, caller.Caller{}) },
		"a control character": func() ([]Claim, error) {
			return FromCredential(v, boundCaller(t, &caller.Binding{Credential: "kid-1", Device: "x\n"}))
		},
	} {
		if got, err := try(); err == nil {
			t.Errorf("%s: %v", what, got)
		}
	}
}
