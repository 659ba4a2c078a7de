package ca

import (
	"testing"
	"time"
)

// TestSuggestRenewal: windows lie in the last third (half, for short-lived
// certificates), differ by serial number, and are the same every time.
func TestSuggestRenewal(t *testing.T) {
	from := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		validity time.Duration
		last     time.Duration // what is left when the first windows open
	}{
		{90 * 24 * time.Hour, 30 * 24 * time.Hour},
		{10 * 24 * time.Hour, 80 * time.Hour},
		{6 * 24 * time.Hour, 72 * time.Hour},
		{time.Hour, 30 * time.Minute},
		{8 * time.Second, 4 * time.Second},
		{time.Second, 500 * time.Millisecond},
	} {
		starts := map[time.Time]int{}
		for i := range 400 {
			cert := &Certificate{Serial: Serial{0x5f, 0, byte(i >> 8), byte(i)}, NotBefore: from, NotAfter: from.Add(c.validity), State: Issued}
			start, end := SuggestRenewal(cert, nil, time.Time{})
			again, _ := SuggestRenewal(cert, nil, time.Time{})
			earliest, latest := cert.NotAfter.Add(-c.last).Truncate(time.Second), cert.NotAfter.Add(-c.last/4).Add(time.Second)
			if start.Before(earliest) || end.After(latest) || !start.Before(end) || !start.Equal(again) || start.Nanosecond() != 0 || end.Nanosecond() != 0 {
				t.Fatalf("of %s: from %s to %s, then from %s", c.validity, start.Sub(from), end.Sub(from), again.Sub(from))
			}
			starts[start]++
		}
		if c.validity >= 24*time.Hour && len(starts) < 390 {
			t.Errorf("of %s: %d different windows for 400 certificates", c.validity, len(starts))
		}
	}
}

func TestSuggestRenewalByOthers(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	operator := &RenewalWindow{Start: now, End: now.Add(time.Hour)}
	for state, past := range map[State]bool{Issued: false, Held: false, Revoked: true} {
		cert := &Certificate{Serial: NewSerial(now), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour), State: state}
		start, end := SuggestRenewal(cert, operator, time.Time{})
		if past != end.Before(now) || !start.Before(end) || !past && (!start.Equal(operator.Start) || !end.Equal(operator.End)) {
			t.Errorf("%s, with an operator's window: from %s to %s", state, start, end)
		}
		if end.Sub(start) < time.Minute { // acmez takes none of a second for a window
			t.Errorf("%s: a window of %s", state, end.Sub(start))
		}
	}
}

// TestSpread: shares of a period are inside it and spread evenly.
func TestSpread(t *testing.T) {
	const period = 24 * time.Hour
	var quarters [4]int
	for range 2000 {
		at := Spread(randomSerial(), period)
		if at < 0 || at >= period {
			t.Fatal(at)
		}
		quarters[at*4/period]++
	}
	for i, n := range quarters {
		if n < 350 || n > 650 {
			t.Errorf("quarter %d has %d of 2000", i, n)
		}
	}
}
