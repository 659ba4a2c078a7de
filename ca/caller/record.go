package caller

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// written is a caller in a sealed record.
type written struct {
	Door     Door      `json:"door"`
	Methods  []Method  `json:"methods"`
	Tenant   string    `json:"tenant"`
	Endpoint string    `json:"endpoint"`
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Binding  *Binding  `json:"binding,omitempty"`
}

// Record writes a caller down, for a record that is sealed. A CertificateKey or
// RequestKey caller cannot be written: it enrolls nobody, so it never waits.
func Record(c Caller) ([]byte, error) {
	if !c.Verified() || slices.Contains(c.p.methods, CertificateKey) || slices.Contains(c.p.methods, RequestKey) {
		return nil, errors.New("caller: only a verified caller that may enroll is written down")
	}
	return json.Marshal(written{c.p.door, c.p.methods, c.p.tenant, c.p.endpoint, c.p.id, c.p.at, c.p.binding})
}

// FromRecord makes the caller that Record wrote. The evidence is the seal that the
// record was opened with, so the core alone calls it, behind that seal; an
// architecture test keeps it so.
func FromRecord(record []byte) (Caller, error) {
	var w written
	if err := json.Unmarshal(record, &w); err != nil {
		return Caller{}, err
	}
	if !slices.Contains(Doors(), w.Door) || len(w.Methods) == 0 || w.Tenant == "" || w.ID == "" || w.At.IsZero() {
		return Caller{}, errors.New("caller: the record is incomplete")
	}
	for _, m := range w.Methods {
		if !slices.Contains(Methods()[m], w.Door) {
			return Caller{}, errors.New("caller: the record has a method of another door")
		}
	}
	holds := slices.ContainsFunc(w.Methods, func(m Method) bool { return m == ExternalAccount || m == Password || m == SCEPSecret })
	if holds != (w.Binding != nil && w.Binding.Credential != "") {
		return Caller{}, errors.New("caller: the record of a credential's holder and its credential do not agree")
	}
	return Caller{&principal{w.Door, w.Methods, w.Tenant, w.Endpoint, w.ID, w.At, [32]byte{}, w.Binding, [32]byte{}}}, nil
}
