package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/google/go-cmp/cmp"
)

// Every algorithm: we write it, openssl reads it and verifies our signature.
func TestGenerateEveryAlgorithm(t *testing.T) {
	want := []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"}
	if diff := cmp.Diff(want, Algorithms()); diff != "" {
		t.Errorf("algorithms (-want +got):\n%s", diff)
	}
	dir := t.TempDir()
	secret := LiteralSecret(password)
	for _, name := range Algorithms() {
		t.Run(name, func(t *testing.T) {
			ring, iterations := NewRing(WithBaseDir(dir)), "0927C0" // 600,000 as users get it
			if name != "ecdsa-p256" {
				ring, iterations = quickRing(dir), "03E8"
			}
			uri, path := "file:"+name+".pem", filepath.Join(dir, name+".pem")
			if err := ring.Generate(t.Context(), uri, name, secret); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			key, err := ring.Open(t.Context(), uri, secret)
			if err != nil {
				t.Fatal(err)
			}
			public := openssl(t, "pkey", "-in", path, "-passin", "pass:"+password, "-pubout")
			if got := publicPEM(t, key.Public()); got != public {
				t.Errorf("got\n%swant\n%s", got, public)
			}
			structure := openssl(t, "asn1parse", "-in", path)
			for _, part := range []string{"PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", "INTEGER           :" + iterations} {
				if !strings.Contains(structure, part) {
					t.Errorf("no %s in\n%s", part, structure)
				}
			}
			verifyWithOpenSSL(t, dir, public, key)
			_, decrypts := key.(Decrypter)
			if decrypts != strings.HasPrefix(name, "rsa") {
				t.Errorf("decrypts: %v", decrypts)
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-key-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// quickRing derives the keys of files with the fewest iterations: the race
// detector makes 600,000 take seconds.
func quickRing(dir string) *Ring {
	return NewRing(WithBackend("file", newFileBackend(fileOptions{baseDir: dir, iterations: minIterations})))
}

func verifyWithOpenSSL(t *testing.T, dir, public string, key Signer) {
	t.Helper()
	message := []byte("to be signed")
	input, opts := message, crypto.SignerOpts(crypto.Hash(0))
	args := []string{"pkeyutl", "-verify", "-rawin"}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		digest := sha256.Sum256(message)
		input, opts = digest[:], crypto.SHA256
		args = append(args, "-digest", "sha256")
	}
	signature, err := key.Sign(t.Context(), ca.LaneEnrollment, "a", input, opts)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "public"), public, 0o600)
	write(t, filepath.Join(dir, "message"), string(message), 0o600)
	write(t, filepath.Join(dir, "signature"), string(signature), 0o600)
	openssl(t, append(args, "-pubin", "-inkey", filepath.Join(dir, "public"), "-in", filepath.Join(dir, "message"), "-sigfile", filepath.Join(dir, "signature"))...)
}

func TestGenerateNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	ring := NewRing(WithBaseDir(dir))
	secret := LiteralSecret(password)
	there := filepath.Join(dir, "there.pem")
	write(t, there, "precious", 0o600)
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling.pem")); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"file:there.pem", "file:" + there, "file:dangling.pem"} {
		if err := ring.Generate(t.Context(), uri, "ed25519", secret); !ca.IsKind(err, ca.Conflict) {
			t.Errorf("%s: %v", uri, err)
		}
	}
	// The link decides, not the look before: many at once, one wins.
	results := make(chan error)
	for range 8 {
		go func() { results <- writeNew(filepath.Join(dir, "raced.pem"), []byte("x")) }()
	}
	won := 0
	for range 8 {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, os.ErrExist) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
	if err := writeNew(there, []byte("other")); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v", err)
	}
	if content, err := os.ReadFile(there); err != nil || string(content) != "precious" {
		t.Errorf("replaced: %q, %v", content, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"dangling.pem", "raced.pem", "there.pem"}; !slices.Equal(names, want) {
		t.Errorf("left %v", names)
	}
}

func TestGenerateRefusals(t *testing.T) {
	dir := t.TempDir()
	ring := quickRing(dir)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx            context.Context
		uri, algorithm string
		secret         Secret
		kind           ca.Kind
	}{
		"unknown algorithm": {t.Context(), "file:k", "rsa-1024", LiteralSecret(password), ca.BadRequest},
		"no secret":         {t.Context(), "file:k", "ed25519", Secret{}, ca.BadRequest},
		"empty secret":      {t.Context(), "file:k", "ed25519", LiteralSecret(""), ca.BadRequest},
		"no directory":      {t.Context(), "file:sub/k", "ed25519", LiteralSecret(password), ca.NotFound},
		"caller has left":   {ended, "file:k", "ed25519", LiteralSecret(password), ca.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if err := ring.Generate(test.ctx, test.uri, test.algorithm, test.secret); !ca.IsKind(err, test.kind) {
				t.Errorf("got %v, want %v", err, test.kind)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("wrote %v, %v", entries, err)
			}
		})
	}
}

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	content, _ := sealed(t)
	path := filepath.Join(dir, "key file.pem")
	write(t, path, string(content), 0o600)
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", maxKeyFile+1), 0o600)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610} {
		write(t, filepath.Join(dir, "open"+mode.String()), string(content), mode)
	}
	escaped := strings.ReplaceAll(path, " ", "%20")
	for uri, kind := range map[string]ca.Kind{
		"file:" + escaped:            0,
		"FILE:" + escaped:            0,
		"file://" + escaped:          0,
		"file://localhost" + escaped: 0,
		"file:key%20file.pem":        0,
		"file:./key file.pem":        0,
		"file://elsewhere" + escaped: ca.BadRequest,
		"file:" + escaped + "?a=b":   ca.BadRequest,
		"file:" + escaped + "#a":     ca.BadRequest,
		"file:":                      ca.BadRequest,
		"file:/":                     ca.BadRequest,
		"file:a%zz":                  ca.BadRequest,
		"file:a%00":                  ca.BadRequest,
		"file:.":                     ca.BadRequest,
		"file:large":                 ca.BadRequest,
		"file:missing":               ca.NotFound,
		"file:open-rw-r-----":        ca.Denied,
		"file:open-rw----r--":        ca.Denied,
		"file:open-rw--w----":        ca.Denied,
		"file:open-rw-----w-":        ca.Denied,
		"file:open-rw---x---":        ca.Denied,
	} {
		_, err := NewRing(WithBaseDir(dir)).Open(t.Context(), uri, LiteralSecret(password))
		if kind == 0 && err != nil || kind != 0 && !ca.IsKind(err, kind) {
			t.Errorf("%s: %v", uri, err)
		}
		if kind == ca.Denied && !strings.Contains(ca.AsError(err).Public, "chmod 600") {
			t.Errorf("%s: %v does not say what to do", uri, err)
		}
	}
	if _, err := NewRing().Open(t.Context(), "file:key.pem", LiteralSecret(password)); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("relative without a base: %v", err)
	}
	ring := NewRing()
	_, wrong := ring.Open(t.Context(), "file:"+path, LiteralSecret("hunter2"))
	if !ca.IsKind(wrong, ca.BadProof) || !strings.Contains(wrong.Error(), "password") || !strings.Contains(wrong.Error(), path) || strings.Contains(wrong.Error(), "hunter2") {
		t.Errorf("wrong password: %v", wrong)
	}
	if strings.Contains(ca.AsError(wrong).Public, dir) || errWrongPassword.Err != nil {
		t.Errorf("the path is public or kept: %v", wrong)
	}
}

func TestSignAndDecryptRSA(t *testing.T) {
	ring := quickRing(t.TempDir())
	secret := LiteralSecret(password)
	if err := ring.Generate(t.Context(), "file:ra.pem", "rsa-2048", secret); err != nil {
		t.Fatal(err)
	}
	opened, err := ring.Open(t.Context(), "file:ra.pem", secret)
	if err != nil {
		t.Fatal(err)
	}
	key := opened.(Decrypter)
	public := key.Public().(*rsa.PublicKey)
	digest := sha256.Sum256([]byte("m"))
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	signature, err := key.Sign(t.Context(), ca.LaneStatus, "a", digest[:], pss)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, pss); err != nil {
		t.Error(err)
	}

	session := []byte("0123456789abcdef")
	decrypt := func(msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
		return key.Decrypt(t.Context(), ca.LaneEnrollment, "a", msg, opts)
	}
	v15 := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: len(session)}
	msg, err := rsa.EncryptPKCS1v15(rand.Reader, public, session)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decrypt(msg, v15); err != nil || !bytes.Equal(got, session) {
		t.Errorf("pkcs #1 v1.5: %x, %v", got, err)
	}
	standard := StandardDecrypter(t.Context(), key, ca.LaneEnrollment, "a", time.Minute)
	if got, err := standard.Decrypt(nil, msg, v15); err != nil || !bytes.Equal(got, session) || !public.Equal(standard.Public()) {
		t.Errorf("pkcs #1 v1.5, as crypto.Decrypter: %x, %v", got, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := StandardDecrypter(ended, key, ca.LaneEnrollment, "a", time.Minute).Decrypt(nil, msg, v15); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("after its context ended: %v", err)
	}
	// RFC 3218 section 2.3.2: wrong padding or length gives random keys, no error.
	other, err := rsa.EncryptPKCS1v15(rand.Reader, public, session[:8])
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"length": other, "padding": append([]byte{0}, msg[:len(msg)-1]...), "cut off": msg[:len(msg)-1], "nothing": nil} {
		first, err1 := decrypt(bad, v15)
		second, err2 := decrypt(bad, v15)
		if err1 != nil || err2 != nil || len(first) != len(session) || bytes.Equal(first, second) {
			t.Errorf("%s: %x, %v; %x, %v", name, first, err1, second, err2)
		}
	}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		msg, err := rsa.EncryptOAEP(hash.New(), rand.Reader, public, session, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decrypt(msg, &rsa.OAEPOptions{Hash: hash}); err != nil || !bytes.Equal(got, session) {
			t.Errorf("oaep %v: %x, %v", hash, got, err)
		}
		if _, err := decrypt(msg, &rsa.OAEPOptions{Hash: crypto.SHA512}); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("oaep under another hash: %v", err)
		}
	}
	for name, opts := range map[string]crypto.DecrypterOpts{
		"none": nil, "no session key length": &rsa.PKCS1v15DecryptOptions{}, "no hash": &rsa.OAEPOptions{},
		"no options": (*rsa.PKCS1v15DecryptOptions)(nil), "no oaep options": (*rsa.OAEPOptions)(nil), "unknown mgf": &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: 99},
	} {
		if _, err := decrypt(msg, opts); !ca.IsKind(err, ca.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}

	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = decrypt(msg, v15)
	wantUnavailable(t, err)
}

func TestCheckSign(t *testing.T) {
	ec, ed := &ecdsa.PublicKey{}, ed25519.PublicKey{}
	for name, test := range map[string]struct {
		public any
		size   int
		opts   crypto.SignerOpts
		ok     bool
	}{
		"ecdsa":             {ec, 32, crypto.SHA256, true},
		"rsa":               {&rsa.PublicKey{}, 48, crypto.SHA384, true},
		"ed25519":           {ed, 1000, crypto.Hash(0), true},
		"ed25519 prehashed": {ed, 64, crypto.SHA512, false},
		"raw rsa":           {&rsa.PublicKey{}, 32, crypto.Hash(0), false},
		"whole message":     {ec, 1000, crypto.SHA256, false},
		"unknown hash":      {ec, 32, crypto.Hash(99), false},
		"no options":        {ec, 32, nil, false},
	} {
		err := CheckSign(test.public, make([]byte, test.size), test.opts)
		if test.ok != (err == nil) || err != nil && !ca.IsKind(err, ca.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlaintextIsAnOption(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plain.pem")
	openssl(t, "genpkey", "-algorithm", "ED25519", "-out", path)
	if _, err := NewRing().Open(t.Context(), "file:"+path, LiteralSecret(password)); !ca.IsKind(err, ca.Denied) {
		t.Errorf("without the option: %v", err)
	}
	key, err := NewRing(WithPlaintext()).Open(t.Context(), "file:"+path, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := publicPEM(t, key.Public()), openssl(t, "pkey", "-in", path, "-pubout"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
