package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const password = "correct horse"

// openssl runs the tool and gives what it printed.
func openssl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestReadsWhatOpenSSLWrites(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.pem")
	openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", plain)
	topk8 := func(args ...string) []string {
		return append([]string{"pkcs8", "-topk8", "-in", plain, "-passout", "pass:" + password}, args...)
	}
	genpkey := func(args ...string) []string {
		return append([]string{"genpkey", "-aes-256-cbc", "-pass", "pass:" + password, "-quiet"}, args...)
	}
	for name, test := range map[string]struct {
		command []string
		kind    ca.Kind // of the refusal; 0: it is read
	}{
		"aes-256, sha-1":      {topk8("-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"), 0}, // the DEFAULT is left out
		"aes-128, sha-224":    {topk8("-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA224"), 0},
		"aes-192, sha-256":    {topk8("-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA256"), 0},
		"aes-256, sha-384":    {topk8("-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA384"), 0},
		"aes-256, sha-512":    {topk8("-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-iter", "10000"), 0},
		"scrypt":              {topk8("-scrypt"), 0},
		"fewest iterations":   {topk8("-v2", "aes-256-cbc", "-iter", "1000"), 0},
		"too few iterations":  {topk8("-v2", "aes-256-cbc", "-iter", "999"), ca.BadRequest},
		"3des":                {topk8("-v2", "des3"), ca.BadRequest},
		"pbes1":               {topk8("-v1", "PBE-SHA1-3DES"), ca.BadRequest},
		"traditional":         {[]string{"ec", "-in", plain, "-aes256", "-passout", "pass:" + password}, ca.BadRequest},
		"not encrypted":       {[]string{"pkey", "-in", plain}, ca.Denied},
		"a public key":        {[]string{"pkey", "-in", plain, "-pubout"}, ca.BadRequest},
		"p-521":               {genpkey("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"), 0},
		"rsa":                 {genpkey("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), 0},
		"ed25519":             {genpkey("-algorithm", "ED25519"), 0},
		"rsa below the floor": {genpkey("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"), ca.BadRequest},
		"small exponent":      {genpkey("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_pubexp:3"), ca.BadRequest},
		"p-224":               {genpkey("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"), ca.BadRequest},
		"x25519":              {genpkey("-algorithm", "X25519"), ca.BadRequest},
		"ed448":               {genpkey("-algorithm", "ED448"), ca.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".pem")
			openssl(t, append(test.command, "-out", path)...)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			key, err := parseKeyPEM(content, LiteralSecret(password), false)
			if test.kind != 0 {
				if !ca.IsKind(err, test.kind) {
					t.Fatalf("got %v, want %v", err, test.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := openssl(t, "pkey", "-in", path, "-passin", "pass:"+password, "-pubout")
			if got := publicPEM(t, key.Public()); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			for _, wrong := range []string{password + "x", "", "x"} {
				_, err := parseKeyPEM(content, LiteralSecret(wrong), false)
				if wrong != "" && err != error(errWrongPassword) || wrong == "" && !ca.IsKind(err, ca.BadRequest) {
					t.Errorf("password %q: %v", wrong, err)
				}
			}
		})
	}
}

func publicPEM(t *testing.T, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// sealed gives an encrypted P-256 key with few iterations, and the key.
func sealed(t testing.TB) (content []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	content, err = sealPEM(der, []byte(password), minIterations)
	if err != nil {
		t.Fatal(err)
	}
	return content, key
}

func TestPEMForm(t *testing.T) {
	good, key := sealed(t)
	plainDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	plain := pem.EncodeToMemory(&pem.Block{Type: pemPlain, Bytes: plainDER})
	for name, test := range map[string]struct {
		content   []byte
		plaintext bool
		kind      ca.Kind
		hint      string
	}{
		"good":                    {content: good},
		"text around it":          {content: append(append([]byte("my key\n"), good...), "the end\n"...)},
		"encrypted, plain is ok":  {content: good, plaintext: true},
		"plain":                   {content: plain, kind: ca.Denied, hint: "openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256"},
		"plain is ok":             {content: plain, plaintext: true},
		"plain with a tail":       {content: pem.EncodeToMemory(&pem.Block{Type: pemPlain, Bytes: append(bytes.Clone(plainDER), 0)}), plaintext: true, kind: ca.BadRequest},
		"two keys":                {content: append(bytes.Clone(good), good...), kind: ca.BadRequest},
		"half a second key":       {content: append(bytes.Clone(good), good[:40]...), kind: ca.BadRequest},
		"empty":                   {kind: ca.BadRequest},
		"der":                     {content: plainDER, plaintext: true, kind: ca.BadRequest},
		"headers":                 {content: pem.EncodeToMemory(&pem.Block{Type: pemPlain, Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: plainDER}), plaintext: true, kind: ca.BadRequest},
		"plain called encrypted":  {content: bytes.ReplaceAll(plain, []byte("PRIVATE KEY"), []byte("ENCRYPTED PRIVATE KEY")), kind: ca.BadRequest},
		"encrypted called plain":  {content: bytes.ReplaceAll(good, []byte("ENCRYPTED "), nil), plaintext: true, kind: ca.BadRequest},
		"a certificate, say":      {content: bytes.ReplaceAll(good, []byte("ENCRYPTED PRIVATE KEY"), []byte("CERTIFICATE")), kind: ca.BadRequest, hint: "openssl pkcs8"},
		"last block taken away":   {content: reseal(t, good, func(k *encryptedKey) { k.data = k.data[:len(k.data)-16] }), kind: ca.BadProof, hint: "password"},
		"last octet flipped":      {content: reseal(t, good, func(k *encryptedKey) { k.data[len(k.data)-1] ^= 1 }), kind: ca.BadProof, hint: "password"},
		"first octet flipped":     {content: reseal(t, good, func(k *encryptedKey) { k.iv[0] ^= 1 }), kind: ca.BadProof, hint: "password"},
		"padding beyond a block":  {content: reseal(t, good, repad(t, plainDER)), kind: ca.BadProof, hint: "password"},
		"encrypted with a tail":   {content: tailed(good), kind: ca.BadRequest},
		"not a number of blocks":  {content: reseal(t, good, func(k *encryptedKey) { k.data = k.data[1:] }), kind: ca.BadRequest},
		"no data":                 {content: reseal(t, good, func(k *encryptedKey) { k.data = nil }), kind: ca.BadRequest},
		"short iv":                {content: reseal(t, good, func(k *encryptedKey) { k.iv = k.iv[1:] }), kind: ca.BadRequest},
		"short salt":              {content: reseal(t, good, salted(minSalt-1, minIterations)), kind: ca.BadRequest},
		"long salt":               {content: reseal(t, good, salted(maxSalt+1, minIterations)), kind: ca.BadRequest},
		"other salt":              {content: reseal(t, good, salted(maxSalt, minIterations)), kind: ca.BadProof},
		"too many iterations":     {content: reseal(t, good, salted(16, maxIterations+1)), kind: ca.BadRequest},
		"negative iterations":     {content: reseal(t, good, salted(16, -1)), kind: ca.BadRequest},
		"key length of no cipher": {content: reseal(t, good, func(k *encryptedKey) { k.keyLen = 31 }), kind: ca.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseKeyPEM(test.content, LiteralSecret(password), test.plaintext)
			if test.kind == 0 {
				if err != nil || !key.PublicKey.Equal(got.Public()) {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if !ca.IsKind(err, test.kind) {
				t.Fatalf("got %v, want %v", err, test.kind)
			}
			if !strings.Contains(ca.AsError(err).Public, test.hint) {
				t.Errorf("%v does not say %q", err, test.hint)
			}
		})
	}
}

// repad encrypts a key with a block more of padding than RFC 8018 allows.
func repad(t *testing.T, der []byte) func(*encryptedKey) {
	return func(k *encryptedKey) {
		derived, err := k.kdf.derive([]byte(password), k.keyLen)
		if err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			t.Fatal(err)
		}
		pad := 2*aes.BlockSize - len(der)%aes.BlockSize
		k.data = append(bytes.Clone(der), bytes.Repeat([]byte{byte(pad)}, pad)...)
		cipher.NewCBCEncrypter(block, k.iv).CryptBlocks(k.data, k.data)
	}
}

// tailed adds an octet after the structure.
func tailed(content []byte) []byte {
	block, _ := pem.Decode(content)
	block.Bytes = append(block.Bytes, 0)
	return pem.EncodeToMemory(block)
}

// salted changes the PBKDF2 parameters.
func salted(salt, iterations int) func(*encryptedKey) {
	return func(k *encryptedKey) {
		p := k.kdf.(pbkdf2Params)
		p.salt, p.iterations = bytes.Repeat([]byte{7}, salt), iterations
		k.kdf = p
	}
}

// reseal changes an encrypted key and writes it again with an explicit key
// length.
func reseal(t *testing.T, content []byte, change func(*encryptedKey)) []byte {
	t.Helper()
	block, _ := pem.Decode(content)
	key, err := parseEncrypted(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	change(key)
	params := key.kdf.(pbkdf2Params)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addAlgorithm(b, oidPBES2, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addAlgorithm(b, oidPBKDF2, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1OctetString(params.salt)
						b.AddASN1Int64(int64(params.iterations))
						b.AddASN1Int64(int64(key.keyLen))
						addAlgorithm(b, oidSHA256, (*cryptobyte.Builder).AddASN1NULL)
					})
				})
				addAlgorithm(b, oidAES256, func(b *cryptobyte.Builder) { b.AddASN1OctetString(key.iv) })
			})
		})
		b.AddASN1OctetString(key.data)
	})
	return pem.EncodeToMemory(&pem.Block{Type: pemEncrypted, Bytes: b.BytesOrPanic()})
}

func TestScryptBounds(t *testing.T) {
	for name, test := range map[string]struct {
		salt    int
		n, r, p int64
		keyLen  int64 // 0: left out
		ok      bool
	}{
		"openssl's":            {16, 16384, 8, 1, 0, true},
		"with length":          {16, 16384, 8, 1, 32, true},
		"most memory":          {16, 1 << 18, 8, 1, 0, true},
		"wrong length":         {16, 16384, 8, 1, 16, false},
		"too much memory":      {16, 1 << 19, 8, 1, 0, false},
		"memory by blocks":     {16, 2, 1 << 30, 1, 0, false},
		"too many passes":      {16, 2, 1, 17, 0, false},
		"no power of two":      {16, 3, 1, 1, 0, false},
		"n of one":             {16, 1, 1, 1, 0, false},
		"n of zero":            {16, 0, 1, 1, 0, false},
		"r of zero":            {16, 2, 0, 1, 0, false},
		"p of zero":            {16, 2, 1, 0, 0, false},
		"negative":             {16, -2, 1, 1, 0, false},
		"n that would overrun": {16, 1 << 62, 1 << 62, 1, 0, false},
		"short salt":           {7, 16384, 8, 1, 0, false},
		"long salt":            {129, 16384, 8, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var b cryptobyte.Builder
			b.AddASN1OctetString(make([]byte, test.salt))
			for _, n := range []int64{test.n, test.r, test.p} {
				b.AddASN1Int64(n)
			}
			if test.keyLen != 0 {
				b.AddASN1Int64(test.keyLen)
			}
			_, err := parseScrypt(b.BytesOrPanic(), 32)
			if test.ok != (err == nil) || err != nil && !ca.IsKind(err, ca.BadRequest) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzParsePKCS8(f *testing.F) {
	content, key := sealed(f)
	block, _ := pem.Decode(content)
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(block.Bytes)
	f.Add(plain)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: pemPlain, Bytes: plain}))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n-----END RSA PRIVATE KEY-----\n"))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := parseKeyPEM(data, Secret{}, true); err == nil {
			if _, err := checkKey(key); err != nil {
				t.Errorf("gave a key below the floor: %v", err)
			}
		}
		sealed, err := parseEncrypted(data)
		if err != nil {
			if !ca.IsKind(err, ca.BadRequest) {
				t.Errorf("unexpected kind: %v", err)
			}
			return
		}
		switch p := sealed.kdf.(type) {
		case pbkdf2Params:
			if p.iterations > 2*minIterations {
				return
			}
		case scryptParams:
			if p.n*p.r*p.p > 1<<10 {
				return
			}
		}
		if plain, err := sealed.open([]byte(password)); err == nil && !isPrivateKeyInfo(plain) {
			t.Error("opened to something else")
		} else if err != nil && err != error(errWrongPassword) {
			t.Errorf("an error that is not the password's: %v", err)
		}
	})
}
