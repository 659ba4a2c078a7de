package chaos

import (
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestCommitCut breaks connections to Postgres while a COMMIT is under way. The
// daemon settles each: no client notices, nobody has two certificates and none
// is lost.
func TestCommitCut(t *testing.T) {
	t.Parallel()
	harness.NeedPrograms(t)
	pg := harness.Postgres(t)
	p := newProxy(t, parse(t, pg.SuperURL("postgres")).Host)
	s := newSite(t, "", func(t *testing.T, _ string) *store { return onDatabase(t, pg, p.listener.Addr().String()) })
	root := s.trust()
	f := s.load(clientCount)
	f.grow(clientCount)
	for range rounds(1, 25) {
		p.arm(7, 12)
		eventually(t, "the proxy made its cuts", func() bool {
			f.count()
			_, _, left := p.made()
			return left == 0
		})
	}
	f.grow(clientCount)
	all := f.drain()
	s.reconcile(all, root)
	before, after, _ := p.made()
	settled := map[string]int{}
	for line := range strings.Lines(s.daemon.Stderr()) {
		for _, outcome := range []string{"committed=false", "committed=true"} {
			if strings.Contains(line, "msg=postgres.settled") && strings.Contains(line, outcome) {
				settled[outcome]++
			}
		}
	}
	// A commit that the server refuses by itself may be cut, too: then it is
	// settled as not committed.
	if n := settled["committed=false"] + settled["committed=true"]; n != before+after || settled["committed=false"] < before || settled["committed=true"] == 0 {
		t.Errorf("%v were settled, of %d cuts before the server got the commit and %d after", settled, before, after)
	}
	if later, _ := f.witness.told(); later > 0 {
		t.Errorf("%d answers told clients to try later", later)
	}
	t.Logf("%d cuts before the server got the commit, %d after; settled: %v", before, after, settled)
}
