package recent

import (
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	now := time.Unix(1800000000, 0)
	m := NewMemory[int, string](10*time.Second, 100, func() time.Time { return now })
	want := func(k int, v string) {
		t.Helper()
		if got, ok := m.Get(k); got != v || ok != (v != "") {
			t.Errorf("%d is %q, %v; want %q", k, got, ok, v)
		}
	}
	want(1, "")
	m.Put(1, "a")
	want(1, "a")
	m.PutRead(1, "older", now.Add(-time.Second))
	want(1, "a")
	m.Put(1, "b")
	want(1, "b")
	now = now.Add(9 * time.Second)
	want(1, "b")
	now = now.Add(time.Second)
	want(1, "")
	m.PutRead(1, "read", now.Add(-3*time.Second)) // it counts from when the reading began
	want(1, "read")
	now = now.Add(7 * time.Second)
	want(1, "")
	m.Put(2, "c")
	m.Drop(2)
	want(2, "")
	m.PutRead(3, "too old to count", now.Add(-time.Minute))
	want(3, "")
}

func TestMemoryIsBounded(t *testing.T) {
	now := time.Unix(1800000000, 0)
	m := NewMemory[int, int](time.Minute, 10, func() time.Time { return now })
	for i := range 1000 {
		m.Put(i, i)
		if len(m.young)+len(m.old) > 20 {
			t.Fatalf("%d values after %d", len(m.young)+len(m.old), i)
		}
	}
	for i := range 1000 {
		if v, ok := m.Get(i); ok != (i >= 980) && ok != (i >= 990) || ok && v != i {
			t.Errorf("%d is %d, %v", i, v, ok)
		}
	}
	now = now.Add(time.Minute)
	m.Put(-1, 1)
	now = now.Add(time.Minute)
	m.Put(-2, 1)
	if n := len(m.young) + len(m.old); n != 2 {
		t.Errorf("%d values are kept past their time", n)
	}
}

// TestUpdateWins: who began to read before a change does not bring the old
// value back.
func TestUpdateWins(t *testing.T) {
	now := time.Unix(1800000000, 0)
	m := NewMemory[int, string](10*time.Second, 100, func() time.Time { return now })
	since := now
	now = now.Add(time.Millisecond)
	m.Put(1, "deactivated")
	now = now.Add(time.Millisecond)
	m.PutRead(1, "valid", since)
	if v, _ := m.Get(1); v != "deactivated" {
		t.Errorf("it is %q again", v)
	}
}
