package acme

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// renewalIDOf makes the id of a certificate as a client does (RFC 9773 section 4.1).
func renewalIDOf(t *testing.T, der []byte) string {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString(c.AuthorityKeyId) + "." + enc.EncodeToString(c.SerialNumber.Bytes())
}

// ask sends a request that nobody signs.
func (b *bench) ask(method, url string) reply {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), method, url, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.server.Client().Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := readAll(resp)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, body}
}

func TestRenewalInfo(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			b := newBenchOn(t, open(t))
			c, key := b.registered("one"), fixture.Key(t)
			der, _ := c.issue(key, "host.example")
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			url := c.base + "/renewal-info/" + renewalIDOf(t, der)
			read := func() (o renewalObject) {
				t.Helper()
				r := b.ask(http.MethodGet, url)
				if r.status != http.StatusOK || r.header.Get("Retry-After") != "21600" || r.header.Get("Content-Type") != "application/json" || r.header.Get("Replay-Nonce") == "" {
					t.Fatalf("%d %v %s", r.status, r.header, r.body)
				}
				r.into(t, &o)
				return o
			}
			first := read()
			third := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
			if w := first.SuggestedWindow; w.Start.Before(third.Add(-time.Second)) || !w.Start.Before(w.End) || !w.End.Before(leaf.NotAfter) || first.ExplanationURL != "" {
				t.Errorf("window %v in the validity from %s to %s", w, leaf.NotBefore, leaf.NotAfter)
			}
			if r := b.ask(http.MethodHead, url); r.status != http.StatusOK || len(r.body) != 0 {
				t.Errorf("HEAD: %d %s", r.status, r.body)
			}
			serial := ca.Serial(leaf.SerialNumber.FillBytes(make([]byte, ca.SerialSize)))
			soon := time.Now().UTC().Truncate(time.Second)
			window := ca.RenewalWindow{Tenant: "one", CA: "issuing", Serial: serial, Start: soon, End: soon.Add(time.Hour), Explanation: "https://why.example/", Expires: leaf.NotAfter}
			if err := b.store.SetRenewalWindows(t.Context(), "one", []ca.RenewalWindow{window}, ca.Audit{Tenant: "one", Event: "renewal.asked", Actor: "test"}); err != nil {
				t.Fatal(err)
			}
			if read() != first {
				t.Error("a moment later the answer was another, without a new question to the store")
			}
			b.door.renewals = newRenewals(time.Now) // as after 10 s
			if o := read(); !o.SuggestedWindow.Start.Equal(soon) || !o.SuggestedWindow.End.Equal(soon.Add(time.Hour)) || o.ExplanationURL != "https://why.example/" {
				t.Errorf("after an operator set a window: %+v", o)
			}
			if r := c.revoke(der, ""); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			b.door.renewals = newRenewals(time.Now)
			if o := read(); !o.SuggestedWindow.End.Before(time.Now()) || !o.SuggestedWindow.Start.Before(o.SuggestedWindow.End) {
				t.Errorf("a revoked certificate is to be renewed in %+v", o)
			}
		})
	}
}

// counting counts how often the ledger is asked for a certificate.
type counting struct {
	Certificates
	asked int
	err   error
}

func (c *counting) Certificate(ctx context.Context, tenant, id string, s ca.Serial) (*ca.Certificate, error) {
	c.asked++
	if c.err != nil {
		return nil, c.err
	}
	return c.Certificates.Certificate(ctx, tenant, id, s)
}

// TestRenewalInfoMadeUp: ids that no certificate has cost no more than one
// question to the store, and most cost none.
func TestRenewalInfoMadeUp(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	der, _ := c.issue(fixture.Key(t), "host.example")
	store := &counting{Certificates: b.door.Certificates}
	b.door.Certificates = store
	real := renewalIDOf(t, der)
	keyID, serial, _ := strings.Cut(real, ".")
	other := ca.NewSerial(time.Now().Add(time.Hour))
	madeUp := keyID + "." + base64.RawURLEncoding.EncodeToString(other[:])
	for id, questions := range map[string]int{
		"": 0, ".": 0, "x": 0, keyID: 0, keyID + ".": 0, "." + serial: 0, real + ".x": 0, real + "=": 0, keyID + "." + serial[:10]: 0,
		"AAAA." + serial: 0, keyID + ".AAAA": 0, keyID + "." + serial + "AAAA": 0, strings.Repeat("A", 300) + "." + serial: 0, real + "%2E": 0,
		madeUp: 1,
	} {
		for range 3 {
			before := store.asked
			if r := b.ask(http.MethodGet, c.base+"/renewal-info/"+id); r.status != http.StatusNotFound || r.problem(t).Type != urn+typeMalformed {
				t.Errorf("%q: %d %s", id, r.status, r.body)
			}
			if store.asked-before != questions {
				t.Errorf("%q: %d questions to the store", id, store.asked-before)
			}
			questions = 0 // the answer is remembered
		}
	}
	for range renewalsAtOnce {
		b.door.renewals.slots <- struct{}{}
	}
	if r := b.ask(http.MethodGet, c.base+"/renewal-info/"+real); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
		t.Errorf("with every slot taken: %d %s", r.status, r.body)
	}
	waits, third := make(chan reply), ca.NewSerial(time.Now().Add(time.Hour))
	go func() {
		waits <- b.ask(http.MethodGet, c.base+"/renewal-info/"+keyID+"."+base64.RawURLEncoding.EncodeToString(third[:]))
	}()
	<-b.door.renewals.slots
	if r := <-waits; r.status != http.StatusNotFound {
		t.Errorf("with a slot that became free: %d %s", r.status, r.body)
	}
	for range renewalsAtOnce - 1 {
		<-b.door.renewals.slots
	}
	store.err = ca.UnavailableError(errors.New("the store is away"), time.Second)
	if r := b.ask(http.MethodGet, c.base+"/renewal-info/"+real); r.status != http.StatusServiceUnavailable {
		t.Errorf("without the store: %d", r.status)
	}
	store.err = nil
	if r := b.ask(http.MethodGet, c.base+"/renewal-info/"+real); r.status != http.StatusOK {
		t.Errorf("a failure was remembered: %d", r.status)
	}
}

// replacing opens an order that replaces a certificate.
func (c *client) replacing(id string, names ...string) (string, orderObject, reply) {
	c.b.t.Helper()
	var ids []state.Identifier
	for _, n := range names {
		ids = append(ids, state.Identifier{Type: "dns", Value: n})
	}
	return c.open(map[string]any{"replaces": id}, ids...)
}

// TestReplaces: a certificate has one successor, which its own account orders for
// one of its names, and of two that are ordered the first that is issued is it.
func TestReplaces(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			b := newBenchOn(t, open(t))
			c, other := b.registered("one"), b.registered("one")
			der, _ := c.issue(fixture.Key(t), "host.example")
			id := renewalIDOf(t, der)
			if _, _, r := other.replacing(id, "host.example"); r.status != http.StatusNotFound {
				t.Errorf("another account: %d %s", r.status, r.body)
			}
			if _, _, r := c.replacing(id, "third.example"); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeMalformed {
				t.Errorf("another name: %d %s", r.status, r.body)
			}
			var urls []string
			var orders []orderObject
			for range 2 {
				url, o, r := c.replacing(id, "host.example", "third.example")
				if r.status != http.StatusCreated || o.Replaces != id {
					t.Fatalf("%d %s", r.status, r.body)
				}
				if o = c.prove(url, o); o.Status != state.Ready || o.Replaces != id {
					t.Fatalf("%s, replaces %q", o.Status, o.Replaces)
				}
				urls, orders = append(urls, url), append(orders, o)
			}
			finish := func(o orderObject) reply {
				return c.post(o.Finalize, fmt.Sprintf(`{"csr":%q}`, c.csr("", "host.example", "third.example")))
			}
			if r := finish(orders[0]); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if r := finish(orders[0]); r.status != http.StatusOK { // a client that lost the answer
				t.Errorf("the same again: %d %s", r.status, r.body)
			}
			if r := finish(orders[1]); r.status != http.StatusConflict || r.problem(t).Type != urn+typeAlreadyReplaced {
				t.Errorf("a second successor: %d %s", r.status, r.body)
			}
			var o orderObject
			if c.post(urls[1], "").into(t, &o); o.Status != state.Ready || o.Certificate != "" {
				t.Errorf("the order of the second successor is %s", o.Status)
			}
			if _, _, r := c.replacing(id, "host.example"); r.status != http.StatusConflict || r.problem(t).Type != urn+typeAlreadyReplaced {
				t.Errorf("a third: %d %s", r.status, r.body)
			}
		})
	}
}

func FuzzSplitRenewalID(f *testing.F) {
	for _, id := range []string{"", ".", "AA.", renewalID([]byte{1, 2, 3}, ca.Serial{0x5f, 1}), renewalID([]byte{1}, ca.Serial{0x80}), "AA.AA.AA", "AB.X6E7B8LZ6IQfYKWyxNbn-A"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		keyID, serial, ok := splitRenewalID(id)
		if ok && renewalID(keyID, serial) != id {
			t.Errorf("%q is another way to write %q", id, renewalID(keyID, serial))
		}
		if !ok && keyID != nil {
			t.Errorf("%q is none and yet names a key", id)
		}
	})
}
