//go:build cgo

package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

var pin = keys.LiteralSecret(harness.TokenPIN)

// ringOf opens keys through a Ring, as the daemon does.
func ringOf(t testing.TB, o Options) (*keys.Ring, *Backend) {
	t.Helper()
	backend := New(o)
	ring := keys.NewRing(With(backend))
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return ring, backend
}

func generate(t testing.TB, ring *keys.Ring, uri, algorithm string) keys.Signer {
	t.Helper()
	if err := ring.Generate(t.Context(), uri, algorithm, pin); err != nil {
		t.Fatal(err)
	}
	return open(t, ring, uri)
}

func open(t testing.TB, ring *keys.Ring, uri string) keys.Signer {
	t.Helper()
	key, err := ring.Open(t.Context(), uri, pin)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key keys.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	t.Helper()
	return key.Sign(t.Context(), ca.LaneEnrollment, "a", digest, opts)
}

// wants checks an error's kind and that it says certain words.
func wants(t testing.TB, err error, kind ca.Kind, words ...string) {
	t.Helper()
	if !ca.IsKind(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in: %v", w, err)
		}
	}
	if strings.Contains(err.Error(), harness.TokenPIN) {
		t.Errorf("the PIN is in the error: %v", err)
	}
}

// verify checks a signature with Go's own code.
func verify(t testing.TB, public crypto.PublicKey, message, signature []byte, opts crypto.SignerOpts) bool {
	t.Helper()
	h := message
	if opts.HashFunc() != 0 {
		w := opts.HashFunc().New()
		w.Write(message)
		h = w.Sum(nil)
	}
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(p, h, signature)
	case ed25519.PublicKey:
		return ed25519.Verify(p, message, signature)
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(p, opts.HashFunc(), h, signature, pss) == nil
		}
		return rsa.VerifyPKCS1v15(p, opts.HashFunc(), h, signature) == nil
	}
	t.Fatalf("key of type %T", public)
	return false
}

func digestOf(message []byte, opts crypto.SignerOpts) []byte {
	if opts.HashFunc() == 0 {
		return message
	}
	w := opts.HashFunc().New()
	w.Write(message)
	return w.Sum(nil)
}

// Every algorithm is made in the token, opened again by a new process's worth
// of state, and signs under every hash.
func TestEveryAlgorithm(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	message := []byte("to be signed")
	for _, name := range keys.Algorithms() {
		t.Run(name, func(t *testing.T) {
			ring, _ := ringOf(t, Options{Modules: []string{hsm.Module}})
			uri := "pkcs11:token=one;object=" + name
			made := generate(t, ring, uri, name)
			key := open(t, ring, uri+";type=private?module-path="+hsm.Module)
			if !made.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
				t.Error("opened another key")
			}
			opts := []crypto.SignerOpts{crypto.SHA256, crypto.SHA384, crypto.SHA512}
			if _, ok := key.Public().(*rsa.PublicKey); ok {
				opts = append(opts, crypto.SHA1, crypto.SHA224, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256},
					&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: crypto.SHA384}, &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA512})
			} else if name == "ed25519" {
				opts = []crypto.SignerOpts{crypto.Hash(0)}
			}
			for _, o := range opts {
				signature, err := sign(t, key, digestOf(message, o), o)
				if err != nil || !verify(t, key.Public(), message, signature, o) {
					t.Errorf("%v: does not verify: %v", o, err)
				}
			}
			if _, err := sign(t, key, message, crypto.MD5); !ca.IsKind(err, ca.Internal) {
				t.Errorf("md5: %v", err)
			}
			_, decrypts := key.(keys.Decrypter)
			if decrypts != strings.HasPrefix(name, "rsa") {
				t.Errorf("decrypts: %v", decrypts)
			}
			objects := hsm.Tool("one", "--list-objects", "--type", "privkey", "--label", name)
			if !strings.Contains(objects, "never extractable") || !strings.Contains(objects, "always sensitive") {
				t.Errorf("the private key may leave the token:\n%s", objects)
			}
		})
	}
}

func TestDecrypt(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	ring, _ := ringOf(t, Options{Modules: []string{hsm.Module}})
	key := generate(t, ring, "pkcs11:object=ra", "rsa-2048").(keys.Decrypter)
	public := key.Public().(*rsa.PublicKey)
	decrypt := func(msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
		return key.Decrypt(t.Context(), ca.LaneEnrollment, "a", msg, opts)
	}
	session := []byte("0123456789abcdef")
	v15 := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: len(session)}
	msg, err := rsa.EncryptPKCS1v15(rand.Reader, public, session)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decrypt(msg, v15); err != nil || !bytes.Equal(got, session) {
		t.Errorf("pkcs #1 v1.5: %x, %v", got, err)
	}
	other, err := rsa.EncryptPKCS1v15(rand.Reader, public, session[:8])
	if err != nil {
		t.Fatal(err)
	}
	larger := public.N.FillBytes(make([]byte, 256))
	for name, bad := range map[string][]byte{"length": other, "padding": append([]byte{0}, msg[:len(msg)-1]...), "cut off": msg[:len(msg)-1],
		"nothing": nil, "larger than the modulus": larger, "zero": make([]byte, 256)} {
		first, err1 := decrypt(bad, v15)
		second, err2 := decrypt(bad, v15)
		if err1 != nil || err2 != nil || len(first) != len(session) || bytes.Equal(first, second) {
			t.Errorf("%s: %x, %v; %x, %v", name, first, err1, second, err2)
		}
	}
	// SoftHSM lists CKM_RSA_PKCS_OAEP and has it with SHA-1 alone.
	msg, err = rsa.EncryptOAEP(crypto.SHA1.New(), rand.Reader, public, session, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decrypt(msg, &rsa.OAEPOptions{Hash: crypto.SHA1}); err != nil || !bytes.Equal(got, session) {
		t.Errorf("oaep: %x, %v", got, err)
	}
	msg[7] ^= 1
	_, err = decrypt(msg, &rsa.OAEPOptions{Hash: crypto.SHA1})
	wants(t, err, ca.BadRequest, "cannot be decrypted")
	msg, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, public, session, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // probed, then remembered
		_, err = decrypt(msg, &rsa.OAEPOptions{Hash: crypto.SHA256})
		wants(t, err, ca.BadRequest, "cannot decrypt RSA-OAEP with SHA-256")
	}
	_, err = decrypt(msg, &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA256})
	wants(t, err, ca.BadRequest, "RSA-OAEP with SHA-1 and MGF1 with SHA-256")
	_, err = decrypt(msg, &rsa.PKCS1v15DecryptOptions{})
	wants(t, err, ca.Internal)
	if _, err := decrypt(msg, v15); err != nil { // the worker is as good as before
		t.Error(err)
	}
}

func TestOpenFindsTheKey(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	hsm.Add("two")
	ring, _ := ringOf(t, Options{Modules: []string{hsm.Module}})
	first := generate(t, ring, "pkcs11:token=one;object=ca;id=%01", "ecdsa-p256")
	second := generate(t, ring, "pkcs11:token=one;object=ca;id=%02", "ecdsa-p256")
	apart := generate(t, ring, "pkcs11:token=two;object=ca", "ecdsa-p384")
	generate(t, ring, "pkcs11:token=one;object=bare;id=%03", "ecdsa-p256")
	hsm.Tool("one", "--delete-object", "--type", "pubkey", "--label", "bare")
	bareRSA := generate(t, ring, "pkcs11:token=one;object=rsa;id=%04", "rsa-2048")
	hsm.Tool("one", "--delete-object", "--type", "pubkey", "--label", "rsa")
	hsm.Tool("one", "--keypairgen", "--key-type", "RSA:1024", "--label", "weak", "--id", "05")
	// A public key that is not the private one's.
	generate(t, ring, "pkcs11:token=one;object=swapped;id=%06", "ecdsa-p256")
	hsm.Tool("one", "--delete-object", "--type", "pubkey", "--label", "swapped")
	generate(t, ring, "pkcs11:token=one;object=donor;id=%07", "ecdsa-p256")
	der := t.TempDir() + "/donor.der"
	hsm.Tool("one", "--read-object", "--type", "pubkey", "--label", "donor", "--output-file", der)
	hsm.Tool("one", "--write-object", der, "--type", "pubkey", "--label", "swapped", "--id", "06", "--usage-sign")

	same := func(uri string, want keys.Signer) {
		t.Helper()
		if key := open(t, ring, uri); !cmp.Equal(key.Public(), want.Public()) {
			t.Errorf("%s: another key", uri)
		}
	}
	same("pkcs11:token=one;id=%01", first)
	same("pkcs11:token=one;object=ca;id=%02", second)
	same("pkcs11:token=two;object=ca", apart)
	same("pkcs11:token=two;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;object=ca", apart)
	same("pkcs11:token=one;object=rsa", bareRSA)
	for uri, want := range map[string]struct {
		kind ca.Kind
		says string
	}{
		"pkcs11:object=ca":                                 {ca.BadRequest, "2 tokens match"},
		"pkcs11:token=one;object=ca":                       {ca.BadRequest, "pkcs11:object=ca;id=%02"},
		"pkcs11:token=one;object=none":                     {ca.NotFound, "no private key of this label"},
		"pkcs11:token=three;object=ca":                     {ca.NotFound, `"one"`},
		"pkcs11:token=one;serial=0;object=ca":              {ca.NotFound, "no token matches"},
		"pkcs11:token=one;object=bare":                     {ca.NotFound, "no CKO_PUBLIC_KEY, no CKA_PUBLIC_KEY_INFO, no CKO_CERTIFICATE"},
		"pkcs11:token=one;object=weak":                     {ca.BadRequest, "2048"},
		"pkcs11:token=one;object=swapped":                  {ca.BadRequest, "does not belong to the public key"},
		"pkcs11:token=one":                                 {ca.BadRequest, "names no key"},
		"pkcs11:token=one;object=ca?pin-value=1":           {ca.BadRequest, "no pin-value"},
		"pkcs11:token=one;object=ca?module-path=/tmp/x.so": {ca.Denied, "pkcs11.modules"},
	} {
		_, err := ring.Open(t.Context(), uri, pin)
		wants(t, err, want.kind, want.says)
	}
	for uri, kind := range map[string]ca.Kind{"pkcs11:token=one;object=rsa": ca.Conflict, "pkcs11:token=one;id=%09": ca.BadRequest} {
		wants(t, ring.Generate(t.Context(), uri, "ecdsa-p256", pin), kind)
	}
	wants(t, ring.Generate(t.Context(), "pkcs11:token=one;object=new", "rsa-1024", pin), ca.BadRequest, "ecdsa-p256")
}

// What a key may do is the token's word.
func TestUsage(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	ring, backend := ringOf(t, Options{Modules: []string{hsm.Module}})
	generate(t, ring, "pkcs11:object=first", "ecdsa-p256") // has the module initialised
	tokens, err := backend.Inspect(t.Context(), hsm.Module)
	if err != nil {
		t.Fatal(err)
	}
	ctx := p11.New(hsm.Module)
	s, err := ctx.OpenSession(tokens[0].Slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	curve := func(der string) *p11.Attribute { return p11.NewAttribute(p11.CKA_EC_PARAMS, der) }
	const p256, secp256k1 = "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x06\x05\x2b\x81\x04\x00\x0a"
	bits := p11.NewAttribute(p11.CKA_MODULUS_BITS, 2048)
	for label, k := range map[string]struct {
		mechanism     uint
		parameter     *p11.Attribute
		sign, decrypt bool
		each          bool
	}{
		"each":    {p11.CKM_EC_KEY_PAIR_GEN, curve(p256), true, false, true},
		"neither": {p11.CKM_EC_KEY_PAIR_GEN, curve(p256), false, false, false},
		"curve":   {p11.CKM_EC_KEY_PAIR_GEN, curve(secp256k1), true, false, false},
		"sign":    {p11.CKM_RSA_PKCS_KEY_PAIR_GEN, bits, true, false, false},
		"decrypt": {p11.CKM_RSA_PKCS_KEY_PAIR_GEN, bits, false, true, false},
	} {
		named := []*p11.Attribute{p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_LABEL, label)}
		_, _, err := ctx.GenerateKeyPair(s, []*p11.Mechanism{p11.NewMechanism(k.mechanism, nil)}, append(named, k.parameter),
			append(named, p11.NewAttribute(p11.CKA_SIGN, k.sign), p11.NewAttribute(p11.CKA_DECRYPT, k.decrypt), p11.NewAttribute(p11.CKA_ALWAYS_AUTHENTICATE, k.each)))
		if err != nil {
			t.Fatalf("%s: %v", label, err)
		}
	}
	for label, want := range map[string]struct {
		kind ca.Kind
		says string
	}{
		"each":    {ca.Denied, "CKA_ALWAYS_AUTHENTICATE"},
		"neither": {ca.Denied, "neither sign nor decrypt"},
		"curve":   {ca.BadRequest, "P-256, P-384, P-521 or Ed25519"},
	} {
		_, err := ring.Open(t.Context(), "pkcs11:object="+label, pin)
		wants(t, err, want.kind, want.says)
	}
	if _, ok := open(t, ring, "pkcs11:object=sign").(keys.Decrypter); ok {
		t.Error("a key that may only sign is a Decrypter")
	}
	only := open(t, ring, "pkcs11:object=decrypt").(keys.Decrypter)
	_, err = sign(t, only, digest[:], crypto.SHA256)
	wants(t, err, ca.Internal, "may not sign")
	msg, err := rsa.EncryptPKCS1v15(rand.Reader, only.Public().(*rsa.PublicKey), []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := only.Decrypt(t.Context(), ca.LaneEnrollment, "a", msg, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 16})
	if err != nil || string(got) != "0123456789abcdef" {
		t.Errorf("%x, %v", got, err)
	}
}

// A certificate of the same id tells the public half too.
func TestOpenByCertificate(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	ring, _ := ringOf(t, Options{Modules: []string{hsm.Module}})
	made := generate(t, ring, "pkcs11:object=ca;id=%01", "ecdsa-p256")
	file := t.TempDir() + "/ca.der"
	selfSigned(t, made, file)
	hsm.Tool("one", "--delete-object", "--type", "pubkey", "--label", "ca")
	hsm.Tool("one", "--write-object", file, "--type", "cert", "--label", "ca", "--id", "01")
	if key := open(t, ring, "pkcs11:object=ca"); !cmp.Equal(key.Public(), made.Public()) {
		t.Error("another key")
	}
}

func TestModules(t *testing.T) {
	hsm := harness.SoftHSM(t)
	_, err := New(Options{}).Open(t.Context(), "pkcs11:object=k", pin)
	wants(t, err, ca.BadRequest, "pkcs11.modules", "module-path")
	_, err = New(Options{Modules: []string{"/nonexistent.so"}}).Open(t.Context(), "pkcs11:object=k", pin)
	wants(t, err, ca.NotFound, "/nonexistent.so")
	_, err = New(Options{Modules: []string{"/etc/hostname"}}).Open(t.Context(), "pkcs11:object=k", pin)
	wants(t, err, ca.BadRequest, "cannot be loaded")
	ring, _ := ringOf(t, Options{Modules: []string{hsm.Module}})
	_, err = ring.Open(t.Context(), "pkcs11:object=k", pin)
	wants(t, err, ca.NotFound, "no initialised token")
}

func TestInspect(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	tokens, err := Inspect(t.Context(), hsm.Module)
	if err != nil || len(tokens) != 1 {
		t.Fatalf("%v, %v", tokens, err)
	}
	one := tokens[0]
	if one.Label != "one" || one.Model != "SoftHSM v2" || len(one.Serial) != 16 || !one.LoginRequired || one.WriteProtected || !one.PINInitialized || one.Locked {
		t.Errorf("got %+v", one)
	}
	if diff := cmp.Diff(keys.Algorithms(), one.Algorithms); diff != "" {
		t.Errorf("algorithms (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(one.Mechanisms, func(m Mechanism) bool { return m.Name == "CKM_ECDSA" && m.Sign && m.MaxKey == 521 }) {
		t.Errorf("got %+v", one.Mechanisms)
	}
}

func TestClosed(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	ring, backend := ringOf(t, Options{Modules: []string{hsm.Module}})
	key := generate(t, ring, "pkcs11:object=ca", "ecdsa-p256")
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	digest := sha512.Sum512(nil)
	_, err := sign(t, key, digest[:], crypto.SHA512)
	wants(t, err, ca.Unavailable)
	_, err = backend.Open(t.Context(), "pkcs11:object=ca", pin)
	wants(t, err, ca.Unavailable)
	// The module can be used again by the next one.
	again, _ := ringOf(t, Options{Modules: []string{hsm.Module}})
	if key := open(t, again, "pkcs11:object=ca"); key == nil {
		t.Error(errors.New("no key"))
	}
}

// A build without cgo says what it lacks: TestAbsent, in such a build.
func TestWithoutCgo(t *testing.T) {
	cmd := exec.Command("go", "test", "-count=1", "-v", "-run", "^TestAbsent$", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAbsent") {
		t.Errorf("%v\n%s", err, out)
	}
}
