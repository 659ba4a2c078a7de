//go:build cgo

package pkcs11

import (
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/test/harness"
)

// faulty is SoftHSM behind testdata/fault.c, with one token "one" that has a
// P-256 key "ca".
type faulty struct {
	t       *testing.T
	hsm     *harness.Tokens
	module  string
	control string
	counts  string
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	hsm.Tool("one", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "ca", "--id", "01")
	dir := t.TempDir()
	f := &faulty{t: t, hsm: hsm, module: filepath.Join(dir, "fault.so"), control: filepath.Join(dir, "control"), counts: filepath.Join(dir, "counts")}
	f.say()
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-I", strings.TrimSpace(string(headers)),
		fmt.Sprintf("-DREAL=%q", hsm.Module), fmt.Sprintf("-DCONTROL=%q", f.control), fmt.Sprintf("-DCOUNTS=%q", f.counts),
		"-o", f.module, "testdata/fault.c", "-ldl", "-lpthread").CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return f
}

// say sets what the module does from now on; nothing: it forwards.
func (f *faulty) say(lines ...string) {
	f.t.Helper()
	temporary := f.control + ".new"
	if err := os.WriteFile(temporary, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(temporary, f.control); err != nil {
		f.t.Fatal(err)
	}
}

// count tells how often a function was called.
func (f *faulty) count(name string) int {
	f.t.Helper()
	text, err := os.ReadFile(f.counts)
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	return strings.Count(string(text), name+"\n")
}

const faultyKey = "pkcs11:token=one;object=ca"

var digest = sha256.Sum256([]byte("to be signed"))

// signed signs and checks the signature.
func signed(t testing.TB, key keys.Signer) error {
	t.Helper()
	signature, err := sign(t, key, digest[:], crypto.SHA256)
	if err == nil && !verify(t, key.Public(), []byte("to be signed"), signature, crypto.SHA256) {
		t.Error("the signature does not verify")
	}
	return err
}

// recovers wants the key to sign again without anybody's help.
func recovers(t *testing.T, key keys.Signer) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := signed(t, key)
		if err == nil {
			return
		}
		wants(t, err, ca.Unavailable)
		if time.Now().After(deadline) {
			t.Fatalf("it does not come back: %v", err)
		}
	}
}

func status(t *testing.T, b *Backend) Status {
	t.Helper()
	all := b.Status()
	if len(all) != 1 {
		t.Fatalf("status %+v", all)
	}
	return all[0]
}

// What only costs a session is mended within the call.
func TestLostSession(t *testing.T) {
	f := newFaulty(t)
	ring, backend := ringOf(t, Options{Modules: []string{f.module}, Limits: keys.Limits{Workers: 1}})
	key := open(t, ring, faultyKey)
	for i, rv := range []uint{0xB3, 0xB0, 0x101, 0x60, 0x82, 0x90, 0x91, 0x30, 0x32, 0xE0, 0x05, 0x06, 0x03, 0x190} {
		before := status(t, backend)
		f.say(fmt.Sprintf("drop %d", i+1), fmt.Sprintf("drop-rv 0x%X", rv))
		if err := signed(t, key); err != nil {
			t.Errorf("CKR 0x%X: %v", rv, err)
		}
		after := status(t, backend)
		if after.Lapses != before.Lapses+1 {
			t.Errorf("CKR 0x%X: %d lapses", rv, after.Lapses-before.Lapses)
		}
		if restarted := after.Restarts - before.Restarts; (restarted == 1) != (rv == 0x190) || restarted > 1 {
			t.Errorf("CKR 0x%X: %d restarts", rv, restarted)
		}
	}
}

// A token that is away: every operation is told to come back, none waits, and
// it is found again when it is there.
func TestTokenAway(t *testing.T) {
	f := newFaulty(t)
	ring, _ := ringOf(t, Options{Modules: []string{f.module}})
	key := open(t, ring, faultyKey)
	for name, lines := range map[string][]string{
		"CKR_DEVICE_REMOVED":    {"C_SignInit 0x32", "C_OpenSession 0x32"},
		"CKR_TOKEN_NOT_PRESENT": {"drop 1", "drop-rv 0xE0", "C_GetTokenInfo 0xE0"},
		"CKR_DEVICE_ERROR":      {"C_Sign 0x30"},
		"CKR_HOST_MEMORY":       {"C_SignInit 0x32", "C_OpenSession 0x32", "C_Initialize 0x02"},
	} {
		f.say(lines...)
		for range 3 {
			err := signed(t, key)
			wants(t, err, ca.Unavailable)
			if ca.AsError(err).RetryAfter <= 0 {
				t.Errorf("%s: no time to retry", name)
			}
		}
		wants(t, signed(t, key), ca.Unavailable, name)
		_, err := ring.Open(t.Context(), faultyKey, pin)
		if err == nil {
			t.Errorf("%s: opened", name)
		}
		f.say()
		recovers(t, key)
	}
}

// A module that needs to be initialised again gets it though another of its
// tokens, which nobody asks, cannot say that it is gone too; and that one
// mends itself when it is asked.
func TestModuleDies(t *testing.T) {
	f := newFaulty(t)
	f.hsm.Add("two")
	ring, backend := ringOf(t, Options{Modules: []string{f.module}})
	one, two := open(t, ring, faultyKey), generate(t, ring, "pkcs11:token=two;object=ca", "ecdsa-p256")
	f.say("dead 1")
	recovers(t, one)
	if err := signed(t, two); err != nil {
		t.Error(err)
	}
	for _, s := range backend.Status() {
		if s.Restarts != 1 {
			t.Errorf("status %+v", s)
		}
	}
}

// What a token refuses for good is not tried again and is a fault of ours.
func TestRefusedForGood(t *testing.T) {
	f := newFaulty(t)
	ring, backend := ringOf(t, Options{Modules: []string{f.module}})
	key := open(t, ring, faultyKey)
	f.say("C_SignInit 0x70")
	wants(t, signed(t, key), ca.Internal, "CKR_MECHANISM_INVALID", "token one")
	if got := status(t, backend); got.Lapses != 0 {
		t.Errorf("status %+v", got)
	}
	f.say()
	if err := signed(t, key); err != nil {
		t.Error(err)
	}
}

func TestWrongPIN(t *testing.T) {
	f := newFaulty(t)
	ring, backend := ringOf(t, Options{Modules: []string{f.module}})
	for range 5 {
		_, err := ring.Open(t.Context(), faultyKey, keys.LiteralSecret("hunter2"))
		wants(t, err, ca.BadProof, "CKR_PIN_INCORRECT", "tried once", "token one")
		if strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	}
	if got := f.count("C_Login"); got != 1 {
		t.Errorf("%d logins with the same wrong PIN", got)
	}
	if got := status(t, backend); got.Logins != 0 || got.Refused != 1 {
		t.Errorf("status %+v", got)
	}
	_, err := ring.Open(t.Context(), faultyKey, keys.Secret{})
	wants(t, err, ca.BadRequest, "key_password")
	key := open(t, ring, faultyKey) // another PIN is another attempt
	if got := f.count("C_Login"); got != 2 {
		t.Errorf("%d logins", got)
	}
	if err := signed(t, key); err != nil {
		t.Error(err)
	}
}

// A login that is lost while the PIN has become wrong: one attempt, then
// requesters are told to come back until the secret's file is put right.
func TestPINBecomesWrong(t *testing.T) {
	f := newFaulty(t)
	file := filepath.Join(t.TempDir(), "pin")
	write := func(pin string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(pin), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(harness.TokenPIN + "\n")
	secret, err := keys.ParseSecret("file:" + file)
	if err != nil {
		t.Fatal(err)
	}
	ring, _ := ringOf(t, Options{Modules: []string{f.module}, Limits: keys.Limits{Workers: 1}})
	key, err := ring.Open(t.Context(), faultyKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	write("000000")
	f.say("drop 1", "drop-rv 0x101") // the only session ends, and with it the login
	for range 4 {
		wants(t, signed(t, key), ca.Unavailable, "CKR_PIN_INCORRECT")
	}
	if got := f.count("C_Login"); got != 2 {
		t.Errorf("%d logins", got)
	}
	write(harness.TokenPIN)
	recovers(t, key)
	if got := f.count("C_Login"); got != 3 {
		t.Errorf("%d logins", got)
	}
}

func TestLockedPIN(t *testing.T) {
	f := newFaulty(t)
	ring, _ := ringOf(t, Options{Modules: []string{f.module}})
	open := func() error {
		_, err := ring.Open(t.Context(), faultyKey, pin)
		return err
	}
	f.say("C_Login 0xA4")
	wants(t, open(), ca.Denied, "CKR_PIN_LOCKED", "security officer")
	wants(t, open(), ca.Denied, "CKR_PIN_LOCKED")
	f.say("flags 0x40000") // CKF_USER_PIN_LOCKED
	wants(t, open(), ca.Denied, "CKF_USER_PIN_LOCKED")
	if got := f.count("C_Login"); got != 1 {
		t.Errorf("%d logins into a locked token", got)
	}
	f.say("flags 0x20000") // unlocked, CKF_USER_PIN_FINAL_TRY
	wants(t, open(), ca.Denied, "one more wrong PIN would lock the token")
	if got := f.count("C_Login"); got != 1 {
		t.Errorf("%d logins with the last attempt", got)
	}
	f.say("flags 0x10000") // CKF_USER_PIN_COUNT_LOW
	if err := open(); err != nil {
		t.Error(err)
	}
}

// A library that somebody else in the process has initialised is used, but not
// finalised under them.
func TestSecondOwner(t *testing.T) {
	f := newFaulty(t)
	first, _ := ringOf(t, Options{Modules: []string{f.hsm.Module}})
	key := open(t, first, faultyKey)
	second := New(Options{Modules: []string{f.module}})
	if _, err := second.Open(t.Context(), faultyKey, pin); err != nil {
		t.Error(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if err := signed(t, key); err != nil {
		t.Error(err)
	}
	// The other way round: the owner finalises it under one that goes on.
	third, _ := ringOf(t, Options{Modules: []string{f.module}})
	left := open(t, third, faultyKey)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	recovers(t, left)
}

// An operation whose deadline ends in the queue is never given to the token.
func TestDeadlineInQueue(t *testing.T) {
	f := newFaulty(t)
	ring, backend := ringOf(t, Options{Modules: []string{f.module}, Limits: keys.Limits{Workers: 1}})
	key := open(t, ring, faultyKey)
	f.say("stuck 1")
	first := make(chan error, 1)
	go func() { first <- signed(t, key) }()
	for f.count("C_Sign") == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := key.Sign(ctx, ca.LaneStatus, "a", digest[:], crypto.SHA256)
	wants(t, err, ca.Unavailable, "status lane", "deadline exceeded")
	f.say()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := f.count("C_Sign"); got != 1 {
		t.Errorf("%d signatures were begun", got)
	}
	if got := status(t, backend); got.Lost != 0 {
		t.Errorf("status %+v", got)
	}
}

func TestUnusablePIN(t *testing.T) {
	f := newFaulty(t)
	ring, _ := ringOf(t, Options{Modules: []string{f.module}})
	for _, test := range []struct {
		line  string
		kind  ca.Kind
		words string
	}{
		{"flags 0x100", ca.BadRequest, "keypad"},
		{"C_Login 0xA3", ca.Denied, "CKR_PIN_EXPIRED"},
	} {
		f.say(test.line)
		_, err := ring.Open(t.Context(), faultyKey, pin)
		wants(t, err, test.kind, test.words)
	}
	f.say("C_Login 0x102")
	_, err := ring.Open(t.Context(), faultyKey, keys.LiteralSecret("another"))
	wants(t, err, ca.Denied, "CKR_USER_PIN_NOT_INITIALIZED")
}

// A token with fewer sessions than workers: they become fewer, and nothing fails.
func TestSessionLimit(t *testing.T) {
	f := newFaulty(t)
	ring, backend := ringOf(t, Options{Modules: []string{f.module}})
	f.say("sessions 3", "slow 1")
	key := open(t, ring, faultyKey)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 5 {
				if err := signed(t, key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := status(t, backend); got.Workers != 3 || got.Lapses != 0 {
		t.Errorf("status %+v", got)
	}
	if err := ring.Generate(t.Context(), "pkcs11:token=one;object=new", "ecdsa-p256", pin); err != nil {
		t.Errorf("generate with all sessions taken: %v", err)
	}
	// None at all.
	f.say("sessions 0", "drop 1", "drop-rv 0xB3")
	wants(t, signed(t, key), ca.Unavailable, "CKR_SESSION_COUNT", "pkcs11.sessions")
	f.say()
	recovers(t, key)
}

func TestSessionLimitThatTheTokenTells(t *testing.T) {
	f := newFaulty(t)
	ring, backend := ringOf(t, Options{Modules: []string{f.module}})
	f.say("max 4")
	open(t, ring, faultyKey)
	if got := status(t, backend); got.Workers != 3 {
		t.Errorf("status %+v", got)
	}
}

func TestReadOnlyToken(t *testing.T) {
	f := newFaulty(t)
	ring, _ := ringOf(t, Options{Modules: []string{f.module}})
	for _, lines := range [][]string{{"flags 2", "readonly 1"}, {"C_GenerateKeyPair 0xE2"}, {"C_GenerateKeyPair 0xB5"}} {
		f.say(lines...)
		err := ring.Generate(t.Context(), "pkcs11:token=one;object=new", "ecdsa-p256", pin)
		wants(t, err, ca.Denied, "read-only", "make it with the token's own tool")
		wants(t, ring.Generate(t.Context(), faultyKey, "ecdsa-p256", pin), ca.Conflict)
		if err := signed(t, open(t, ring, faultyKey)); err != nil {
			t.Error(err)
		}
	}
	f.say("C_GenerateKeyPair 0x130")
	err := ring.Generate(t.Context(), "pkcs11:token=one;object=new", "ecdsa-p521", pin)
	wants(t, err, ca.BadRequest, "cannot make ecdsa-p521 keys", "CKR_DOMAIN_PARAMS_INVALID")
}

// Calls that do not return: their workers are lost and replaced up to a bound,
// then operations are refused at once; all of it mends itself.
func TestStuckCalls(t *testing.T) {
	f := newFaulty(t)
	ring, backend := ringOf(t, Options{Modules: []string{f.module}, Stuck: 300 * time.Millisecond, Replace: 1, Limits: keys.Limits{Workers: 2}})
	key := open(t, ring, faultyKey)
	f.say("stuck 1")
	for i, want := range []Status{{Lost: 1, Workers: 2}, {Lost: 2, Workers: 1}, {Lost: 3, Workers: 0}} {
		wants(t, signed(t, key), ca.Unavailable, "has not returned")
		if got := status(t, backend); got.Lost != want.Lost || got.Workers != want.Workers {
			t.Errorf("call %d: %+v", i, got)
		}
	}
	wants(t, signed(t, key), ca.Unavailable, "no worker left")
	f.say()
	recovers(t, key)
	for deadline := time.Now().Add(time.Minute); status(t, backend).Lost > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("status %+v", status(t, backend))
		}
	}
	if got := status(t, backend); got.Workers != 2 || got.Restarts != 0 {
		t.Errorf("status %+v", got)
	}
}

// While a call is stuck the module cannot be initialised again, and is not.
func TestStuckCallHoldsUpRestart(t *testing.T) {
	f := newFaulty(t)
	ring, backend := ringOf(t, Options{Modules: []string{f.module}, Stuck: 300 * time.Millisecond, Limits: keys.Limits{Workers: 2}})
	key := open(t, ring, faultyKey)
	f.say("stuck 1")
	wants(t, signed(t, key), ca.Unavailable, "has not returned")
	f.say("stuck 1", "C_SignInit 0x190")
	wants(t, signed(t, key), ca.Unavailable, "CKR_CRYPTOKI_NOT_INITIALIZED")
	if got := status(t, backend); got.Restarts != 0 {
		t.Errorf("status %+v", got)
	}
	f.say("C_SignInit 0x190") // the call returns
	for deadline := time.Now().Add(time.Minute); status(t, backend).Restarts == 0; time.Sleep(20 * time.Millisecond) {
		wants(t, signed(t, key), ca.Unavailable)
		if time.Now().After(deadline) {
			t.Fatalf("status %+v", status(t, backend))
		}
	}
	f.say()
	recovers(t, key)
}

// A Ring that is closed while a call is stuck says that its module is left as it is.
func TestCloseWhileStuck(t *testing.T) {
	f := newFaulty(t)
	backend := New(Options{Modules: []string{f.module}, Stuck: 200 * time.Millisecond})
	opened, err := backend.Open(t.Context(), faultyKey, pin)
	if err != nil {
		t.Fatal(err)
	}
	f.say("stuck 1")
	wants(t, signed(t, opened), ca.Unavailable, "has not returned")
	m := opened.(*key).token.module
	if err := backend.Close(); err == nil || !strings.Contains(err.Error(), "have not returned") {
		t.Errorf("close: %v", err)
	}
	f.say()
	for { // so that the next test finds the library as it should be
		m.mu.Lock()
		running := m.running
		m.mu.Unlock()
		if running == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := m.close(); err != nil {
		t.Error(err)
	}
}
