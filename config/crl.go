package config

import "github.com/enrollgate/enrollgate/ca"

func (c *checker) crl(path string, w writtenCRL) CRL {
	out := CRL{
		Interval:      c.duration(path+".interval", w.Interval, crlTimes),
		Lifetime:      c.duration(path+".lifetime", w.Lifetime, crlLives),
		Overlap:       c.duration(path+".overlap", w.Overlap, crlOverlaps),
		OnRevocation:  c.duration(path+".on_revocation", w.OnRevocation, crlDelays),
		DeltaInterval: c.duration(path+".delta_interval", w.DeltaInterval, deltaTimes),
		DeltaLifetime: c.duration(path+".delta_lifetime", w.DeltaLifetime, deltaLives),
		KeepExpired:   w.KeepExpired,
	}
	if out.Interval+out.Overlap > out.Lifetime {
		c.problem(path+".lifetime", "a list must be good for at least interval (%s) and overlap (%s) together, or the next one comes too late", out.Interval, out.Overlap)
	}
	if _, written := c.places[path+".delta_lifetime"]; written && w.DeltaInterval == "" {
		c.problem(path+".delta_lifetime", "there are no delta lists without delta_interval")
	}
	if out.DeltaInterval > 0 && out.DeltaInterval >= out.DeltaLifetime {
		c.problem(path+".delta_interval", "a delta list must be good for longer than the time between two")
	}
	if w.Shards != nil {
		out.Shards = *w.Shards
		switch {
		case out.Shards < 1 || out.Shards > ca.MaxCRLShards:
			c.problem(path+".shards", "1 to %d shards are possible, not %d; remove the key for none", ca.MaxCRLShards, out.Shards)
		case out.DeltaInterval > 0:
			c.problem(path+".shards", "a delta covers the complete list, which certificates of a shard do not name; remove delta_interval or shards")
		}
	}
	return out
}
