package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/test/harness"
)

// fault is what the proxy does when it sees a COMMIT on its way to the server.
type fault int

const (
	pass         fault = iota
	cutBefore          // the connection dies, the server never gets it
	cutAfter           // the server gets it and answers, the answer is lost
	deliverLater       // the client's side dies, the server gets it when release is closed
)

// proxy stands between the store and the server, and can lose a COMMIT once.
type proxy struct {
	listener net.Listener
	server   string
	release  chan struct{}
	late     chan []byte // what the server answered to a COMMIT whose answer was swallowed
	mu       sync.Mutex
	next     fault
	refuse   bool
}

func startProxy(t *testing.T, serverURL string) (p *proxy, proxied string) {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{listener: l, server: u.Host, release: make(chan struct{}), late: make(chan []byte, 1)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	u.Host = l.Addr().String()
	return p, with(t, u.String(), "default_query_exec_mode", "exec") // statements travel as text
}

func (p *proxy) arm(f fault, refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.refuse = f, refuse
}

func (p *proxy) take() (f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, p.next = p.next, pass
	return f
}

func (p *proxy) refused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refuse
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if p.refused() && p.peek() == pass {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	swallow, swallowed := make(chan struct{}), []byte(nil)
	done := make(chan struct{})
	go func() { // answers
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			select {
			case <-swallow:
				// "COMMIT" ends a success, severity and code are in an error.
				swallowed = append(swallowed, buf[:n]...)
				if bytes.Contains(swallowed, []byte("COMMIT\x00")) || bytes.Contains(swallowed, []byte("\x00C23505\x00")) || err != nil {
					client.Close()
					select {
					case p.late <- swallowed:
					default:
					}
					return
				}
				continue
			default:
			}
			if n > 0 {
				client.Write(buf[:n])
			}
			if err != nil {
				client.Close()
				return
			}
		}
	}()
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if n > 0 && bytes.Contains(buf[:n], []byte("commit\x00")) {
			switch p.take() {
			case cutBefore:
				return
			case cutAfter:
				close(swallow)
			case deliverLater:
				client.Close()
				<-p.release
				close(swallow)
				server.Write(buf[:n])
				<-done
				return
			}
		}
		if n > 0 {
			server.Write(buf[:n])
		}
		if err != nil {
			server.Close()
			<-done
			return
		}
	}
}

// peek tells what is armed without taking it.
func (p *proxy) peek() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// newEntry makes an entry under the profile that keepProfile kept.
func newEntry(effects ...ca.Effect) *ca.Entry {
	notAfter := time.Now().AddDate(0, 3, 0).UTC().Truncate(time.Second)
	serial := ca.NewSerial(notAfter)
	return &ca.Entry{
		Certificate: ca.Certificate{Tenant: "default", CA: "issuing", Serial: serial, DER: bytes.Repeat(serial[:], 44),
			NotBefore: time.Now().UTC().Truncate(time.Second), NotAfter: notAfter, Profile: "p", Requester: "r", Endpoint: "e", Trace: ca.NewTrace()},
		Subject: "CN=x", KeyID: serial[:], KeyHash: sha256.Sum256(serial[:]), TBSHash: sha256.Sum256(serial[2:]), ProfileHash: profileHash,
		Decision: []byte("[]"), Effects: effects,
		Idempotency: ca.Idempotency{Key: sha256.Sum256(serial[1:]), Digest: profileHash, Window: time.Hour},
		Audit:       ca.Audit{Tenant: "default", Event: "certificate.issued", Actor: "r", Trace: ca.NewTrace(), Detail: []byte("{}")},
	}
}

var (
	profileText = []byte("id: p\n")
	profileHash = sha256.Sum256(profileText)
)

func keepProfile(t testing.TB, s *Store) {
	t.Helper()
	if err := s.KeepProfile(context.Background(), profileHash, profileText); err != nil {
		t.Fatalf("keep the profile: %v", err)
	}
}

// intact fails unless every chain verifies and the entry is recorded exactly once.
func intact(t *testing.T, s *Store, e *ca.Entry) {
	t.Helper()
	batches, err := readTrail(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	last, audited := map[string][32]byte{}, 0
	seq := map[string]int64{}
	for _, b := range batches {
		if b.Prev != last[b.Chain] || b.Seq != seq[b.Chain]+1 || b.Sum() != b.Hash {
			t.Errorf("chain %s breaks at batch %d", b.Chain, b.Seq)
		}
		last[b.Chain], seq[b.Chain] = b.Hash, b.Seq
		for _, r := range b.Rows {
			if r.Trace == e.Audit.Trace {
				audited++
			}
		}
	}
	var certificates, decisions int
	err = s.pool.QueryRow(t.Context(), `select (select count(*) from enrollgate.certificates where key_hash = $1),
		(select count(*) from enrollgate.decisions where serial = $2)`, e.KeyHash[:], e.Certificate.Serial[:]).Scan(&certificates, &decisions)
	if err != nil || certificates != 1 || decisions != 1 || audited != 1 {
		t.Errorf("%d certificates, %d decisions, %d audit rows of one entry, %v", certificates, decisions, audited, err)
	}
}

func voids(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), "select count(*) from enrollgate.batches where void").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A connection that dies during COMMIT is settled: the caller gets its answer,
// and the certificate is there exactly once.
func TestConnectionLostInCommit(t *testing.T) {
	_, runtime := migrated(t, harness.Postgres(t))
	p, proxied := startProxy(t, runtime)
	s := open(t, proxied, func(o *Options) { o.Writers = 1 })
	keepProfile(t, s)
	for _, c := range []struct {
		name  string
		fault fault
		void  int
	}{{"before the server got it", cutBefore, 1}, {"after the server did it", cutAfter, 1}, {"again before", cutBefore, 2}} {
		doubtful := s.stats.Doubtful.Load()
		p.arm(c.fault, false)
		e := newEntry()
		got, err := s.Record(t.Context(), e)
		if err != nil || len(got) != 1 || got[0].Replayed {
			t.Fatalf("%s: %v", c.name, err)
		}
		if n := s.stats.Doubtful.Load() - doubtful; n != 1 {
			t.Errorf("%s: %d commits were in doubt, want 1", c.name, n)
		}
		if n := voids(t, s); n != c.void {
			t.Errorf("%s: %d void links, want %d", c.name, n, c.void)
		}
		intact(t, s, e)
	}
}

// A COMMIT that reaches the server after the settlement fails there: the batch
// ran again meanwhile, and nothing is doubled.
func TestCommitArrivesAfterSettlement(t *testing.T) {
	_, runtime := migrated(t, harness.Postgres(t))
	p, proxied := startProxy(t, runtime)
	s := open(t, proxied, func(o *Options) { o.Writers = 1 })
	keepProfile(t, s)
	p.arm(deliverLater, false)
	e := newEntry()
	e.Idempotency.Window = 0 // its row would be locked by the commit that is under way
	if _, err := s.Record(t.Context(), e); err != nil {
		t.Fatalf("record: %v", err)
	}
	if n := voids(t, s); n != 1 {
		t.Fatalf("%d void links, want 1", n)
	}
	close(p.release)
	if answer := <-p.late; bytes.Contains(answer, []byte("COMMIT\x00")) || !bytes.Contains(answer, []byte("C23505")) {
		t.Errorf("the late commit was answered %q, want a unique violation", answer)
	}
	intact(t, s, e)
}

// While the outcome cannot be known nobody gets a success; later it is settled
// before anything else is written, and a retry gets the recorded certificate.
func TestSettledLater(t *testing.T) {
	for name, c := range map[string]struct {
		fault    fault
		replayed bool
	}{"committed": {cutAfter, true}, "not committed": {cutBefore, false}} {
		t.Run(name, func(t *testing.T) {
			_, runtime := migrated(t, harness.Postgres(t))
			p, proxied := startProxy(t, runtime)
			s := open(t, proxied, func(o *Options) { o.Writers, o.BatchTimeout = 1, 3*time.Second })
			keepProfile(t, s)
			if err := s.pool.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.arm(c.fault, true)
			e := newEntry()
			if _, err := s.Record(t.Context(), e); !ca.IsKind(err, ca.Unavailable) {
				t.Fatalf("while nobody knows: %v, want unavailable", err)
			}
			again := newEntry()
			if _, err := s.Record(t.Context(), again); !ca.IsKind(err, ca.Unavailable) {
				t.Fatalf("before the settlement: %v, want unavailable", err)
			}
			p.arm(pass, false)
			retry := *e
			got, err := s.Record(t.Context(), &retry)
			if err != nil || got[0].Replayed != c.replayed || got[0].Certificate.Serial != e.Certificate.Serial {
				t.Fatalf("retry: %+v, %v", got, err)
			}
			intact(t, s, e)
		})
	}
}

// A server that dies is "unavailable" until it is back, and nothing has to be
// done for it then.
func TestServerDiesAndReturns(t *testing.T) {
	pg := harness.NewPostgres(t)
	_, runtime := migrated(t, pg)
	s := open(t, runtime, func(o *Options) { o.BatchTimeout = 3 * time.Second })
	keepProfile(t, s)
	first := newEntry()
	if _, err := s.Record(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for _, stop := range []func(testing.TB){pg.Crash, pg.Stop, pg.Kill} {
		stop(t)
		read := func() error {
			_, err := s.Certificate(t.Context(), "default", "issuing", first.Certificate.Serial)
			return err
		}
		for range 500 { // the sessions of a server that was killed end when they notice
			if read() != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		for range 20 { // and each connection that was idle is found out about once
			if err := read(); !ca.IsKind(err, ca.Unavailable) {
				t.Errorf("read without a server: %v, want unavailable", err)
			}
		}
		if _, err := s.Record(t.Context(), newEntry()); !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("without a server: %v, want unavailable", err)
		}
		pg.Start(t)
		e := newEntry()
		var err error
		for range 50 {
			if _, err = s.Record(t.Context(), e); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatalf("after the server's return: %v", err)
		}
		intact(t, s, e)
		intact(t, s, first)
	}
}
