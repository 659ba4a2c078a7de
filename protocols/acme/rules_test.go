package acme

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// The interop rules are what runs of real clients against other servers taught;
// the numbers are those of the project's list.

// TestRetryAfterIsSeconds (interop rule 3): an HTTP-date kills clients. Every place
// that sets the header takes it from seconds, which writes digits; and every
// reply that any test of this package gets is looked at in client.send.
func TestRetryAfterIsSeconds(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, `"Retry-After"`) {
				continue
			}
			if places++; !strings.Contains(line, `w.Header().Set("Retry-After", seconds(`) {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
	if places < 5 {
		t.Errorf("%d places set the header", places)
	}
	for d, want := range map[time.Duration]string{0: "0", 1: "1", time.Second: "1", time.Second + 1: "2", 1500 * time.Millisecond: "2", 6 * time.Hour: "21600", math.MaxInt64: "9223372037"} {
		if got := seconds(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

// TestYearOne (interop rule 4): notBefore and notAfter of the year 1 mean that
// nothing is asked for, in whatever zone they are written.
func TestYearOne(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	for _, at := range []string{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00+01:00", "0001-12-31T23:59:59Z", ""} {
		r := c.post(c.base+"/new-order", fmt.Sprintf(`{"identifiers":[{"type":"dns","value":"host.example"}],"notBefore":%q,"notAfter":%q}`, at, at))
		var o orderObject
		r.into(t, &o)
		if r.status != http.StatusCreated || strings.Contains(string(r.body), "notBefore") || strings.Contains(string(r.body), "notAfter") {
			t.Fatalf("%q: %d %s", at, r.status, r.body)
		}
		url := r.header.Get("Location")
		o = c.prove(url, o)
		c.post(o.Finalize, `{"csr":"`+c.csr("", "host.example")+`"}`)
		if o = c.settled(url); o.Status != state.Valid {
			t.Errorf("%q: the order is %s", at, o.Status)
			continue
		}
		if leaf := b.checkChain(decodePEM(c.post(o.Certificate, "").body), "host.example"); time.Until(leaf.NotAfter) < 24*time.Hour {
			t.Errorf("%q: the certificate ends on %s", at, leaf.NotAfter)
		}
	}
	if r := c.post(c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"host.example"}],"notAfter":"0002-01-01T00:00:00Z"}`); r.status == http.StatusCreated && !strings.Contains(string(r.body), "notAfter") {
		t.Errorf("the year 2 is taken for nothing, too: %s", r.body)
	}
}

// TestChallengesInOrder (interop rule 5): http-01 is first wherever it is offered,
// every challenge has a token, and only types that are configured are offered.
func TestChallengesInOrder(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	_, o := c.order("host.example", "*.host.example", "xn--bcher-kva.example")
	for i, url := range o.Authorizations {
		var a authorizationObject
		c.post(url, "").into(t, &a)
		first := claim.HTTP01
		if a.Wildcard {
			first = claim.DNS01
		}
		if len(a.Challenges) == 0 || a.Challenges[0].Type != string(first) {
			t.Errorf("authorization %d offers %+v", i, a.Challenges)
		}
		for _, ch := range a.Challenges {
			if len(ch.Token) < 22 || b.door.Validators[claim.Method(ch.Type)] == nil { // 128 bits (RFC 8555 section 8.1)
				t.Errorf("authorization %d offers %+v", i, ch)
			}
		}
	}
}

// TestNoncesLive (interop rule 6): some clients take the nonce of an hour ago and
// never try again. It is good on the replica that made it, on another one and
// after a restart.
func TestNoncesLive(t *testing.T) {
	var late atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	for _, where := range []string{"the same replica", "another replica", "after a restart"} {
		b := newBenchWith(t, openSQLite(t), further{now: now})
		c := b.registered("one")
		nonce := c.freshNonce()
		by := *c
		switch where {
		case "another replica":
			by.b = b.twin()
		case "after a restart":
			by.b = b.twin()
			b.door.Close(t.Context())
			b.server.Close()
		}
		late.Add(int64(61 * time.Minute))
		if r := by.send(c.kid, by.sign(nonce, c.kid, "")); r.status != http.StatusOK {
			t.Errorf("%s: an hour later: %d %s", where, r.status, r.body)
		}
		if r := by.send(c.kid, by.sign(nonce, c.kid, "")); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeBadNonce {
			t.Errorf("%s: again: %d %s", where, r.status, r.body)
		}
	}
}
