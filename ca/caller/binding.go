package caller

import "slices"

// Binding is what the credential that a caller was let in by holds it to. Zero
// fields hold it to nothing.
type Binding struct {
	Credential string   `json:"credential"`            // id of the credential; no secret
	Profile    string   `json:"profile,omitempty"`     // the one profile that may be issued under
	Subject    string   `json:"subject,omitempty"`     // who the credential was given to, in the operator's words
	Device     string   `json:"device,omitempty"`      // the device that it was given for
	Names      []string `json:"names,omitempty"`       // patterns of the names that may be certified (claim.ParsePattern)
	CommonName string   `json:"common_name,omitempty"` // the one CN that the subject must have
	KeyHash    []byte   `json:"key_hash,omitempty"`    // SHA-256 of the SubjectPublicKeyInfo that may be certified
}

// clone copies what the binding points to.
func (b Binding) clone() *Binding {
	b.Names, b.KeyHash = slices.Clone(b.Names), slices.Clone(b.KeyHash)
	return &b
}

// Binding is what the caller's credential holds it to; ok is false where it
// came without one.
func (c Caller) Binding() (b Binding, ok bool) {
	if c.p == nil || c.p.binding == nil {
		return Binding{}, false
	}
	return *c.p.binding.clone(), true
}
