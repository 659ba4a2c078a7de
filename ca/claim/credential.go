package claim

import (
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// credentialLasts is how long what a credential says counts after the caller
// was let in by it: one request.
const credentialLasts = time.Hour

// FromCredential makes claims of what a caller's credential was given for: its
// subject as Principal, its device as Serial. It gives none for a caller without
// a credential, or with one that says neither.
func FromCredential(v Verifier, who caller.Caller) ([]Claim, error) {
	if !who.Verified() || v.door != who.Door() {
		return nil, fmt.Errorf("claim: a verifier of door %q cannot make claims of a caller of door %q", v.door, who.Door())
	}
	b, ok := who.Binding()
	if !ok {
		return nil, nil
	}
	var out []Claim
	for _, said := range []struct {
		kind  Kind
		value string
	}{{Principal, b.Subject}, {Serial, b.Device}} {
		if said.value == "" {
			continue
		}
		if !Permitted(v.door, Credential, said.kind) {
			return nil, fmt.Errorf("claim: door %s brings no claims of kind %s by credential", v.door, said.kind)
		}
		_, text, err := valueOf(said.kind, said.value)
		if err != nil {
			return nil, err
		}
		out = append(out, Claim{&fact{said.kind, pkix.GeneralName{}, v.door, Credential, b.Credential, who.ID(), who.At(), who.At().Add(credentialLasts), text}})
	}
	return out, nil
}
