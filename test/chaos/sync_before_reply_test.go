package chaos

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestSyncBeforeReply looks at the system calls of a daemon on SQLite. Every
// finalize gets a connection of its own, on which it is the last request; in the
// trace the client's port names the connection. TLS hides what is in a reply,
// so the reply is the first write after the last of the request was read.
func TestSyncBeforeReply(t *testing.T) {
	t.Parallel()
	harness.NeedPrograms(t)
	trace := filepath.Join(t.TempDir(), "trace")
	// -D: strace is the daemon's child, not its parent, so signals reach the daemon.
	s := newSite(t, "", onSQLite, "strace", "-D", "-f", "-yy", "-s", "0", "-e", "signal=none",
		"-e", "trace=read,write,pwrite64,fsync,fdatasync", "-o", trace)
	tap := &tap{witness: newWitness(s)}
	t.Cleanup(tap.witness.wire.CloseIdleConnections)
	c, err := newClient(s, tap.witness)
	if err != nil {
		t.Fatal(err)
	}
	c.acme.HTTPClient.Transport = tap
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := c.register(ctx); err != nil {
		t.Fatal(err)
	}
	for n := range rounds(10, 100) {
		if _, err := c.enroll(ctx, fmt.Sprintf("sync%d.example", n)); err != nil {
			t.Fatal(err)
		}
	}
	s.daemon.Stop()
	end := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ exited with 0`, s.daemon.PID()))
	eventually(t, "strace has written the daemon's end", func() bool {
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		return end.Match(text)
	})
	text, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	calls, err := readTrace(text)
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(s.data, "enrollgate.db-wal")
	if len(tap.ports) != rounds(10, 100) {
		t.Fatalf("%d finalize requests were sent", len(tap.ports))
	}
	crowded := 0
	for _, client := range tap.ports {
		r, err := lastReply(calls, client)
		if err != nil {
			t.Fatal(err)
		}
		if v := durable(calls, log, r); v.crowded {
			crowded++
			continue
		} else if v.why != "" {
			t.Errorf("finalize from %s: %s", client, v.why)
		}
		// The same trace without its syncs, and with them after the reply, must not pass.
		for name, damage := range map[string]func(*call) *call{
			"no sync":                func(*call) *call { return nil },
			"a late sync":            func(c *call) *call { late := *c; late.ended = r.left + 1; return &late },
			"a sync of another file": func(c *call) *call { other := *c; other.file += "x"; return &other },
		} {
			if durable(changed(calls, damage), log, r).why == "" {
				t.Errorf("finalize from %s passes with %s", client, name)
			}
		}
	}
	if crowded > max(1, len(tap.ports)/10) {
		t.Errorf("of %d replies %d left while the log was written to, which one heartbeat every 5 s does not explain", len(tap.ports), crowded)
	}
	t.Logf("%d replies to finalize, %d each after its sync, in %d system calls", len(tap.ports), len(tap.ports)-crowded, len(calls))
}

// changed gives a trace with every sync changed; nil takes it away.
func changed(calls []*call, change func(*call) *call) (out []*call) {
	for _, c := range calls {
		if strings.HasSuffix(c.name, "sync") {
			c = change(c)
		}
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// tap sends every finalize on a connection of its own and notes its port.
type tap struct {
	witness *witness
	mu      sync.Mutex
	ports   []string // addresses of the client's side
}

// RoundTrip passes a request on.
func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/finalize") {
		return p.witness.RoundTrip(r)
	}
	dial := p.witness.wire.DialContext
	once := &witness{wire: &http.Transport{TLSClientConfig: p.witness.wire.TLSClientConfig.Clone(), DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err == nil {
				p.mu.Lock()
				p.ports = append(p.ports, conn.LocalAddr().String())
				p.mu.Unlock()
			}
			return conn, err
		}}}
	once.wire.TLSClientConfig.MinVersion = tls.VersionTLS13
	return once.RoundTrip(r)
}

// TestTrace reads traces that are known to be good or bad.
func TestTrace(t *testing.T) {
	const (
		request  = "7 read(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\"..., 576) = 576"
		rest     = "7 read(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\"..., 1152) = 700"
		write    = "8 pwrite64(4</d/db-wal>, \"\"..., 4120, 32) = 4120"
		sync     = "8 fsync(4</d/db-wal>)                = 0"
		answer   = "7 write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\"..., 700) = 700"
		goodbye  = "7 read(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\"..., 576) = 24"
		farewell = "7 write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\"..., 24) = 24"
		begun    = "8 fsync(4</d/db-wal> <unfinished ...>"
		resumed  = "8 <... fsync resumed>)               = 0"
	)
	whole := []string{request, rest, write, sync, answer, goodbye, farewell}
	for name, c := range map[string]struct {
		lines []string
		good  bool
	}{
		"whole":                  {whole, true},
		"in two pieces":          {[]string{request, rest, write, begun, "9 fsync(5</d/db>) = 0", resumed, answer}, true},
		"two writes, one sync":   {[]string{request, rest, write, write, sync, answer}, true},
		"two syncs":              {[]string{request, rest, write, sync, write, sync, answer}, true},
		"reply before sync":      {[]string{request, rest, write, answer, sync}, false},
		"sync not over":          {[]string{request, rest, write, begun, answer, resumed}, false},
		"sync never over":        {[]string{request, rest, write, begun, answer}, false},
		"sync before write":      {[]string{request, rest, sync, write, answer}, false},
		"sync begun before":      {[]string{request, rest, begun, "9 pwrite64(4</d/db-wal>, \"\"..., 4120, 32) = 4120", resumed, answer}, false},
		"second write not safe":  {[]string{request, rest, write, sync, write, answer}, false},
		"no sync":                {[]string{request, rest, write, answer}, false},
		"no write":               {[]string{request, rest, sync, answer}, false},
		"other file":             {[]string{request, rest, write, strings.ReplaceAll(sync, "db-wal", "db"), answer}, false},
		"sync failed":            {[]string{request, rest, write, strings.ReplaceAll(sync, "= 0", "= -1 EIO (Input/output error)"), answer}, false},
		"sync of the handshake":  {[]string{request, write, sync, answer, rest, answer}, false},
		"other client's request": {[]string{strings.ReplaceAll(request, ":2]", ":3]"), write, sync, answer}, false},
	} {
		calls, err := readTrace(strings.NewReader(strings.Join(c.lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		r, err := lastReply(calls, "127.0.0.1:2")
		v := durable(calls, "/d/db-wal", r)
		if good := err == nil && v.why == ""; good != c.good {
			t.Errorf("%s: good is %v: %v, %+v", name, good, err, v)
		}
		if crowded := name == "second write not safe"; crowded != v.crowded && !c.good {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if _, err := readTrace(strings.NewReader("nonsense")); err == nil {
		t.Error("a line without a process id was read")
	}
	if calls, err := readTrace(strings.NewReader(strings.Join(slices.Concat(whole, []string{"7 +++ exited with 0 +++"}), "\n"))); err != nil || len(calls) != len(whole) {
		t.Errorf("%d calls, %v", len(calls), err)
	}
}
