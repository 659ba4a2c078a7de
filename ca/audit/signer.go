package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/seal"
)

// When a chain gets a checkpoint, and how often that is looked at.
const (
	EveryRows = 1000
	EveryTime = time.Hour
	lookEvery = 10 * time.Second
)

// Signer makes checkpoints. Any replica may do so for every chain, those of
// processes that are gone included.
type Signer struct {
	store Store
	ring  *seal.Keyring
	log   *slog.Logger
	mu    sync.Mutex // one checkpoint at a time
	key   *key
}

// NewSigner makes a signer; its key is opened, or made, when first needed.
func NewSigner(store Store, ring *seal.Keyring, log *slog.Logger) *Signer {
	return &Signer{store: store, ring: ring, log: log}
}

// Root gives the public audit service key (SubjectPublicKeyInfo, DER), which
// whoever verifies the trail keeps outside of the store.
func (s *Signer) Root(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s.key.public, nil
}

func (s *Signer) open(ctx context.Context) (err error) {
	if s.key == nil {
		s.key, err = openKey(ctx, s.store, s.ring)
	}
	return err
}

// Keep makes checkpoints that are due until ctx ends.
func (s *Signer) Keep(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := s.Due(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("audit.checkpoint", "error", err)
			}
		}
	}
}

// Due makes the checkpoints that are due, and gives their number.
func (s *Signer) Due(ctx context.Context) (int, error) {
	now, err := s.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	return s.sign(ctx, func(h *Head) bool { return h.Fresh >= EveryRows || !now.Before(h.Since.Add(EveryTime)) })
}

// All makes a checkpoint of every chain that has rows after its last one, and
// gives their number.
func (s *Signer) All(ctx context.Context) (int, error) {
	return s.sign(ctx, func(*Head) bool { return true })
}

func (s *Signer) sign(ctx context.Context, due func(*Head) bool) (made int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The last checkpoint is read before the heads: one that another replica makes
	// in between takes the number, so this replica's, which may be of an older
	// head, is refused. Read after them, its head could lie before the last one's.
	last, err := s.store.LastCheckpoint(ctx)
	if err != nil {
		return 0, err
	}
	heads, err := s.store.Uncovered(ctx)
	if err != nil {
		return 0, err
	}
	for i := range heads {
		if !due(&heads[i]) {
			continue
		}
		c, err := s.checkpoint(ctx, last, &heads[i])
		switch {
		case ca.IsKind(err, ca.Conflict): // another replica was first, maybe with this very chain: look again next time
			return made, nil
		case err != nil:
			return made, err
		}
		last = c
		made++
	}
	return made, nil
}

// checkpoint adds one after last, which is nil before the first.
func (s *Signer) checkpoint(ctx context.Context, last *Checkpoint, h *Head) (*Checkpoint, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	now, err := s.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Number: 1, Chain: h.Chain, Seq: h.Seq, Hash: h.Hash, Rows: h.Rows, At: now.UTC().Truncate(time.Microsecond), Key: s.key.version}
	if last != nil {
		c.Number, c.Prev = last.Number+1, last.Sum()
	}
	sum := c.Sum()
	if c.Signature, err = ecdsa.SignASN1(rand.Reader, s.key.private, sum[:]); err != nil {
		return nil, err
	}
	if err := s.store.AddCheckpoint(ctx, c); err != nil {
		return nil, err
	}
	s.log.Info("audit.checkpoint", "number", c.Number, "chain", c.Chain, "seq", c.Seq, "rows", c.Rows)
	return c, nil
}
