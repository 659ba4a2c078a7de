package interop

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestSCEPReplicas has strongSwan send one secret of one use to two daemons over one
// Postgres at the same moment: by turns the same request, which gets one certificate,
// and those of two devices, of which one gets one, and again when it asks again.
func TestSCEPReplicas(t *testing.T) {
	harness.NeedPrograms(t)
	t.Parallel()
	lines := postgresLines(t)
	a := start(t, lines)
	second := t.TempDir()
	for _, d := range []string{"secrets", "keys"} {
		if err := os.CopyFS(filepath.Join(second, d), os.DirFS(a.File(d))); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{second, filepath.Join(second, "secrets"), filepath.Join(second, "keys")} {
		private(t, d)
	}
	doors := [2]*scepDoor{{a, t.TempDir()}, {start(t, lines, "--data", second), t.TempDir()}}
	var clients [2]*swan
	for i, d := range doors {
		clients[i] = d.swan(t, d.at(scepDual))
	}
	for round := range 4 {
		secret := a.secret(t, "--endpoint", "scep-dual")
		keys := [2]string{clients[0].key(t, "round"+strconv.Itoa(round))}
		if keys[1] = keys[0]; round%2 == 1 {
			keys[1] = clients[1].key(t, "round"+strconv.Itoa(round))
		}
		var got, said [2]string
		var errs [2]error
		var both sync.WaitGroup
		for i := range clients {
			both.Go(func() { got[i], said[i], errs[i] = clients[i].enroll(t, keys[i], "CN=router-1", "--password", secret) })
		}
		both.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		switch same := keys[0] == keys[1]; {
		case errs[winner] != nil:
			t.Fatalf("round %d: nobody got a certificate: %v\n%s\n%s", round, errs, said[0], said[1])
		case same && (errs[1] != nil || got[0] != got[1]):
			t.Errorf("round %d: one request, %v\n%s\n%s", round, errs, said[0], said[1])
		case !same && errs[0] == nil && errs[1] == nil:
			t.Errorf("round %d: two certificates for one secret\n%s\n%s", round, got[0], got[1])
		}
		for i, c := range clients {
			if again, said, err := c.enroll(t, keys[winner], "CN=router-1", "--password", secret); err != nil || again != got[winner] {
				t.Errorf("round %d: the winner asks replica %d again: %v\n%s\n%s", round, i, err, said, again)
			}
		}
	}
}
