package cms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

// ledger counts the operations of one decryption.
type ledger struct {
	made   []string // block ciphers and private-key operations, in order
	blocks []int    // block operations of each block cipher
}

func (l *ledger) maker(kind blockKind, key []byte) (cipher.Block, error) {
	block, err := newBlock(kind, key)
	l.made, l.blocks = append(l.made, fmt.Sprintf("cipher %d with %d octets", kind, len(key))), append(l.blocks, 0)
	return counted{block, &l.blocks, len(l.blocks) - 1}, err
}

type counted struct {
	cipher.Block
	all *[]int
	i   int
}

func (c counted) Encrypt(dst, src []byte) { (*c.all)[c.i]++; c.Block.Encrypt(dst, src) }
func (c counted) Decrypt(dst, src []byte) { (*c.all)[c.i]++; c.Block.Decrypt(dst, src) }

// watched is a Decrypter whose operations are counted.
type watched struct {
	crypto.Decrypter
	l *ledger
}

func (w watched) Decrypt(r io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	name := fmt.Sprintf("rsa %T", opts)
	if o, ok := opts.(*rsa.PKCS1v15DecryptOptions); ok {
		name = fmt.Sprint("rsa for ", o.SessionKeyLen)
	}
	w.l.made = append(w.l.made, name)
	return w.Decrypter.Decrypt(r, msg, opts)
}

type watchedAgreer struct {
	Agreer
	l *ledger
}

func (w watchedAgreer) ECDH(remote *ecdh.PublicKey) ([]byte, error) {
	w.l.made = append(w.l.made, "ecdh")
	return w.Agreer.ECDH(remote)
}

// breakage is one way to break an envelope after its recipient was found. The
// content's blocks are as many as they were, unless said otherwise.
type breakage struct {
	name    string
	cut     bool // the content has another length
	garbage bool // a made-up key may pass for the right one (1 in 256 under CBC)
	do      func(e *Envelope)
}

func breakages(t testing.TB, e *Envelope) []breakage {
	flip := func(b []byte, i int) { b[(i+len(b))%len(b)] ^= 0x40 }
	key := func(do func(r *RecipientInfo)) func(*Envelope) {
		return func(e *Envelope) { do(&e.Recipients[0]) }
	}
	all := []breakage{
		{name: "encrypted key of other octets", garbage: true, do: key(func(r *RecipientInfo) { flip(r.encryptedKey, 1) })},
		{name: "encrypted key, last octet", garbage: true, do: key(func(r *RecipientInfo) { flip(r.encryptedKey, -1) })},
		{name: "encrypted key one octet short", garbage: true, do: key(func(r *RecipientInfo) { r.encryptedKey = r.encryptedKey[1:] })},
		{name: "encrypted key one block short", garbage: true, do: key(func(r *RecipientInfo) { r.encryptedKey = r.encryptedKey[8:] })},
		{name: "encrypted key one octet long", garbage: true, do: key(func(r *RecipientInfo) { r.encryptedKey = append(r.encryptedKey, 1) })},
		{name: "encrypted key of nothing", garbage: true, do: key(func(r *RecipientInfo) { r.encryptedKey = nil })},
		{name: "encrypted key of ones", garbage: true, do: key(func(r *RecipientInfo) { r.encryptedKey = bytes.Repeat([]byte{0xff}, len(r.encryptedKey)) })},
		{name: "encrypted key of zeros", garbage: true, do: key(func(r *RecipientInfo) { r.encryptedKey = make([]byte, len(r.encryptedKey)) })},
	}
	if e.Recipients[0].Kind == KeyTransportRecipient && e.Recipients[0].algorithm.oid.Equal(oidRSA) {
		public := certificate(t, "rsa").Key.Parsed().(*rsa.PublicKey)
		for _, size := range []int{1, 5, 15, 17, 100} {
			wrong := must[[]byte](t)(rsa.EncryptPKCS1v15(rand.Reader, public, make([]byte, size)))
			all = append(all, breakage{name: fmt.Sprint("key of octets: ", size), garbage: true, do: key(func(r *RecipientInfo) { r.encryptedKey = wrong })})
		}
		for name, padded := range map[string][]byte{"type 1": {0, 1, 2, 3}, "no leading zero": {1, 2, 3}, "short padding": {0, 2, 1, 2, 3, 0}} {
			full := append(padded, bytes.Repeat([]byte{0x77}, public.Size()-len(padded))...)
			raw := new(big.Int).Exp(new(big.Int).SetBytes(full), big.NewInt(int64(public.E)), public.N).FillBytes(make([]byte, public.Size()))
			all = append(all, breakage{name: "padding: " + name, garbage: true, do: key(func(r *RecipientInfo) { r.encryptedKey = raw })})
		}
	}
	if e.Cipher.Authenticated() {
		return append(all,
			breakage{name: "content", do: func(e *Envelope) { flip(e.sealed, 0) }},
			breakage{name: "tag", do: func(e *Envelope) { flip(e.tag, 0) }},
			breakage{name: "nonce", do: func(e *Envelope) { flip(e.params.nonce, 0) }},
			breakage{name: "tag one octet short", do: func(e *Envelope) { e.tag = e.tag[1:] }},
			breakage{name: "tag cut to what GCM allows", do: func(e *Envelope) { e.tag = e.tag[:12] }},
			breakage{name: "tag one octet long", do: func(e *Envelope) { e.tag = append(e.tag, 0) }},
			breakage{name: "no tag", do: func(e *Envelope) { e.tag = nil }},
			breakage{name: "content one octet short", cut: true, do: func(e *Envelope) { e.sealed = e.sealed[1:] }},
			breakage{name: "no content", cut: true, do: func(e *Envelope) { e.sealed = nil }})
	}
	all = append(all,
		breakage{name: "content one octet short", cut: true, do: func(e *Envelope) { e.sealed = e.sealed[:len(e.sealed)-1] }},
		breakage{name: "content one octet long", do: func(e *Envelope) { e.sealed = append(e.sealed, 0) }},
		breakage{name: "content of one octet", cut: true, do: func(e *Envelope) { e.sealed = e.sealed[:1] }},
		breakage{name: "no content", cut: true, do: func(e *Envelope) { e.sealed = nil }})
	// The octet before the last block is xored into the padding octet.
	bs := e.Cipher.row().block
	before := e.sealed[len(e.sealed)-bs-1]
	for _, value := range []int{0, bs + 1, 0x7f, 0x80, 0xff} {
		was := byte(paddingOf(fixture(t, "content"), bs))
		all = append(all, breakage{name: fmt.Sprintf("padding octet %#x", value), do: func(e *Envelope) { e.sealed[len(e.sealed)-bs-1] = before ^ was ^ byte(value) }})
	}
	return all
}

func paddingOf(content []byte, block int) int { return block - len(content)%block }

// Every failure after the recipient was found is the same value after the same
// operations, and only what length the message has shows (invariant 10).
func TestUniformFailure(t *testing.T) {
	content := fixture(t, "content")
	cert, p256 := certificate(t, "rsa"), certificate(t, "p256")
	for _, c := range []struct {
		name      string
		recipient Recipient
		key       func(*ledger) Key
	}{
		{"v1.5", KeyTransport{Certificate: cert}, func(l *ledger) Key { return RSAKey{cert, watched{rsaKey(t).Decrypter, l}} }},
		{"oaep", KeyTransport{Certificate: cert, OAEP: crypto.SHA256}, func(l *ledger) Key { return RSAKey{cert, watched{rsaKey(t).Decrypter, l}} }},
		{"ecdh", KeyAgreement{Certificate: p256}, func(l *ledger) Key { return ECKey{p256, watchedAgreer{ecKey(t, "p256").Agreer, l}} }},
		{"kek", kek(32), func(*ledger) Key { return kek(32) }},
		{"password", &Password{Secret: []byte("secret"), Iterations: 1000}, func(*ledger) Key { return password() }},
		{"password under key wrap", &Password{Secret: []byte("secret"), Iterations: 1000, KeyWrap: true}, func(*ledger) Key { return password() }},
	} {
		for _, with := range []Cipher{AES128CBC, AES256GCM, DES3CBC} {
			t.Run(fmt.Sprint(c.name, with), func(t *testing.T) {
				t.Parallel()
				der := must[[]byte](t)(Encrypt(OIDData, content, with, old, c.recipient))
				open := func(do func(*Envelope)) (ledger, []byte, error) {
					e := must[*Envelope](t)(ReadEnveloped(bytes.Clone(der), Limits{}))
					do(e)
					var l ledger
					got, err := e.decrypt(l.maker, old, []Key{c.key(&l)})
					return l, got, err
				}
				right, got, err := open(func(*Envelope) {})
				if err != nil || !bytes.Equal(got, content) {
					t.Fatalf("unbroken: %v", err)
				}
				var reference *ledger // of GCM, which checks before it decrypts
				if !with.Authenticated() {
					reference = &right
				}
				e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
				for _, b := range breakages(t, e) {
					l, got, err := open(b.do)
					for tries := 0; b.garbage && err == nil && tries < 4; tries++ {
						if bytes.Equal(got, content) {
							t.Fatalf("%s: decrypted", b.name)
						}
						l, got, err = open(b.do)
					}
					if err != ErrDecrypt || got != nil {
						t.Errorf("%s: %q, %v", b.name, got, err)
					}
					if reference == nil {
						reference = &l
					}
					want := ledger{made: reference.made, blocks: slices.Clone(reference.blocks)}
					if b.cut { // the last block cipher is the content's
						want.blocks, l.blocks = want.blocks[:len(want.blocks)-1], l.blocks[:len(l.blocks)-1]
					}
					if diff := cmp.Diff(want, l, cmp.AllowUnexported(ledger{})); diff != "" {
						t.Errorf("%s: other operations: %s", b.name, diff)
					}
				}
			})
		}
	}
}

// A wrong password is a failure like the others.
func TestWrongPassword(t *testing.T) {
	for _, wrap := range []bool{false, true} {
		der := must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES128CBC, Floor{}, &Password{Secret: []byte("secret"), KeyWrap: wrap}))
		e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
		for _, secret := range []string{"Secret", "secret ", "s"} {
			if got, err := e.Decrypt(Floor{}, &Password{Secret: []byte(secret)}); err != ErrDecrypt || got != nil {
				t.Errorf("%q: %q, %v", secret, got, err)
			}
		}
	}
}

// failing is a key that fails as it is told.
type failing struct {
	public crypto.PublicKey
	err    error
}

func (f failing) Public() crypto.PublicKey { return f.public }

func (f failing) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) { return nil, f.err }

func (f failing) ECDH(*ecdh.PublicKey) ([]byte, error) { return nil, f.err }

// A key that could not be asked says so; all else it says does not show.
func TestKeyThatFails(t *testing.T) {
	busy, broken := ca.UnavailableError(errors.New("token gone"), 0), ca.InternalError(errors.New("no session"))
	for name, r := range map[string]Recipient{
		"v1.5": KeyTransport{Certificate: certificate(t, "rsa")},
		"oaep": KeyTransport{Certificate: certificate(t, "rsa"), OAEP: crypto.SHA1},
	} {
		e := must[*Envelope](t)(ReadEnveloped(must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES128GCM, Floor{}, r)), Limits{}))
		for _, c := range []struct{ says, want error }{
			{busy, busy}, {broken, broken}, {context.DeadlineExceeded, context.DeadlineExceeded},
			{rsa.ErrDecryption, ErrDecrypt}, {ca.Errorf(ca.BadRequest, "no"), ErrDecrypt}, {io.ErrUnexpectedEOF, ErrDecrypt}, {nil, ErrDecrypt},
		} {
			_, err := e.Decrypt(Floor{}, RSAKey{certificate(t, "rsa"), failing{certificate(t, "rsa").Key.Parsed(), c.says}})
			if err != c.want {
				t.Errorf("%s, %v: %v", name, c.says, err)
			}
		}
	}
	e := must[*Envelope](t)(ReadEnveloped(must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES128GCM, Floor{}, KeyAgreement{Certificate: certificate(t, "p256")})), Limits{}))
	if _, err := e.Decrypt(Floor{}, ECKey{certificate(t, "p256"), failing{err: busy}}); err != error(busy) {
		t.Errorf("ecdh: %v", err)
	}
	if _, err := e.Decrypt(Floor{}, ECKey{certificate(t, "p256"), failing{err: errors.New("no")}}); err != ErrDecrypt {
		t.Errorf("ecdh that says no: %v", err)
	}
}

// The padding is judged alike wherever it breaks.
func TestUnpad(t *testing.T) {
	for _, block := range []int{8, 16} {
		for n := range 256 {
			for at := range block {
				plain := bytes.Repeat([]byte{byte(n)}, 2*block)
				if at > 0 {
					plain[len(plain)-1-at] ^= 1
				}
				good := n >= 1 && n <= block && (at == 0 || at >= n)
				got, ok := unpad(plain, block)
				if (ok == 1) != good || good && got != len(plain)-n || !good && got != 0 {
					t.Fatalf("block %d, padding %d, broken at %d: %d, %d", block, n, at, got, ok)
				}
			}
		}
	}
}
