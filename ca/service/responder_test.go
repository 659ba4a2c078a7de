package service

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/status"
)

// responder makes the service anew, as a start of the daemon does.
func (s *signer) responder(file string) *Responder {
	return &Responder{Enroller: s, Endpoint: "service-ocsp/t/c", Tenant: "t", CA: "c", File: file, Issuer: s.signing,
		Direct:  func(i ca.Issuer) status.Signer { return status.Direct(i, false, func(string, string, ca.Lane) {}) },
		Callers: caller.NewVerifier(caller.System), Claims: claim.NewVerifier(caller.System),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return s.now }}
}

func signatory(t *testing.T, r *Responder) *status.Signatory {
	t.Helper()
	who, err := r.Signatory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signature, err := who.Sign(t.Context(), []byte("to be signed"))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("to be signed"))
	key, ok := r.current.Load().Leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(key, digest[:], signature) || len(who.Certificates) != 1 || len(who.Responder.KeyHash) != 20 {
		t.Fatalf("signatory %+v does not sign for its certificate", who)
	}
	return who
}

// The certificate is made at the first question and kept, in a file or in memory.
func TestResponderKeeps(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		made int // after a second start
	}{"memory": {"", 2}, "file": {filepath.Join(t.TempDir(), "ocsp.pem"), 1}} {
		s := newSigner(t)
		s.extKeyUsage = true
		r := s.responder(c.file)
		if s.made != 0 || !r.NotAfter().IsZero() {
			t.Errorf("%s: enrolled before anybody asked", name)
		}
		signatory(t, r)
		if signatory(t, r); s.made != 1 {
			t.Errorf("%s: enrolled %d times", name, s.made)
		}
		if signatory(t, s.responder(c.file)); s.made != c.made {
			t.Errorf("%s: enrolled %d times in two starts, want %d", name, s.made, c.made)
		}
		if c.file != "" {
			if info, err := os.Stat(c.file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
		}
	}
}

// At two thirds of its life the certificate is replaced, and the next answer is
// signed with the new one.
func TestResponderRenews(t *testing.T) {
	s := newSigner(t)
	r := s.responder("")
	first := signatory(t, r)
	s.now = s.now.AddDate(0, 0, 59)
	if r.Look(t.Context()); signatory(t, r) != first {
		t.Error("renewed before two thirds of its life")
	}
	s.now = s.now.AddDate(0, 0, 1)
	s.fail = errors.New("refused")
	if r.Look(t.Context()); signatory(t, r) != first {
		t.Error("a renewal that failed took the certificate away")
	}
	s.fail = nil
	if r.Look(t.Context()); signatory(t, r) == first || s.made != 2 {
		t.Errorf("not renewed at two thirds of its life; enrolled %d times", s.made)
	}
}

// Nobody signs with a certificate that has ended, and nobody where there is none.
func TestResponderWithoutCertificate(t *testing.T) {
	s := newSigner(t)
	r := s.responder("")
	s.fail = errors.New("refused")
	if _, err := r.Signatory(t.Context()); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("without a certificate: %v", err)
	}
	s.fail = nil
	signatory(t, r)
	s.now = r.NotAfter()
	if _, err := r.Signatory(t.Context()); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("after its end: %v", err)
	}
}

// A key that is held elsewhere stays, whatever becomes of the certificate.
func TestResponderWithHeldKey(t *testing.T) {
	s := newSigner(t)
	held := &heldKey{key: s.key}
	r := s.responder("")
	r.Key = held
	signatory(t, r)
	s.now = s.now.AddDate(0, 0, 60)
	r.Look(t.Context())
	if signatory(t, r); s.made != 2 || held.signed != 2 {
		t.Errorf("enrolled %d times, the key signed %d times", s.made, held.signed)
	}
}

// After a rollover the next generation's delegate signs for what that issues, and
// each generation before it for itself.
func TestResponderRollsOver(t *testing.T) {
	for name, file := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "ocsp.pem")} {
		s := newSigner(t)
		s.extKeyUsage = true
		old := issuerOf(t, s.ca, s.key)
		r := s.responder(file)
		delegate := func(of ca.Issuer) bool {
			t.Helper()
			who, err := r.Of(of).Signatory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(who.Certificates) == 0 {
				if who.NotAfter != of.Facts().NotAfter {
					t.Errorf("%s: another one signs for %s", name, of.Facts().Subject)
				}
				return false
			}
			made, err := x509.ParseCertificate(who.Certificates[0])
			if err != nil || made.CheckSignatureFrom(s.ca) != nil {
				t.Errorf("%s: the delegate is another generation's: %v", name, err)
			}
			return true
		}
		if !delegate(old) {
			t.Errorf("%s: no delegate before the rollover", name)
		}
		s.generation(t, "generation two")
		next := issuerOf(t, s.ca, s.key)
		if delegate(old) || !delegate(next) || s.made != 2 {
			t.Errorf("%s: wrong signers after the rollover, %d delegates made", name, s.made)
		}
		s.generation(t, "generation three")
		if r.Look(t.Context()); s.made != 3 || delegate(next) || !delegate(issuerOf(t, s.ca, s.key)) {
			t.Errorf("%s: %d delegates made after a look", name, s.made)
		}
	}
}

// heldKey is a key in a token.
type heldKey struct {
	key    *ecdsa.PrivateKey
	signed int
}

func (h *heldKey) Public() crypto.PublicKey { return h.key.Public() }

func (h *heldKey) Sign(_ context.Context, lane ca.Lane, tenant string, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if lane != ca.LaneStatus || tenant != "t" {
		return nil, errors.New("the wrong lane or tenant")
	}
	h.signed++
	return h.key.Sign(rand.Reader, digest, opts)
}
