package background

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Times of a heartbeat.
const (
	BeatEvery = 5 * time.Second
	// AliveFor is how long after its last beat a replica counts as running.
	AliveFor = 30 * time.Second
	// SkewNoted is the clock skew that is worth a warning, SkewRefused the one
	// that makes a replica not ready: shared expiries would be wrong.
	SkewNoted   = 5 * time.Second
	SkewRefused = 60 * time.Second
	beatTime    = 4 * time.Second
)

// Heartbeat tells the other replicas about this one, and learns from the same
// exchange whether the store takes writes and how far the clocks are apart.
type Heartbeat struct {
	store ca.Replicas
	log   *slog.Logger
	mu    sync.Mutex
	self  ca.Replica
	pulse Pulse
}

// Pulse is what the last beats found.
type Pulse struct {
	At      time.Time     // of the last beat that the store took, by our clock; zero: none yet
	Skew    time.Duration // store's clock minus ours, within half a round trip
	Err     error         // of the last beat; nil when it was taken
	Alive   int           // replicas that run, this one included
	Differ  int           // of them: with another configuration
	Schemas int           // of them: whose program knows another version of the tables
}

// NewHeartbeat takes what this replica tells about itself.
func NewHeartbeat(store ca.Replicas, self ca.Replica, log *slog.Logger) (*Heartbeat, error) {
	if store == nil || self.ID == "" || log == nil {
		return nil, errors.New("heartbeat: a part is missing")
	}
	return &Heartbeat{store: store, self: self, log: log}, nil
}

// Run beats until ctx ends.
func (h *Heartbeat) Run(ctx context.Context) {
	for {
		h.Beat(ctx)
		if !sleep(ctx, jittered(BeatEvery)) {
			return
		}
	}
}

// Configured replaces the digest of the configuration, from the next beat on.
func (h *Heartbeat) Configured(digest [32]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.self.Config = digest
}

// Pulse gives what the last beats found.
func (h *Heartbeat) Pulse() Pulse {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pulse
}

// Beat beats once.
func (h *Heartbeat) Beat(ctx context.Context) {
	h.mu.Lock()
	self, before := h.self, h.pulse
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, beatTime)
	defer cancel()
	after := before
	sent := time.Now()
	now, err := h.store.Beat(ctx, &self)
	received := time.Now()
	if after.Err = err; err == nil {
		after.At = received
		after.Skew = now.Sub(sent.Add(received.Sub(sent) / 2))
		err = h.neighbours(ctx, self, &after)
		after.Err = err
	}
	h.mu.Lock()
	h.pulse, h.self.Offset = after, after.Skew
	h.mu.Unlock()
	if ctx.Err() == context.Canceled {
		return // we are stopping
	}
	h.tell(before, after)
}

func (h *Heartbeat) neighbours(ctx context.Context, self ca.Replica, p *Pulse) error {
	all, err := h.store.Replicas(ctx, AliveFor)
	if err != nil {
		return err
	}
	p.Alive, p.Differ, p.Schemas = len(all), 0, 0
	for _, r := range all {
		if r.Config != self.Config {
			p.Differ++
		}
		if r.Schema != self.Schema {
			p.Schemas++
		}
	}
	return nil
}

// tell logs what changed since the beat before.
func (h *Heartbeat) tell(before, after Pulse) {
	if (before.Err == nil) != (after.Err == nil) {
		if after.Err != nil {
			h.log.Error("replica.silent", "error", after.Err)
		} else {
			h.log.Info("replica.heard")
		}
	}
	if before.Differ != after.Differ && after.Differ > 0 {
		h.log.Warn("replica.config_differs", "replicas", after.Differ, "of", after.Alive)
	}
	if noted := after.Skew.Abs() > SkewNoted; noted && before.Skew.Abs() <= SkewNoted {
		h.log.Warn("replica.clock_skew", "skew", after.Skew)
	}
}
