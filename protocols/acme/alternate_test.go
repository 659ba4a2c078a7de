package acme

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestAlternateChains: other chains are linked from the certificate and from
// each other, and begin with the same certificate (RFC 8555 section 7.4.2).
func TestAlternateChains(t *testing.T) {
	b := newBench(t)
	other := [][]byte{{0x30, 0x03, 0x02, 0x01, 0x07}}
	b.door.Alternates = func(tenant, authority string, chain [][]byte) [][][]byte {
		if tenant != "one" || authority != "issuing" || len(chain) == 0 {
			t.Errorf("asked for %s/%s %x", tenant, authority, chain)
		}
		return [][][]byte{other}
	}
	c := b.registered("one")
	der, url := c.issue(fixture.Key(t), "alternate.example")
	own, second := c.post(url, ""), c.post(url+"/1", "")
	for _, got := range []struct {
		reply
		link string
	}{{own, "<" + url + `/1>;rel="alternate"`}, {second, "<" + url + `>;rel="alternate"`}} {
		links := got.header.Values("Link")
		if got.status != http.StatusOK || !slices.Contains(links, got.link) {
			t.Errorf("%d %q, want %s", got.status, links, got.link)
		}
	}
	if want := bundle(der, other); !bytes.Equal(second.body, want) {
		t.Errorf("the other chain is\n%s\nwant\n%s", second.body, want)
	}
	for _, path := range []string{"/0", "/2", "/01", "/x", "/-1"} {
		if got := c.post(url+path, ""); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}
