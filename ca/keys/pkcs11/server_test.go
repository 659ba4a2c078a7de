//go:build cgo

package pkcs11

import (
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/test/harness"
)

// A token that dies under load and comes back: a real one, behind a server
// that is killed. There is one worker because p11-kit's own client leaves calls
// hanging for ever that run beside the one that notices the loss.
func TestServerDiesAndReturns(t *testing.T) {
	hsm := harness.SoftHSM(t)
	hsm.Add("one")
	server := hsm.Serve("one")
	ring, backend := ringOf(t, Options{Modules: []string{server.Module}, Limits: keys.Limits{Workers: 1}})
	key := generate(t, ring, "pkcs11:token=one;object=ca", "ecdsa-p256")
	for range 2 {
		stop := make(chan struct{})
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := signed(t, key); err != nil {
						wants(t, err, ca.Unavailable)
						time.Sleep(5 * time.Millisecond)
					}
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		server.Kill()
		for signed(t, key) == nil {
			time.Sleep(time.Millisecond)
		}
		wants(t, signed(t, key), ca.Unavailable)
		server.Start()
		recovers(t, key)
		close(stop)
		load.Wait()
	}
	if got := status(t, backend); got.Restarts < 2 || got.Lost != 0 || got.Refused != 0 {
		t.Errorf("status %+v", got)
	}
}

// Two tokens of one module and one of another sign side by side in one process.
func TestTwoTokensTwoModules(t *testing.T) {
	hsm := harness.SoftHSM(t)
	for _, label := range []string{"one", "two", "three"} {
		hsm.Add(label)
	}
	server := hsm.Serve("three")
	ring, backend := ringOf(t, Options{Modules: []string{hsm.Module, server.Module}})
	var all []keys.Signer
	for _, uri := range []string{"pkcs11:token=one;object=ca", "pkcs11:token=two;object=ca", "pkcs11:token=three;object=ca?module-path=" + server.Module} {
		all = append(all, generate(t, ring, uri, "ecdsa-p256"))
	}
	work := func(key keys.Signer) {
		for range 20 {
			if err := signed(t, key); err != nil {
				t.Error(err)
			}
		}
	}
	var running sync.WaitGroup
	for _, key := range append(all, all...) {
		running.Go(func() { work(key) })
	}
	running.Wait()
	if got := backend.Status(); len(got) != 3 {
		t.Errorf("status %+v", got)
	}
	server.Kill() // is nothing to the others
	work(all[0])
	work(all[1])
	wants(t, signed(t, all[2]), ca.Unavailable)
	server.Start()
	recovers(t, all[2])
	for _, s := range backend.Status() {
		if s.Module == hsm.Module && (s.Lapses > 0 || s.Restarts > 0) {
			t.Errorf("status %+v", s)
		}
	}
}
