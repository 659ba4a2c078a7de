package claim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/enrollgate/enrollgate/ca/caller"
)

// halves is a key whose public half is another one's.
type halves struct {
	crypto.Signer
	public crypto.PublicKey
}

func (h halves) Public() crypto.PublicKey { return h.public }

// Only the doors that hand out keys show possession of them, and only of a whole key.
func TestMadeHere(t *testing.T) {
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	for _, door := range append(caller.Doors(), "") {
		p, err := PossessionOfMade(NewVerifier(door), keys[0])
		if may := door == caller.EST || door == caller.CMP; may != (err == nil) || may != p.Verified() {
			t.Errorf("door %q: %v", door, err)
		}
	}
	p, err := PossessionOfMade(NewVerifier(caller.EST), keys[0])
	if err != nil || p.Method() != MadeHereMethod {
		t.Fatal(p.Method(), err)
	}
	record, err := RecordPossession(p)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := PossessionFromRecord(record); err != nil || again.Method() != MadeHereMethod || again.Key().Hash() != p.Key().Hash() {
		t.Errorf("from its record: %q, %v", again.Method(), err)
	}
	for what, key := range map[string]crypto.Signer{"no key": nil, "two halves": halves{keys[0], keys[1].Public()}} {
		if p, err := PossessionOfMade(NewVerifier(caller.EST), key); err == nil || p.Verified() {
			t.Errorf("%s: possession was shown", what)
		}
	}
}
