package acme

import (
	"bytes"
	"encoding/base64"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

func nonceKey(version uint32) NonceKey {
	return NonceKey{Version: version, Secret: bytes.Repeat([]byte{byte(version)}, 32)}
}

// keysOf gives the last key as the current one.
func keysOf(all ...NonceKey) NonceKeys {
	return func() (NonceKey, []NonceKey) { return all[len(all)-1], all }
}

func TestNonce(t *testing.T) {
	now := time.Unix(1800000000, 999)
	n := newNoncer(keysOf(nonceKey(1)), func() time.Time { return now })
	seen := make(map[string]bool)
	ids := make(map[[16]byte]bool)
	for range 1000 {
		nonce := n.mint()
		id, expiry, err := n.check(nonce)
		if err != nil {
			t.Fatal(err)
		}
		if len(nonce) != 48 || seen[nonce] || ids[id] || expiry.Unix() != now.Unix()+7200 {
			t.Fatalf("nonce %s, id %x, expires %s", nonce, id, expiry)
		}
		if _, err := decodeBase64URL(nonce); err != nil {
			t.Fatal(err)
		}
		seen[nonce], ids[id] = true, true
	}
}

func TestNonceAge(t *testing.T) {
	now := time.Unix(1800000000, 0)
	n := newNoncer(keysOf(nonceKey(1)), func() time.Time { return now })
	nonce, minted := n.mint(), now
	first, _, err := n.check(nonce)
	if err != nil {
		t.Fatal(err)
	}
	for after, valid := range map[time.Duration]bool{
		0: true, time.Hour: true, 2*time.Hour - time.Second: true, 2 * time.Hour: false, 1000 * time.Hour: false,
		-2 * time.Minute: true, -2*time.Minute - time.Second: false, -1000 * time.Hour: false,
	} {
		now = minted.Add(after)
		id, _, err := n.check(nonce)
		if valid {
			if err != nil || id != first {
				t.Errorf("after %s: %v", after, err)
			}
			continue
		}
		wantRefusal(t, err, ca.BadProof, "badNonce", "try again")
		if id != [16]byte{} {
			t.Errorf("after %s: an id comes with the error", after)
		}
	}
}

// Another replica, a restart and a rotated key all still know a nonce; a withdrawn
// key and another installation do not.
func TestNonceKeys(t *testing.T) {
	now := func() time.Time { return time.Unix(1800000000, 0) }
	nonce := newNoncer(keysOf(nonceKey(1)), now).mint()
	for name, keys := range map[string]NonceKeys{"replica": keysOf(nonceKey(1)), "rotated": keysOf(nonceKey(1), nonceKey(2)), "twice": keysOf(nonceKey(3), nonceKey(1), nonceKey(2))} {
		if _, _, err := newNoncer(keys, now).check(nonce); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, keys := range map[string]NonceKeys{"withdrawn": keysOf(nonceKey(2)), "foreign": keysOf(NonceKey{Version: 1, Secret: make([]byte, 32)}), "none": func() (NonceKey, []NonceKey) { return NonceKey{}, nil }} {
		_, _, err := newNoncer(keys, now).check(nonce)
		t.Run(name, func(t *testing.T) { wantRefusal(t, err, ca.BadProof, "badNonce", "try again") })
	}
	rotated := newNoncer(keysOf(nonceKey(1), nonceKey(2)), now)
	if _, _, err := newNoncer(keysOf(nonceKey(2)), now).check(rotated.mint()); err != nil {
		t.Errorf("the current key did not mint: %v", err)
	}
}

func TestNonceForged(t *testing.T) {
	n := newNoncer(keysOf(nonceKey(1)), func() time.Time { return time.Unix(1800000000, 0) })
	nonce := n.mint()
	raw, err := decodeBase64URL(nonce)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			_, _, err := n.check(base64.RawURLEncoding.EncodeToString(raw))
			wantRefusal(t, err, ca.BadProof, "badNonce", "try again")
			raw[i] ^= 1 << bit
		}
	}
	for _, bad := range []string{"", nonce[1:], nonce + "A", nonce + "\n", "\n" + nonce[1:], nonce[:47] + "=", nonce[:47] + "+"} {
		_, _, err := n.check(bad)
		wantRefusal(t, err, ca.BadProof, "badNonce", "try again")
	}
}

func FuzzNonce(f *testing.F) {
	now := time.Unix(1800000000, 0)
	n := newNoncer(keysOf(nonceKey(1), nonceKey(2)), func() time.Time { return now })
	good := n.mint()
	for _, seed := range []string{good, good[:47], good + "A", "", "AQAAAAEAa0nSAA", "AQAAAAIAa0nSAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, nonce string) {
		id, expiry, err := n.check(nonce)
		if err != nil {
			if e := ca.AsError(err); e.Field != "badNonce" || e.Kind != ca.BadProof {
				t.Errorf("refused with %#v", e)
			}
			return
		}
		// Nobody guesses a MAC: what is accepted came from mint, in one spelling.
		raw, err := base64.RawURLEncoding.DecodeString(nonce)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw) != nonce || [5]byte(id[:]) != [5]byte(raw[5:]) || [11]byte(id[5:]) != [11]byte(raw[20:]) || !expiry.After(now) {
			t.Errorf("accepted %q", nonce)
		}
	})
}

func TestStruckSet(t *testing.T) {
	now := time.Unix(1800000000, 0)
	s := newStruckSet(0, func() time.Time { return now })
	id, expiry := [16]byte{15: 1}, now.Add(2*time.Hour)
	if s.has(id, expiry) || !s.strike(id, expiry) || !s.has(id, expiry) || s.strike(id, expiry) || s.has([16]byte{15: 2}, expiry) {
		t.Error("an id is struck once")
	}
	now = expiry.Add(-time.Second)
	if s.strike(id, expiry) {
		t.Error("forgotten before it expired")
	}
	now = expiry
	if s.strike(id, expiry) || s.strike([16]byte{15: 9}, expiry) {
		t.Error("an expired id was taken")
	}
	now = expiry.Add(time.Minute)
	if !s.strike([16]byte{1, 15: 1}, now.Add(time.Hour)) || s.has(id, expiry) || s.shards[1].count != 1 {
		t.Error("an expired id was kept")
	}
}

func TestStruckSetIsBounded(t *testing.T) {
	now := time.Unix(1800000000, 0)
	s := newStruckSet(160, func() time.Time { return now })
	idOf := func(minute, n int) [16]byte { return [16]byte{byte(minute), byte(n)} }
	for minute := range 20 {
		for n := range 3 {
			if !s.strike(idOf(minute, n), now.Add(time.Duration(minute+1)*time.Minute)) {
				t.Fatalf("minute %d, %d: refused", minute, n)
			}
			count := 0
			for _, ids := range s.shards[0].minutes {
				count += len(ids)
			}
			if count > 10 || count != s.shards[0].count {
				t.Fatalf("%d ids kept, %d counted", count, s.shards[0].count)
			}
		}
	}
	for minute := range 20 {
		if got, want := s.has(idOf(minute, 2), now.Add(time.Duration(minute+1)*time.Minute)), minute >= 17; got != want {
			t.Errorf("minute %d: remembered is %v", minute, got)
		}
	}
	for n := range 200 { // one minute alone overflows
		if !s.strike([16]byte{byte(n), 15: 1}, now.Add(time.Hour)) {
			t.Fatal("refused")
		}
	}
	if s.shards[1].count > 10 {
		t.Errorf("%d ids kept", s.shards[1].count)
	}
}

// Of many goroutines that strike one id, one succeeds.
func TestStruckSetConcurrently(t *testing.T) {
	now := time.Unix(1800000000, 0)
	s := newStruckSet(0, func() time.Time { return now })
	n := newNoncer(keysOf(nonceKey(1)), func() time.Time { return now })
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := make(map[[16]byte]int)
	shared := n.mint()
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				nonce := shared
				if i > 0 {
					nonce = n.mint()
				}
				id, expiry, err := n.check(nonce)
				if err != nil {
					t.Error(err)
					return
				}
				if s.strike(id, expiry) {
					mu.Lock()
					won[id]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if len(won) != 8*199+1 {
		t.Errorf("%d ids were struck", len(won))
	}
	for id, times := range won {
		if times != 1 {
			t.Errorf("%x was struck %d times", id, times)
		}
	}
}

func BenchmarkNonceMint(b *testing.B) {
	n := newNoncer(keysOf(nonceKey(1)), time.Now)
	b.ReportAllocs()
	for b.Loop() {
		n.mint()
	}
}

func BenchmarkNonceCheckAndStrike(b *testing.B) {
	n := newNoncer(keysOf(nonceKey(1)), time.Now)
	s := newStruckSet(0, time.Now)
	b.ReportAllocs()
	for b.Loop() {
		id, expiry, err := n.check(n.mint())
		if err != nil || !s.strike(id, expiry) {
			b.Fatal(err)
		}
	}
}
