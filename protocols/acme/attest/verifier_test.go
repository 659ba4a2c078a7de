package attest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

func key[K any](t testing.TB, made K, err error) K {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Each format is taken in the forms that clients send.
func TestValidate(t *testing.T) {
	m := newMaker(t)
	ec := ecKey(t)
	rsa2048, err := rsaKey()
	big := key(t, rsa2048, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	ed = key(t, ed, err)
	piv := ext(oidPIVSerial, asn1Of(t, 12345678))
	managed := ext(oidManagedDevice, asn1Of(t, struct{ ID string }{"dev-7"}))
	named := altName(t, true, permanent(t, "A1", nil))
	byRSA, bare, tss := newTPM(t), newTPM(t), newTPM(t)
	byRSA.ak, bare.ak = big, big
	byRSA.sign = func(info []byte) []byte {
		return tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgRSASSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgRSASSA,
			&tpm2.TPMSSignatureRSA{Hash: tpm2.TPMAlgSHA256, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: sum256(t, big, info)}})})
	}
	tss.sign = func(info []byte) []byte { return ecSignature(t, tss.ak, info, tpm2.TPMAlgSHA256) }
	step := m.packed(ec, keyAuth, piv)
	step["sig"] = wrapped(t, step["sig"])
	tpmSays := map[string]string{"tpm-manufacturer": "id:494E5443", "tpm-model": "SLB9670", "tpm-version": "id:0001"}
	for _, c := range []struct {
		what, format, typ, identifier string
		statement                     map[string]any
		want                          state.Attestation
	}{
		{"apple by serial", "apple", "", "C02XG0", m.apple(ec.Public()), state.Attestation{Key: []byte(spki(t, ec.Public())), Serial: "C02XG0",
			Properties: map[string]string{"udid": "00008103-0011", "sepos-version": "1.2"}}},
		{"apple by UDID", "apple", "", "00008103-0011", m.apple(big.Public()), state.Attestation{Key: []byte(spki(t, big.Public())), Serial: "C02XG0",
			Properties: map[string]string{"udid": "00008103-0011", "sepos-version": "1.2"}}},
		{"a TPM, DER", "tpm", "", "SN-1/1.2.3", m.tpm(newTPM(t)), state.Attestation{Properties: tpmSays}},
		{"a TPM, TPMT_SIGNATURE", "tpm", "", "SN-1/1.2.3", m.tpm(tss), state.Attestation{Properties: tpmSays}},
		{"a TPM's module", "tpm", "hardware-module", "TPM-7/1.2.3.4", m.tpm(newTPM(t)), state.Attestation{Properties: tpmSays}},
		{"a TPM by RSA", "tpm", "", "SN-1/1.2.3", m.tpm(byRSA), state.Attestation{Properties: tpmSays}},
		{"a TPM by RSA, bare", "tpm", "", "SN-1/1.2.3", m.tpm(bare), state.Attestation{Properties: tpmSays}},
		{"packed by serial", "packed", "", "12345678", m.packed(ec, keyAuth, piv), state.Attestation{Key: []byte(spki(t, ec.Public())), Serial: "12345678"}},
		{"packed by device id", "packed", "", "dev-7", m.packed(ec, keyAuth, managed), state.Attestation{Key: []byte(spki(t, ec.Public())), Serial: "dev-7"}},
		{"packed by name", "packed", "", "A1", m.packed(ec, keyAuth, named), state.Attestation{Key: []byte(spki(t, ec.Public()))}},
		{"packed by Ed25519", "packed", "", "A1", map[string]any{"alg": -8, "x5c": m.chain(m.leaf(ed.Public(), named)), "sig": ed25519.Sign(ed, []byte(keyAuth))},
			state.Attestation{Key: []byte(spki(t, ed.Public()))}},
		{"step", "step", "", "12345678", step, state.Attestation{Key: []byte(spki(t, ec.Public())), Serial: "12345678"}},
	} {
		q := asking(c.identifier, response(t, encoded(t, c.format, c.statement)))
		if c.typ != "" {
			q.Type = c.typ
		}
		record, err := verifier(t, c.format, m.root).Validate(t.Context(), q)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		got := *record.Attestation
		if c.want.Format = c.format; c.want.Key == nil {
			c.want.Key = got.Key // of a TPM's own key; the area is compared elsewhere
		}
		if diff := cmp.Diff(c.want, got); diff != "" || len(got.Key) != sha256.Size {
			t.Errorf("%s: %s", c.what, diff)
		}
	}
}

func asn1Of(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	return key(t, der, err)
}

func wrapped(t testing.TB, sig any) []byte {
	t.Helper()
	data, err := cbor.Marshal(sig)
	return key(t, data, err)
}

// ecSignature is a TPMT_SIGNATURE of an elliptic curve key.
func ecSignature(t testing.TB, by crypto.Signer, message []byte, hash tpm2.TPMAlgID) []byte {
	t.Helper()
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sum256(t, by, message), &pair); err != nil {
		t.Fatal(err)
	}
	return tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
		Hash: hash, SignatureR: tpm2.TPM2BECCParameter{Buffer: pair.R.Bytes()}, SignatureS: tpm2.TPM2BECCParameter{Buffer: pair.S.Bytes()}})})
}

// The key that a TPM certified is the one that the attestation is of.
func TestTPMKey(t *testing.T) {
	m, s := newMaker(t), newTPM(t)
	record, err := verifier(t, "tpm", m.root).Validate(t.Context(), asking("SN-1/1.2.3", response(t, encoded(t, "tpm", m.tpm(s)))))
	if err != nil || string(record.Attestation.Key) != spki(t, s.key.Public()) {
		t.Error(err)
	}
}

// Whatever is wrong with an attestation ends the challenge with the one type of
// problem, and no value of the device is in its text.
func TestValidateRefuses(t *testing.T) {
	m, other := newMaker(t), newMaker(t)
	ec, now := ecKey(t), at
	piv := ext(oidPIVSerial, asn1Of(t, 12345678))
	old := sha256.Sum256([]byte("another token"))
	with := func(change func(map[string]any)) map[string]any {
		s := m.apple(ec.Public())
		change(s)
		return s
	}
	packed := func(change func(map[string]any)) map[string]any {
		s := m.packed(ec, keyAuth, piv)
		change(s)
		return s
	}
	onTPM := func(change func(*tpm)) map[string]any {
		s := newTPM(t)
		change(s)
		return m.tpm(s)
	}
	changed := func(change func(map[string]any)) map[string]any {
		s := m.tpm(newTPM(t))
		change(s)
		return s
	}
	same := func(extensions ...stdpkix.Extension) map[string]any { // without the maker's own
		return map[string]any{"x5c": m.chain(m.leaf(ec.Public(), extensions...))}
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	var many [][]byte
	for range maxChain + 1 {
		many = append(many, m.middle.Raw)
	}
	off := newTPM(t).area
	off.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: []byte{1}}, Y: tpm2.TPM2BECCParameter{Buffer: []byte{1}}})
	for what, c := range map[string]struct {
		format    string
		statement map[string]any
		why       string
	}{
		"apple, wrong nonce":          {"apple", same(ext(oidAppleFreshness, old[:]), ext(oidAppleSerial, []byte("C02XG0"))), "freshness code"},
		"apple, no nonce":             {"apple", same(ext(oidAppleSerial, []byte("C02XG0"))), "freshness code"},
		"apple, wrong root":           {"apple", other.apple(ec.Public()), "lead to a root"},
		"apple, no intermediate":      {"apple", with(func(s map[string]any) { s["x5c"] = s["x5c"].([][]byte)[:1] }), "lead to a root"},
		"apple, no chain":             {"apple", with(func(s map[string]any) { delete(s, "x5c") }), "x5c has one"},
		"apple, a long chain":         {"apple", with(func(s map[string]any) { s["x5c"] = many }), "x5c has one"},
		"apple, no certificate":       {"apple", with(func(s map[string]any) { s["x5c"] = [][]byte{{1}} }), "does not read"},
		"apple, a big one":            {"apple", with(func(s map[string]any) { s["x5c"] = [][]byte{make([]byte, maxCertificate+1)} }), "longer than"},
		"apple, a CA":                 {"apple", with(func(s map[string]any) { s["x5c"] = [][]byte{m.middle.Raw} }), "is a CA's"},
		"apple, another device":       {"apple", m.apple(ec.Public(), ext(apple(99), []byte("x"))), ""},
		"apple, a short RSA key":      {"apple", m.apple(short.Public()), "1024 bits"},
		"apple, a critical extension": {"apple", m.apple(ec.Public(), stdpkix.Extension{Id: apple(98), Critical: true, Value: []byte{5, 0}}), "lead to a root"},

		"packed, another signer":        {"packed", packed(func(s map[string]any) { s["sig"] = sum256(t, ecKey(t), []byte(keyAuth)) }), "does not verify"},
		"packed, the token alone":       {"packed", m.packed(ec, token, piv), "does not verify"},
		"packed, another account":       {"packed", m.packed(ec, token+".x", piv), "does not verify"},
		"packed, another algorithm":     {"packed", packed(func(s map[string]any) { s["alg"] = -257 }), "does not verify"},
		"packed, SHA-1":                 {"packed", packed(func(s map[string]any) { s["alg"] = -65535 }), "SHA-1 is not"},
		"packed, no alg":                {"packed", packed(func(s map[string]any) { delete(s, "alg") }), "alg is not"},
		"packed, no signature":          {"packed", packed(func(s map[string]any) { delete(s, "sig") }), "does not verify"},
		"packed, wrong root":            {"packed", other.packed(ec, keyAuth, piv), "lead to a root"},
		"packed, a bad serial":          {"packed", m.packed(ec, keyAuth, ext(oidPIVSerial, []byte{5, 0})), "does not read"},
		"packed, a negative serial":     {"packed", m.packed(ec, keyAuth, ext(oidPIVSerial, asn1Of(t, -1))), "does not read"},
		"packed, a serial with a slash": {"packed", m.packed(ec, keyAuth, ext(oidManagedDevice, asn1Of(t, struct{ ID string }{"a/b"}))), "does not read"},
		"step, not wrapped":             {"step", packed(func(map[string]any) {}), "not a CBOR byte string"},
		"step, more behind":             {"step", packed(func(s map[string]any) { s["sig"] = append(wrapped(t, s["sig"]), 0) }), "not a CBOR byte string"},

		"tpm, a wrong nonce":                {"tpm", onTPM(func(s *tpm) { s.extra = old[:] }), "extraData"},
		"tpm, the key authorization itself": {"tpm", onTPM(func(s *tpm) { s.extra = []byte(keyAuth)[:32] }), "extraData"},
		"tpm, another key":                  {"tpm", onTPM(func(s *tpm) { s.pubArea = tpm2.Marshal(newTPM(t).area) }), "another key"},
		"tpm, another name":                 {"tpm", onTPM(func(s *tpm) { s.named = []byte{0, 11} }), "another key"},
		"tpm, another signer":               {"tpm", onTPM(func(s *tpm) { s.sign = func(info []byte) []byte { return sum256(t, ecKey(t), info) } }), "is not the attestation key's"},
		"tpm, another hash":                 {"tpm", onTPM(func(s *tpm) { s.sign = func(info []byte) []byte { return ecSignature(t, s.ak, info, tpm2.TPMAlgSHA1) } }), "TPMT_SIGNATURE"},
		"tpm, no signature":                 {"tpm", changed(func(s map[string]any) { delete(s, "sig") }), "TPMT_SIGNATURE"},
		"tpm, a key that can leave":         {"tpm", onTPM(func(s *tpm) { s.area.ObjectAttributes.FixedTPM = false }), "can leave the TPM"},
		"tpm, a key that came":              {"tpm", onTPM(func(s *tpm) { s.area.ObjectAttributes.SensitiveDataOrigin = false }), "can leave the TPM"},
		"tpm, a point off its curve":        {"tpm", onTPM(func(s *tpm) { s.area.Unique = off.Unique }), "not a point"},
		"tpm, octets behind the area":       {"tpm", onTPM(func(s *tpm) { s.pubArea = append(tpm2.Marshal(s.area), 0) }), "pubArea is not"},
		"tpm, no area":                      {"tpm", changed(func(s map[string]any) { delete(s, "pubArea") }), "pubArea is not"},
		"tpm, a long area":                  {"tpm", changed(func(s map[string]any) { s["pubArea"] = append([]byte{0, 35}, make([]byte, maxTPM)...) }), "pubArea is not"},
		"tpm, version 1.2":                  {"tpm", changed(func(s map[string]any) { s["ver"] = "1.2" }), "ver is not"},
		"tpm, Ed25519":                      {"tpm", changed(func(s map[string]any) { s["alg"] = -8 }), "TPMs sign with"},
		"tpm, SHA-1":                        {"tpm", changed(func(s map[string]any) { s["alg"] = -65535 }), "SHA-1"},
		"tpm, wrong root":                   {"tpm", other.tpm(newTPM(t)), "lead to a root"},
		"tpm, a subject":                    {"tpm", onTPM(func(s *tpm) { s.alter = func(c *x509.Certificate) { c.Subject.CommonName = "x" } }), "subject"},
		"tpm, no usage":                     {"tpm", onTPM(func(s *tpm) { s.alter = func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[1:] } }), "2.23.133.8.3"},
		"tpm, no constraints":               {"tpm", onTPM(func(s *tpm) { s.alter = func(c *x509.Certificate) { c.BasicConstraintsValid = false } }), "basic constraints"},
		"tpm, nothing of the TPM":           {"tpm", onTPM(func(s *tpm) { s.names = s.names[1:] }), "manufacturer"},
		"tpm, expired": {"tpm", onTPM(func(s *tpm) {
			s.alter = func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-2*time.Hour), now.Add(-time.Hour) }
		}), "not valid now"},
		"tpm, not about a key":   {"tpm", changed(func(s map[string]any) { signNew(t, s, m, func(info []byte) []byte { info[5] = 0x18; return info }) }), "certInfo is not"},
		"tpm, not made by a TPM": {"tpm", changed(func(s map[string]any) { signNew(t, s, m, func(info []byte) []byte { info[0] = 0; return info }) }), "certInfo is not"},
		"tpm, octets behind":     {"tpm", changed(func(s map[string]any) { signNew(t, s, m, func(info []byte) []byte { return append(info, 0) }) }), "certInfo is not"},
	} {
		identifier := map[string]string{"apple": "C02XG0", "packed": "12345678", "step": "12345678", "tpm": "SN-1/1.2.3"}[c.format]
		if what == "apple, another device" {
			identifier, c.why = "C02XG1", "another one than the order"
		}
		record, err := verifier(t, c.format, m.root).Validate(t.Context(), asking(identifier, response(t, encoded(t, c.format, c.statement))))
		refusedAs(t, what, record, err, c.why)
	}
}

func refusedAs(t *testing.T, what string, record va.Record, err error, why string) {
	t.Helper()
	var p *va.Problem
	if !errors.As(err, &p) || p.Type != va.TypeBadAttestation || p.Retry || !strings.Contains(p.Detail, why) || record.Attestation != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, secret := range []string{"C02XG0", "00008103", "12345678", "SN-1", "TPM-7"} {
		if strings.Contains(p.Detail, secret) {
			t.Errorf("%s: the problem says %s", what, secret)
		}
	}
}

// signNew changes certInfo and signs it again with a new attestation key.
func signNew(t *testing.T, s map[string]any, m *maker, change func([]byte) []byte) {
	t.Helper()
	again := newTPM(t)
	fresh := m.tpm(again)
	info := change(bytes.Clone(fresh["certInfo"].([]byte)))
	maps.Copy(s, fresh)
	s["certInfo"], s["sig"] = info, sum256(t, again.ak, info)
}

// What is not one attestation object in a strict form is refused before any chain.
func TestObjectRefused(t *testing.T) {
	m := newMaker(t)
	ec := ecKey(t)
	good := encoded(t, "apple", m.apple(ec.Public()))
	twice := append([]byte{0xa3, 0x63, 'f', 'm', 't', 0x65, 'a', 'p', 'p', 'l', 'e'}, good[1:]...)
	inside := []byte{0xa2, 0x63, 'f', 'm', 't', 0x65, 'a', 'p', 'p', 'l', 'e', 0x67, 'a', 't', 't', 'S', 't', 'm', 't', 0xa2, 0x63, 'v', 'e', 'r', 0x61, 'a', 0x63, 'v', 'e', 'r', 0x61, 'b'}
	unknownTwice := []byte{0xa4, 0x63, 'f', 'm', 't', 0x65, 'a', 'p', 'p', 'l', 'e', 0x67, 'a', 't', 't', 'S', 't', 'm', 't', 0xa0, 0x61, 'x', 1, 0x61, 'x', 2}
	endless := []byte{0xbf, 0x63, 'f', 'm', 't', 0x65, 'a', 'p', 'p', 'l', 'e', 0x67, 'a', 't', 't', 'S', 't', 'm', 't', 0xa0, 0xff}
	deep := append([]byte{0xa3, 0x63, 'f', 'm', 't', 0x65, 'a', 'p', 'p', 'l', 'e', 0x67, 'a', 't', 't', 'S', 't', 'm', 't', 0xa0, 0x61, 'x'}, append(bytes.Repeat([]byte{0x81}, 40), 1)...)
	tagged := append([]byte{0xd9, 0xd9, 0xf7}, good...)
	v := verifier(t, "apple", m.root)
	for what, c := range map[string]struct {
		response []byte
		why      string
	}{
		"nothing":                      {nil, "not a JSON object with attObj"},
		"an empty object":              {[]byte("{}"), "not a JSON object with attObj"},
		"a number":                     {[]byte(`{"attObj":1}`), "not a JSON object with attObj"},
		"an error of the client":       {[]byte(`{"error":"no TPM"}`), "not a JSON object with attObj"},
		"padded":                       {[]byte(`{"attObj":"oA=="}`), "base64url"},
		"empty":                        {[]byte(`{"attObj":""}`), "empty or too long"},
		"oversize":                     {response(t, make([]byte, maxObject+1)), "empty or too long"},
		"no map":                       {response(t, []byte{0x01}), "not a CBOR map"},
		"trailing octets":              {response(t, append(bytes.Clone(good), 0)), "not a CBOR map"},
		"cut off":                      {response(t, good[:len(good)-1]), "not a CBOR map"},
		"fmt twice":                    {response(t, twice), "a key twice"},
		"ver twice":                    {response(t, inside), "a key twice"},
		"an unknown key twice":         {response(t, unknownTwice), "a key twice"},
		"an endless map":               {response(t, endless), "not a CBOR map"},
		"deep":                         {response(t, deep), "not a CBOR map"},
		"a tag":                        {response(t, tagged), "not a CBOR map"},
		"no format":                    {response(t, []byte{0xa1, 0x67, 'a', 't', 't', 'S', 't', 'm', 't', 0xa0}), "fmt and attStmt"},
		"no statement":                 {response(t, []byte{0xa1, 0x63, 'f', 'm', 't', 0x61, 'x'}), "fmt and attStmt"},
		"a format without roots":       {response(t, encoded(t, "packed", m.packed(ec, keyAuth))), "taken here: apple"},
		"an unknown format":            {response(t, encoded(t, "none", map[string]any{})), "taken here: apple"},
		"a statement of another shape": {response(t, encoded(t, "apple", map[string]any{"x5c": "text"})), "attStmt"},
	} {
		record, err := v.Validate(t.Context(), asking("C02XG0", c.response))
		refusedAs(t, what, record, err, c.why)
	}
	var p *va.Problem
	q := asking("C02XG0", response(t, good))
	q.KeyAuthorization = "other.x"
	if _, err := v.Validate(t.Context(), q); !errors.As(err, &p) || p.Type != va.TypeServerInternal {
		t.Errorf("another token's key authorization: %v", err)
	}
	ignored, err := cbor.Marshal(map[string]any{"fmt": "apple", "attStmt": m.apple(ec.Public()), "authData": make([]byte, 37)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Validate(t.Context(), asking("C02XG0", response(t, ignored))); err != nil {
		t.Errorf("authData is ignored: %v", err)
	}
}

// A chain counts as long as it is valid, and not a moment longer.
func TestExpiredChain(t *testing.T) {
	m := newMaker(t)
	now := at
	v, err := New(map[string][]*x509.Certificate{"apple": {m.root}}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	q := asking("C02XG0", response(t, encoded(t, "apple", m.apple(ecKey(t).Public()))))
	for shift, good := range map[time.Duration]bool{0: true, 59 * time.Minute: true, 61 * time.Minute: false, -61 * time.Minute: false} {
		now = at.Add(shift)
		if _, err := v.Validate(t.Context(), q); (err == nil) != good {
			t.Errorf("%s: %v", shift, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	m := newMaker(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := certify(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil, short.Public(), short)
	for what, roots := range map[string]map[string][]*x509.Certificate{
		"nothing": nil, "an unknown format": {"none": {m.root}}, "no root": {"apple": nil}, "a weak root": {"apple": {weak}},
	} {
		if _, err := New(roots, time.Now); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if got := strings.Join(Formats(), " "); got != "apple packed step tpm" {
		t.Error(got)
	}
}
