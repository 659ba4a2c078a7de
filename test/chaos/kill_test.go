package chaos

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// clientCount is how many clients enroll at once: more than one writer takes,
// so that commits are shared.
const clientCount = 8

// TestKill kills the daemon with SIGKILL at random moments while clients
// enroll, and starts it again on the same folder.
func TestKill(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]func(t *testing.T, data string) *store{
		"sqlite":   onSQLite,
		"postgres": func(t *testing.T, _ string) *store { return onDatabase(t, harness.Postgres(t), "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "", kind)
			root := s.trust()
			began := time.Now()
			f := s.load(clientCount)
			f.grow(1)
			for n := range *kills {
				time.Sleep(rand.N(500 * time.Millisecond))
				s.daemon.Kill()
				s.start()
				if n%4 == 3 { // no daemon dies so often that nobody gets anywhere
					f.grow(1)
				}
			}
			f.grow(clientCount)
			all := f.drain()
			s.reconcile(all, root)
			t.Logf("%d kills in %.0f s", *kills, time.Since(began).Seconds())
		})
	}
}
