package keys

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/google/go-cmp/cmp"
)

// tokenBackend stands in for a token: each worker has a session of its own,
// and an operation takes until the test lets it go.
type tokenBackend struct {
	pool     *Pool
	sessions []string
	proceed  chan struct{}
	log      []string // written by the one worker
	failure  error
}

func (b *tokenBackend) Open(context.Context, string, Secret) (Signer, error) { return b, nil }

func (b *tokenBackend) Generate(context.Context, string, string, Secret) error { return b.failure }

func (b *tokenBackend) Close() error { b.pool.Close(); return b.failure }

func (b *tokenBackend) Public() crypto.PublicKey { return nil }

func (b *tokenBackend) Sign(ctx context.Context, lane Lane, tenant string, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	worker, err := b.pool.Acquire(ctx, lane, tenant)
	if err != nil {
		return nil, err
	}
	defer b.pool.Release(worker)
	<-b.proceed
	b.log = append(b.log, b.sessions[worker]+" "+lane.String()+" "+string(digest))
	return digest, nil
}

func TestBackendBehindTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := &tokenBackend{pool: NewPool(Limits{Workers: 1}), sessions: []string{"session0"}, proceed: make(chan struct{})}
		ring := NewRing(WithBackend("PKCS11", token))
		if diff := cmp.Diff([]string{"file", "pkcs11"}, ring.Schemes()); diff != "" {
			t.Error(diff)
		}
		key, err := ring.Open(t.Context(), "pkcs11:object=ca", Secret{})
		if err != nil {
			t.Fatal(err)
		}
		for i, lane := range []Lane{LaneEnrollment, LaneEnrollment, LaneRenewal, LaneStatus} {
			go func() {
				if _, err := key.Sign(t.Context(), lane, "a", []byte{byte('0' + i)}, nil); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		close(token.proceed)
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
		want := []string{"session0 enrollment 0", "session0 status 3", "session0 renewal 2", "session0 enrollment 1"}
		if diff := cmp.Diff(want, token.log); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		_, err = key.Sign(t.Context(), LaneStatus, "a", nil, nil)
		wantUnavailable(t, err)
		_, err = ring.Open(t.Context(), "pkcs11:object=ca", Secret{})
		wantUnavailable(t, err)
		wantUnavailable(t, ring.Generate(t.Context(), "file:/k", "ed25519", Secret{}))
		if err := ring.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	})
}

func TestCloseTellsFailures(t *testing.T) {
	failure := errors.New("token is gone")
	ring := NewRing(WithBackend("pkcs11", &tokenBackend{pool: NewPool(Limits{}), failure: failure}))
	if err := ring.Generate(t.Context(), "pkcs11:object=x", "ed25519", Secret{}); !errors.Is(err, failure) {
		t.Errorf("generate: %v", err)
	}
	if err := ring.Close(); !errors.Is(err, failure) || !strings.Contains(err.Error(), "pkcs11") {
		t.Errorf("close: %v", err)
	}
}

func TestSchemes(t *testing.T) {
	files := NewRing()
	more := NewRing(WithBackend("pkcs11", &tokenBackend{pool: NewPool(Limits{})}))
	for uri, test := range map[string]struct {
		ring *Ring
		says string
	}{
		"pkcs11:object=ca?pin-value=hunter2": {files, "this build has the file signer only"},
		"awskms:hunter2":                     {more, "it opens file:, pkcs11:"},
		"/etc/hunter2.pem":                   {files, "file:/path/to/key.pem"},
		"":                                   {files, "no scheme"},
		":hunter2":                           {files, "no scheme"},
		"1a:hunter2":                         {files, "no scheme"},
		"hunter 2:x":                         {files, "no scheme"},
	} {
		_, err := test.ring.Open(t.Context(), uri, Secret{})
		if !ca.IsKind(err, ca.BadRequest) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// Each signature of a file key counts against the limits of the Ring.
func TestFileKeysShareWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		content, _ := sealed(t)
		write(t, filepath.Join(dir, "k"), string(content), 0o600)
		ring := NewRing(WithBaseDir(dir), WithLimits(Limits{Workers: 1, Queue: 1}))
		key, err := ring.Open(t.Context(), "file:k", LiteralSecret(password))
		if err != nil {
			t.Fatal(err)
		}
		pool := key.(*fileKey).pool
		worker, err := pool.Acquire(t.Context(), LaneStatus, "a")
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(nil)
		sign := func() error {
			_, err := key.Sign(t.Context(), LaneEnrollment, "a", digest[:], crypto.SHA256)
			return err
		}
		waiting := make(chan error, 1)
		go func() { waiting <- sign() }()
		synctest.Wait()
		wantUnavailable(t, sign()) // the queue holds one
		pool.Release(worker)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
		wantUnavailable(t, sign())
	})
}

// BenchmarkSign sets a signature through the Ring beside the bare one.
func BenchmarkSign(b *testing.B) {
	dir := b.TempDir()
	content, bare := sealed(b)
	if err := writeNew(filepath.Join(dir, "k"), content); err != nil {
		b.Fatal(err)
	}
	key, err := NewRing(WithBaseDir(dir)).Open(b.Context(), "file:k", LiteralSecret(password))
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if _, err := bare.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ring", func(b *testing.B) {
		for b.Loop() {
			if _, err := key.Sign(b.Context(), LaneEnrollment, "a", digest[:], crypto.SHA256); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		tenants := slices.Repeat([]string{"a", "b", "c"}, 8)
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := key.Sign(context.Background(), LaneEnrollment, tenants[i%len(tenants)], digest[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
