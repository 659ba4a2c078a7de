package attest

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// FuzzAttestationObject: whatever a client sends, nothing panics and nothing is
// attested but what a root vouches for.
func FuzzAttestationObject(f *testing.F) {
	m := newMaker(f)
	other := newMaker(f)
	key := ecKey(f)
	for format, s := range map[string]map[string]any{"apple": m.apple(key.Public()), "packed": m.packed(key, keyAuth), "step": m.packed(key, keyAuth), "tpm": m.tpm(newTPM(f))} {
		f.Add(encoded(f, format, s))
	}
	f.Add([]byte{0xa0})
	all := map[string]*Verifier{}
	for _, format := range Formats() {
		all[format] = verifier(f, format, other.root) // vouches for none of the seeds
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		format, _, err := parseObject(data)
		if err != nil {
			return
		}
		v := all[format]
		if v == nil {
			return
		}
		if record, err := v.Validate(t.Context(), asking("C02XG0", response(t, data))); err == nil || record.Attestation != nil {
			t.Errorf("%x is an attestation", data)
		}
	})
}

// FuzzTPM: the structures of a TPM are read in their one form, or refused.
func FuzzTPM(f *testing.F) {
	m, s := newMaker(f), newTPM(f)
	statement := m.tpm(s)
	f.Add(statement["certInfo"].([]byte), statement["pubArea"].([]byte), statement["sig"].([]byte))
	f.Add([]byte{0xff, 0x54, 0x43, 0x47, 0x80, 0x17}, []byte{0, 1}, []byte{0, 0x14, 0, 0x0b, 0xff, 0xff})
	f.Add([]byte{}, []byte{0, 0x23, 0, 0x0b}, []byte{0, 0x18, 0, 0x0b, 0, 1, 1, 0, 1, 1})
	f.Fuzz(func(t *testing.T, certInfo, pubArea, sig []byte) {
		if info, _, err := parseCertInfo(certInfo); err == nil && !bytes.Equal(tpm2.Marshal(info), certInfo) {
			t.Error("certInfo has two forms")
		}
		if area, key, err := parsePublicArea(pubArea); err == nil && (key == nil || !bytes.Equal(tpm2.Marshal(area), pubArea)) {
			t.Error("pubArea has two forms, or no key")
		}
		for _, a := range algorithms {
			if out, err := tpmSignature(sig, a); err == nil && len(out) == 0 && len(sig) > 8 {
				t.Error("a signature is lost")
			}
		}
	})
}
