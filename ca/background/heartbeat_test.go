package background

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// neighbourhood is a store with a clock that is ahead, and other replicas.
type neighbourhood struct {
	ahead  time.Duration
	travel time.Duration // one way
	err    error
	others []ca.Replica
	last   ca.Replica
}

func (n *neighbourhood) Beat(_ context.Context, r *ca.Replica) (time.Time, error) {
	time.Sleep(n.travel)
	at := time.Now().Add(n.ahead)
	time.Sleep(n.travel)
	n.last = *r
	return at, n.err
}

func (n *neighbourhood) Replicas(context.Context, time.Duration) ([]ca.Replica, error) {
	return append([]ca.Replica{n.last}, n.others...), n.err
}

func (n *neighbourhood) ForgetReplicas(context.Context, *ca.Lease, time.Duration, int) (int64, error) {
	return 0, errors.New("not a beat's business")
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := &neighbourhood{travel: 200 * time.Millisecond, ahead: -7 * time.Second}
		h, err := NewHeartbeat(n, ca.Replica{ID: "one", Config: [32]byte{1}, Schema: 20}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if p := h.Pulse(); !p.At.IsZero() {
			t.Errorf("a pulse before the first beat: %+v", p)
		}
		h.Beat(t.Context())
		p := h.Pulse()
		if p.Skew != -7*time.Second || p.Err != nil || p.At.IsZero() || p.Alive != 1 || p.Differ != 0 {
			t.Errorf("pulse %+v", p)
		}
		n.others = []ca.Replica{{ID: "two", Config: [32]byte{2}, Schema: 20}, {ID: "three", Config: [32]byte{1}, Schema: 21}}
		h.Beat(t.Context())
		if p := h.Pulse(); p.Alive != 3 || p.Differ != 1 || p.Schemas != 1 {
			t.Errorf("pulse beside others %+v", p)
		}
		if n.last.Offset != -7*time.Second {
			t.Errorf("the skew told is %v", n.last.Offset)
		}
		h.Configured([32]byte{2})
		n.err = ca.UnavailableError(errors.New("read-only"), 0)
		taken := h.Pulse().At
		h.Beat(t.Context())
		h.Beat(t.Context())
		if p := h.Pulse(); p.Err == nil || p.At != taken {
			t.Errorf("pulse without a store %+v", p)
		}
		n.err = nil
		h.Beat(t.Context())
		if p := h.Pulse(); p.Err != nil || p.Differ != 1 {
			t.Errorf("pulse with the store back %+v", p)
		}
		for event, times := range map[string]int{"replica.clock_skew": 1, "replica.config_differs": 1, "replica.silent": 1, "replica.heard": 1} {
			if got := strings.Count(log.String(), event); got != times {
				t.Errorf("%s was logged %d times, want %d", event, got, times)
			}
		}
	})
}

func TestHeartbeatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &neighbourhood{}
		h, err := NewHeartbeat(n, ca.Replica{ID: "one"}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.Run(ctx) }()
		time.Sleep(time.Minute)
		if p := h.Pulse(); time.Since(p.At) > 2*BeatEvery {
			t.Errorf("the last beat was %v ago", time.Since(p.At))
		}
		cancel()
		<-done
	})
}
