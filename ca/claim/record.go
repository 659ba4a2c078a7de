package claim

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// writtenClaim is a claim in a sealed record.
type writtenClaim struct {
	Kind      Kind             `json:"kind"`
	Name      pkix.GeneralName `json:"name"`
	Text      string           `json:"text,omitempty"`
	Door      caller.Door      `json:"door"`
	Method    Method           `json:"method"`
	Reference string           `json:"reference"`
	Owner     string           `json:"owner"`
	At        time.Time        `json:"at"`
	Until     time.Time        `json:"until"`
}

type writtenPossession struct {
	Key    []byte `json:"key"` // SubjectPublicKeyInfo
	Method string `json:"method"`
}

// Record writes a claim down, for a record that is sealed.
func Record(c Claim) ([]byte, error) {
	if !c.Verified() || c.f.door == offline {
		return nil, errors.New("claim: only what was proven is written down")
	}
	f := c.f
	return json.Marshal(writtenClaim{f.kind, f.name, f.text, f.door, f.method, f.reference, f.owner, f.at, f.until})
}

// FromRecord makes the claim that Record wrote. The evidence is the seal that the
// record was opened with, so the core alone calls it, behind that seal; an
// architecture test keeps it so.
func FromRecord(record []byte) (Claim, error) {
	var w writtenClaim
	if err := json.Unmarshal(record, &w); err != nil {
		return Claim{}, err
	}
	if !Permitted(w.Door, w.Method, w.Kind) || w.Owner == "" || w.At.IsZero() || w.Until.IsZero() || (w.Text == "") == (w.Name.Raw == nil) {
		return Claim{}, errors.New("claim: the record is incomplete, or of a claim that the closed table does not have")
	}
	return Claim{&fact{w.Kind, w.Name, w.Door, w.Method, w.Reference, w.Owner, w.At, w.Until, w.Text}}, nil
}

// RecordPossession writes down a key and how its possession was shown.
func RecordPossession(p Possession) ([]byte, error) {
	if !p.Verified() {
		return nil, errors.New("claim: possession was not shown")
	}
	return json.Marshal(writtenPossession{p.key.Raw(), p.method})
}

// PossessionFromRecord is FromRecord for what RecordPossession wrote.
func PossessionFromRecord(record []byte) (Possession, error) {
	var w writtenPossession
	if err := json.Unmarshal(record, &w); err != nil {
		return Possession{}, err
	}
	key, err := pkix.ParsePublicKey(w.Key)
	if err != nil {
		return Possession{}, err
	}
	if !slices.Contains([]string{"csr-signature", "own-key", "tls-handshake", "message-signature", MadeHereMethod}, w.Method) {
		return Possession{}, errors.New("claim: the record does not say how possession was shown")
	}
	return Possession{key: key, method: w.Method}, nil
}
