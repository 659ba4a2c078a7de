package caller

import (
	"slices"
	"testing"
	"time"
)

// TestBinding: a bound account is authenticated by both methods, and what it is
// bound to cannot be changed from outside.
func TestBinding(t *testing.T) {
	b := &Binding{Credential: "kid", Names: []string{"*.a.example"}, KeyHash: []byte{1}}
	ev := AccountSignature{Tenant: "one", Endpoint: "web", Account: "a", Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: time.Now(), Binding: b}
	c, err := FromAccountSignature(NewVerifier(ACME), ev)
	if err != nil || !slices.Equal(c.Methods(), []Method{ACMEAccount, ExternalAccount}) {
		t.Fatalf("methods %v, %v", c.Methods(), err)
	}
	b.Names[0], b.KeyHash[0], b.Credential = "*.b.example", 2, "other"
	first, ok := c.Binding()
	if !ok || first.Credential != "kid" || first.Names[0] != "*.a.example" || first.KeyHash[0] != 1 {
		t.Errorf("the evidence changed later: %+v", first)
	}
	first.Names[0] = "*.c.example"
	if again, _ := c.Binding(); again.Names[0] != "*.a.example" {
		t.Errorf("what was read changed it: %+v", again)
	}
	ev.Binding = nil
	if c, err = FromAccountSignature(NewVerifier(ACME), ev); err != nil || !slices.Equal(c.Methods(), []Method{ACMEAccount}) {
		t.Errorf("without a binding: %v, %v", c.Methods(), err)
	}
	if _, ok := c.Binding(); ok {
		t.Error("a binding from nowhere")
	}
	if _, ok := (Caller{}).Binding(); ok {
		t.Error("nobody is bound")
	}
	ev.Binding = &Binding{}
	if _, err := FromAccountSignature(NewVerifier(ACME), ev); err == nil {
		t.Error("bound to no credential")
	}
}
