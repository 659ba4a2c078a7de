package chaos

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// call is one system call of a trace. began and ended are places in the order
// of the trace: a call that strace shows on one line has both in one place.
type call struct {
	name   string
	file   string // what its descriptor is: a path, or TCP:[here->there]
	result int64
	began  int
	ended  int // 0: the trace has no end of it
}

var (
	wholeCall   = regexp.MustCompile(`^(\w+)\(\d+<(TCP:\[[^]]*\]|[^>]*)>.*\) += (-?\d+)`)
	startedCall = regexp.MustCompile(`^(\w+)\(\d+<(TCP:\[[^]]*\]|[^>]*)>.* <unfinished \.\.\.>$`)
	resumedCall = regexp.MustCompile(`^<\.\.\. (\w+) resumed>.*\) += (-?\d+)`)
)

// readTrace reads what `strace -f -yy` wrote: a process id and a call on each
// line. Calls whose first argument is no descriptor are left out.
func readTrace(r io.Reader) (all []*call, err error) {
	open := map[string]*call{} // by process id
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		pid, text, found := strings.Cut(lines.Text(), " ")
		text = strings.TrimLeft(text, " ")
		if !found {
			return nil, fmt.Errorf("line %d of the trace has no process id: %q", n, lines.Text())
		}
		if m := startedCall.FindStringSubmatch(text); m != nil {
			c := &call{name: m[1], file: m[2], began: n}
			open[pid] = c
			all = append(all, c)
		} else if m := resumedCall.FindStringSubmatch(text); m != nil {
			c := open[pid]
			delete(open, pid)
			if c == nil || c.name != m[1] {
				continue // one whose first argument is no descriptor
			}
			c.ended = n
			if c.result, err = strconv.ParseInt(m[2], 10, 64); err != nil {
				return nil, err
			}
		} else if m := wholeCall.FindStringSubmatch(text); m != nil {
			c := &call{name: m[1], file: m[2], began: n, ended: n}
			if c.result, err = strconv.ParseInt(m[3], 10, 64); err != nil {
				return nil, err
			}
			all = append(all, c)
		}
	}
	return all, lines.Err()
}

// reply is where a trace shows one exchange with a client: the last of the
// request arrives, the first of the answer leaves.
type reply struct{ arrived, left int }

// smallest is more octets than a TLS alert takes, and fewer than any request.
const smallest = 64

// lastReply finds the last exchange on the connection from a client's address.
func lastReply(calls []*call, client string) (r reply, err error) {
	peer := "->" + client + "]"
	for _, c := range calls {
		if c.name == "read" && c.ended > 0 && c.result > smallest && strings.HasSuffix(c.file, peer) {
			r.arrived = c.ended
		}
	}
	if r.arrived == 0 {
		return r, fmt.Errorf("nothing arrives from %s", client)
	}
	for _, c := range calls {
		if c.name == "write" && c.began > r.arrived && strings.HasSuffix(c.file, peer) {
			r.left = c.began
			return r, nil
		}
	}
	return r, fmt.Errorf("nothing leaves to %s after its last request", client)
}

// verdict is what a trace shows about one reply.
type verdict struct {
	why     string // what is missing; "" for nothing
	crowded bool   // something is missing, but an earlier write of the log was synced in time
}

// durable tells whether what was written to a file for a request was on disk
// before its reply left: between the request and the reply the file was written
// to, and after the last of these writes a sync of it began and ended well. The
// daemon's heartbeat writes to the same file, so a trace where an earlier write
// was synced and a later one was not says little: that is crowded.
func durable(calls []*call, file string, r reply) (v verdict) {
	written, synced, failed := 0, false, false
	for _, c := range calls {
		if c.file != file || c.began <= r.arrived || c.began >= r.left {
			continue
		}
		inTime := c.ended > 0 && c.ended < r.left
		switch c.name {
		case "pwrite64", "write":
			v.crowded = v.crowded || synced
			synced = false
			if written = max(written, c.ended); !inTime {
				written = r.left
			}
		case "fsync", "fdatasync":
			failed = failed || c.result != 0
			synced = synced || written > 0 && c.began > written && inTime && c.result == 0
		}
	}
	switch {
	case written == 0:
		return verdict{why: "the log is not written to between request and reply"}
	case failed:
		return verdict{why: "a sync of the log failed"}
	case synced:
		return verdict{}
	}
	v.why = "no sync of the log began after its last write and ended before the reply"
	return v
}
