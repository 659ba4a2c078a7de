package caller

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRecord: what a credential binds a caller to is in the record, and no
// record makes an external account without its credential.
func TestRecord(t *testing.T) {
	bound := AccountSignature{Tenant: "one", Endpoint: "web", Account: "a", Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: time.Now().UTC(),
		Binding: &Binding{Credential: "kid", Profile: "p", Names: []string{"*.a.example"}, KeyHash: []byte{1}}}
	free := bound
	free.Binding = nil
	for what, ev := range map[string]AccountSignature{"bound": bound, "free": free} {
		made, err := FromAccountSignature(NewVerifier(ACME), ev)
		if err != nil {
			t.Fatal(err)
		}
		text, err := Record(made)
		if err != nil {
			t.Fatal(err)
		}
		read, err := FromRecord(text)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := cmp.Diff(made.p, read.p, cmp.AllowUnexported(principal{})); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	made, err := FromAccountSignature(NewVerifier(ACME), bound)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Record(made)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{`"credential":"kid"`: `"credential":""`, `"binding":`: `"other":`, `,"eab"`: ``} {
		changed := strings.Replace(string(text), from, to, 1)
		if changed == string(text) {
			t.Fatalf("no %s in %s", from, text)
		}
		if _, err := FromRecord([]byte(changed)); err == nil {
			t.Errorf("%s became %s, and a caller", from, to)
		}
	}
}
