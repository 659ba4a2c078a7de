package chaos

import (
	"net/http"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestPostgresDies ends the database in the middle of the load, in three ways,
// and starts it again. The daemon runs on: clients are told to try later, and
// are served again without anything being done to the daemon.
func TestPostgresDies(t *testing.T) {
	t.Parallel()
	harness.NeedPrograms(t)
	pg := harness.NewPostgres(t)
	s := newSite(t, "", onPostgres(pg))
	root := s.trust()
	f := s.load(clientCount)
	f.grow(1)
	faults := []func(testing.TB){pg.Crash, pg.Kill, pg.Stop}
	for n := range rounds(3, 60) {
		faults[n%len(faults)](t)
		if n < len(faults) { // a cluster that is back at once is a fault of its own
			f.toldLater(clientCount)
			if got := s.get("/readyz"); got.status != http.StatusServiceUnavailable {
				t.Errorf("without a database /readyz says %d %s", got.status, got.body)
			}
		}
		pg.Start(t)
		f.grow(clientCount)
	}
	s.reconcile(f.drain(), root)
}
