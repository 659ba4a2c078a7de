package chaos

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// cut is what a proxy does to a COMMIT of the ledger and its connection.
type cut int

const (
	pass      cut = iota
	cutBefore     // the connection breaks, the server never gets it
	cutAfter      // the server does it, its answer never arrives
	cuts
)

// proxy stands between the daemon and Postgres. It follows the protocol far
// enough to know a COMMIT, prepared or not, and cuts some of them.
type proxy struct {
	listener net.Listener
	server   string
	all      sync.WaitGroup
	mu       sync.Mutex
	every    int // of so many commits one is cut; 0: none
	left     int // cuts to make
	seen     int
	done     [cuts]int
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: server}
	p.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { l.Close(); p.all.Wait() })
	return p
}

// arm cuts one of every commits until n were cut, before and after in turn.
func (p *proxy) arm(every, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every, p.left = every, n
}

// next decides about one commit.
func (p *proxy) next() cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	if p.left == 0 || p.seen%p.every != 0 {
		return pass
	}
	p.left--
	c := cutBefore
	if p.left%2 == 0 {
		c = cutAfter
	}
	p.done[c]++
	return c
}

func (p *proxy) made() (before, after, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done[cutBefore], p.done[cutAfter], p.left
}

// frame reads one message: a type, but for the first of a connection, and a
// length that counts itself (PostgreSQL manual, section "Message Formats").
func frame(r *bufio.Reader, typed bool) (all []byte, err error) {
	head := make([]byte, 4, 5)
	if typed {
		head = head[:5]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[len(head)-4:])
	if size < 4 || size > 1<<26 {
		return nil, errors.New("a message of an impossible length")
	}
	all = make([]byte, len(head)+int(size)-4)
	copy(all, head)
	_, err = io.ReadFull(r, all[len(head):])
	return all, err
}

// serve passes one connection on until it breaks or is cut.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	swallow, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer client.Close()
		answers(server, client, swallow)
	}()
	defer func() { <-done }()
	defer server.Close()
	in, commits := bufio.NewReaderSize(client, 1<<16), commits{}
	for typed := false; ; typed = true {
		message, err := frame(in, typed)
		if err != nil {
			return
		}
		if typed && commits.is(message) {
			switch p.next() {
			case cutBefore:
				return
			case cutAfter:
				close(swallow)
				server.Write(message)
				io.Copy(server, in) // its execution; ends when answers closes the client
				<-done
				return
			}
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// answers passes what the server says until swallow is closed; from then on it
// waits for the end of the commit and says nothing.
func answers(server, client net.Conn, swallow chan struct{}) {
	in := bufio.NewReaderSize(server, 1<<16)
	for {
		message, err := frame(in, true)
		if err != nil {
			return
		}
		select {
		case <-swallow:
			if message[0] == 'C' && bytes.Contains(message, []byte("COMMIT\x00")) || message[0] == 'E' {
				return
			}
			continue
		default:
		}
		if _, err := client.Write(message); err != nil {
			return
		}
	}
}

// commits follows a connection's statements to tell the commit of a batch of
// the ledger from that of a background job.
type commits struct {
	texts map[string][]byte // of prepared statements, by name
	batch bool              // a batch was written to since the last commit
}

// is tells whether a message asks for the commit of a batch: a Query with that
// text, or a Bind of a statement to which a Parse gave it.
func (c *commits) is(message []byte) bool {
	kind, body := message[0], message[5:]
	first, rest, _ := bytes.Cut(body, []byte{0})
	second, _, _ := bytes.Cut(rest, []byte{0})
	var text []byte
	switch kind {
	case 'P': // statement's name, text
		if c.texts == nil {
			c.texts = map[string][]byte{}
		}
		c.texts[string(first)] = bytes.Clone(second)
		return false
	case 'Q':
		text = first
	case 'B': // portal, statement's name
		text = c.texts[string(second)]
	}
	switch {
	case bytes.Contains(text, []byte("insert into enrollgate.batches")):
		c.batch = true
	case bytes.EqualFold(bytes.TrimSpace(text), []byte("commit")):
		was := c.batch
		c.batch = false
		return was
	}
	return false
}
