package backup

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// What a restored store leaves out, because the lost one may have used it up
// between the backup and its end.
//
// A publisher gives a CRL the number max(time in seconds, last number + 1), so
// the lost store's numbers were at most the time of its end, but for lists that
// came faster than one a second and for a clock that was ahead. NumberGap covers
// both for a day. FeedGap is more changes than any store sees: who followed the
// lost store's feed finds every new change behind what it has read.
const (
	NumberGap = 24 * 60 * 60
	FeedGap   = 1 << 32
)

// Numbers says below which numbers no CRL is published after a restore.
type Numbers struct {
	Now   time.Time        // by the clock of the store that is restored into
	Least int64            // the operator's: numbers go on above it; 0: not given
	Seen  map[string]int64 // of lists that the lost store published, by TENANT/CA
}

// After gives the number that a restored scope stands at: the next list has a
// higher one. It is 0 for a scope whose numbers are somebody else's: an imported
// list keeps that of its own CA.
func (n *Numbers) After(m *Manifest, l *List) int64 {
	if _, _, ours := ca.ParseCRLScope(l.Scope); !ours {
		return 0
	}
	now := n.Now
	if m.Created.After(now) {
		now = m.Created
	}
	return max(l.Number+1, now.Unix()+NumberGap, n.Least, n.Seen[l.Tenant+"/"+l.CA]+NumberGap)
}
