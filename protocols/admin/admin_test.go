package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

type in struct {
	Word string `json:"word"`
}

type out struct {
	Word  string `json:"word"`
	Actor string `json:"actor"`
}

// bench is a server on a socket with a few operations.
type bench struct {
	socket string
	mu     sync.Mutex
	notes  []ca.Audit
	ran    int
}

func start(t *testing.T, uids ...int) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "eg") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &bench{socket: filepath.Join(dir, "s")}
	s, err := New(Options{UIDs: uids, Callers: caller.NewVerifier(caller.Operator), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Now: time.Now, Note: func(a ca.Audit) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notes = append(b.notes, a)
		},
		Operations: []Operation{
			Op("/v1/word/echo", func(_ context.Context, by Actor, w in) (out, error) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.ran++
				actor, err := by.For(ca.Installation)
				return out{w.Word, actor.ID()}, err
			}),
			Op("/v1/word/refuse", func(context.Context, Actor, in) (out, error) {
				return out{}, ca.Wrap(ca.Conflict, errors.New("an inner secret"), "the word is taken")
			}),
			Op("/v1/word/break", func(context.Context, Actor, in) (out, error) { panic("broken") }),
		}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(b.socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", b.socket)
	}}}
}

func TestCall(t *testing.T) {
	b := start(t, os.Getuid())
	var got out
	if err := Call(t.Context(), b.socket, "/v1/word/echo", in{"hello"}, &got); err != nil {
		t.Fatal(err)
	}
	if got.Word != "hello" || got.Actor != "operator:"+userName(os.Getuid()) {
		t.Errorf("got %+v", got)
	}
	var e *ca.Error
	err := Call(t.Context(), b.socket, "/v1/word/refuse", in{}, &got)
	if !errors.As(err, &e) || e.Kind != ca.Conflict || e.Public != "the word is taken" || len(e.Trace) != 10 || Absent(err) {
		t.Errorf("refused: %v", err)
	}
	if err := Call(t.Context(), b.socket, "/v1/word/break", in{}, &got); !ca.IsKind(err, ca.Internal) {
		t.Errorf("panic: %v", err)
	}
	if err := Call(t.Context(), b.socket, "/v1/word/echo", in{"still here"}, &got); err != nil {
		t.Errorf("after a panic: %v", err)
	}
	if err := Call(t.Context(), b.socket+"x", "/v1/word/echo", in{}, &got); !Absent(err) {
		t.Errorf("no socket: %v", err)
	}
	if err := Call(t.Context(), "/tmp/"+strings.Repeat("x", 120), "/v1/word/echo", in{}, &got); !Absent(err) {
		t.Errorf("a path that no socket can have: %v", err)
	}
}

// TestDefaultDeny: only what is in the table is served, and only by POST.
func TestDefaultDeny(t *testing.T) {
	b := start(t, os.Getuid())
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/v1/word/echo", `{"word":"x"}`, 200},
		{"GET", "/v1/word/echo", "", 405},
		{"DELETE", "/v1/word/echo", "", 405},
		{"POST", "/v1/word/ECHO", `{}`, 404},
		{"POST", "/v1/word/echo/", `{}`, 404},
		{"POST", "/v1/word", `{}`, 404},
		{"POST", "/", `{}`, 404},
		{"GET", "/debug/pprof/", "", 404},
		{"POST", "/v1/word/echo", "", 400},
		{"POST", "/v1/word/echo", `[]`, 400},
		{"POST", "/v1/word/echo", `{"word":1}`, 400},
		{"POST", "/v1/word/echo", `{"unknown":"x"}`, 400},
		{"POST", "/v1/word/echo", `{"word":"x"} {}`, 400},
		{"POST", "/v1/word/echo", `{"word":"` + strings.Repeat("x", MaxBody) + `"}`, 413},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://x"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := b.client().Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != c.want || answer.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %.20q: %d %s, want %d; %v", c.method, c.path, c.body, answer.StatusCode, body, c.want, err)
		}
	}
	if b.ran != 1 {
		t.Errorf("an operation ran %d times, want once", b.ran)
	}
}

// TestOtherUserRefused: whoever is not in the list is refused whatever is asked,
// and that is noted for the audit trail.
func TestOtherUserRefused(t *testing.T) {
	b := start(t, os.Getuid()+1)
	for _, path := range []string{"/v1/word/echo", "/no/such/path"} {
		if err := Call(t.Context(), b.socket, path, in{"x"}, new(out)); !ca.IsKind(err, ca.BadProof) {
			t.Errorf("%s: %v", path, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ran != 0 || len(b.notes) != 2 || b.notes[0].Event != "admin.refused" || !strings.Contains(string(b.notes[0].Detail), `"uid":`+strconv.Itoa(os.Getuid())) {
		t.Errorf("ran %d, notes %+v", b.ran, b.notes)
	}
}

// TestNobody connects as another user of the machine. As root both borders are
// tried: the mode of the socket, and behind it the peer's credentials.
func TestNobody(t *testing.T) {
	b := start(t, os.Getuid())
	if info, err := os.Stat(b.socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if os.Getuid() != 0 {
		return // nobody else can be played
	}
	connect := func() string {
		cmd := exec.CommandContext(t.Context(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
			"curl", "-s", "-S", "--max-time", "10", "--unix-socket", b.socket, "-d", `{"word":"x"}`, "http://x/v1/word/echo")
		text, err := cmd.CombinedOutput()
		if err != nil && len(text) == 0 {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := os.Chmod(filepath.Dir(b.socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := connect(); strings.Contains(got, "operator") || strings.Contains(got, `"kind"`) {
		t.Errorf("mode 0600 let somebody else in: %s", got)
	}
	if err := os.Chmod(b.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := connect(); !strings.Contains(got, "own user and root") {
		t.Errorf("behind an open mode: %s", got)
	}
	if b.ran != 0 {
		t.Errorf("an operation ran")
	}
}

// TestListen: a dead daemon's socket is replaced, a living one's and a file are not.
func TestListen(t *testing.T) {
	b := start(t, os.Getuid())
	if l, err := Listen(b.socket); err == nil {
		l.Close()
		t.Error("a socket that is answered was taken over")
	}
	dead := b.socket + "dead"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	again, err := Listen(dead)
	if err != nil {
		t.Fatalf("a dead daemon's socket: %v", err)
	}
	again.Close()
	file := b.socket + "file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil {
		t.Error("a file was taken for a socket")
	}
	if _, err := Listen("/tmp/" + strings.Repeat("x", 120)); err == nil {
		t.Error("a path that is too long")
	}
}

func TestNewRefusesTables(t *testing.T) {
	op := Op("/v1/a/b", func(context.Context, Actor, in) (out, error) { return out{}, nil })
	o := Options{UIDs: []int{0}, Callers: caller.NewVerifier(caller.Operator), Log: slog.New(slog.DiscardHandler), Note: func(ca.Audit) {}, Now: time.Now}
	for name, table := range map[string][]Operation{"twice": {op, op}, "empty": {{Path: "/v1/x/y"}}} {
		o.Operations = table
		if _, err := New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
