package chaos

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// drainTime bounds how long clients need for what they have begun.
const drainTime = 3 * time.Minute

// fleet is a number of clients that enroll one name after the other.
type fleet struct {
	t       *testing.T
	name    string // a label that no other fleet has
	witness *witness
	cancel  context.CancelFunc
	stop    chan struct{}
	clients sync.WaitGroup
	mu      sync.Mutex
	held    []held
	failed  []error
}

// load starts clients on a site.
func (s *site) load(clients int) *fleet {
	s.t.Helper()
	f := &fleet{t: s.t, name: strings.ToLower(rand.Text()[:8]), witness: newWitness(s), stop: make(chan struct{})}
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	s.t.Cleanup(func() {
		f.cancel()
		f.clients.Wait()
		f.witness.wire.CloseIdleConnections()
	})
	for i := range clients {
		c, err := newClient(s, f.witness)
		if err != nil {
			s.t.Fatal(err)
		}
		f.clients.Go(func() { f.run(ctx, c, i) })
	}
	return f
}

func (f *fleet) run(ctx context.Context, c *client, number int) {
	err := c.register(ctx)
	for n := 0; err == nil; n++ {
		select {
		case <-f.stop:
			return
		default:
		}
		var h held
		if h, err = c.enroll(ctx, fmt.Sprintf("n%d.c%d.%s.example", n, number, f.name)); err == nil {
			f.mu.Lock()
			f.held = append(f.held, h)
			f.mu.Unlock()
		}
	}
	f.mu.Lock()
	f.failed = append(f.failed, err)
	f.mu.Unlock()
}

// count gives how many certificates the clients hold, and fails the test where
// one has given up.
func (f *fleet) count() int {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.failed) > 0 {
		f.t.Fatalf("a client gave up: %v", f.failed)
	}
	return len(f.held)
}

// grow waits until the clients hold n certificates more.
func (f *fleet) grow(n int) {
	f.t.Helper()
	want := f.count() + n
	eventually(f.t, fmt.Sprintf("clients hold %d certificates", want), func() bool { return f.count() >= want })
}

// toldLater waits until clients were told n times more to try later.
func (f *fleet) toldLater(n int) {
	f.t.Helper()
	before, _ := f.witness.told()
	eventually(f.t, "clients are told to try later", func() bool {
		f.count()
		later, _ := f.witness.told()
		return later >= before+n
	})
}

// drain lets every client finish what it has begun and gives what they hold.
// Nobody may have been told anything but "try later" on the way.
func (f *fleet) drain() []held {
	f.t.Helper()
	close(f.stop)
	timer := time.AfterFunc(drainTime, f.cancel)
	f.clients.Wait()
	timer.Stop()
	if len(f.failed) > 0 {
		f.t.Fatalf("clients gave up: %v", f.failed)
	}
	if _, wrong := f.witness.told(); len(wrong) > 0 {
		f.t.Errorf("%d answers of 500 and above are no \"try later\":\n%q", len(wrong), wrong[:min(5, len(wrong))])
	}
	return slices.Clone(f.held)
}
