package doctor

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/background"
)

// LookAtStore asks for the version of the tables, the durability of commits, and the clock.
// accepted is the operator's reason for an engine that is not known to be durable.
func (f *Findings) LookAtStore(ctx context.Context, s Store, accepted string, clock func() time.Time) {
	stored, known, err := s.Schema(ctx)
	switch {
	case err != nil:
		f.Broken("store", "tables", "Look at the database.", err)
		return
	case stored < known:
		f.add("store", "tables", Fail, "Run `enrollgate migrate`.", "version %d, this program needs %d", stored, known)
	case stored > known:
		f.add("store", "tables", Warn, "Install the newer program here, too.", "version %d, this program knows %d", stored, known)
	default:
		f.add("store", "tables", OK, "", "version %d", stored)
	}
	settings, err := s.Durability(ctx)
	if err != nil {
		f.Broken("store", "durability", "Look at the database.", err)
	}
	for _, set := range settings {
		switch {
		case set.Safe:
			f.add("store", set.Setting, OK, "", "%s", set.Value)
		case accepted != "":
			f.add("store", set.Setting, Warn, "Turn it on; store.unsafe_durability_reason accepts the risk for now.", "%s, accepted because: %s", set.Value, accepted)
		default:
			f.add("store", set.Setting, Fail, "Turn it on: an issued certificate could be lost after it was handed out.", "%s", set.Value)
		}
	}
	f.clock(ctx, s, clock)
}

func (f *Findings) clock(ctx context.Context, s Store, clock func() time.Time) {
	before := clock()
	at, err := s.Now(ctx)
	if err != nil {
		f.Broken("clock", "the store's clock", "Look at the database.", err)
		return
	}
	after := clock()
	skew := at.Sub(before.Add(after.Sub(before) / 2))
	const do = "Synchronise both clocks (NTP)."
	switch {
	case skew.Abs() > background.SkewRefused:
		f.add("clock", "the store's clock", Fail, do, "%v from this machine's", skew.Round(time.Second))
	case skew.Abs() > background.SkewNoted:
		f.add("clock", "the store's clock", Warn, do, "%v from this machine's", skew.Round(100*time.Millisecond))
	default:
		f.add("clock", "the store's clock", OK, "", "%v from this machine's", skew.Round(time.Millisecond))
	}
}

// LookAtReplicas compares what the running replicas say of themselves with this
// program and its configuration.
func (f *Findings) LookAtReplicas(ctx context.Context, s Store, config [32]byte, schema int64) {
	all, err := s.Replicas(ctx, background.AliveFor)
	if err != nil {
		f.Broken("replicas", "running replicas", "Look at the database.", err)
		return
	}
	if len(all) == 0 {
		f.add("replicas", "running replicas", Warn, "Start the daemon.", "none has written a heartbeat for %v", background.AliveFor)
	}
	for _, r := range all {
		f.replica(&r, config, schema)
	}
}

func (f *Findings) replica(r *ca.Replica, config [32]byte, schema int64) {
	switch {
	case r.Config != config:
		f.add("replicas", r.ID, Warn, "Reload it, or give doctor the configuration that it runs with.", "runs another configuration (%x and not %x)", r.Config[:4], config[:4])
	case r.Schema != schema:
		f.add("replicas", r.ID, Warn, "Install the same program everywhere.", "its program knows version %d of the tables, this one %d", r.Schema, schema)
	case r.Offset.Abs() > background.SkewNoted:
		f.add("replicas", r.ID, Warn, "Synchronise its clock (NTP).", "its clock is %v from the store's", r.Offset.Round(time.Millisecond))
	default:
		f.add("replicas", r.ID, OK, "", "runs since %s with this configuration", r.Started.UTC().Format(time.RFC3339))
	}
}
