package ca

import (
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestMonth(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for text, want := range map[string]struct {
		month Month
		print string
	}{
		"2026-01-01T00:00:00Z":      {2026 * 12, "2026-01"},
		"2026-12-31T23:59:59Z":      {2026*12 + 11, "2026-12"},
		"2026-12-31T23:30:00-01:00": {2027 * 12, "2027-01"}, // months are those of UTC
		"9999-12-31T23:59:59Z":      {0x7FFF, "no expiry"},
		"2730-07-01T00:00:00Z":      {2730*12 + 6, "2730-07"}, // the last that fits
		"2730-08-01T00:00:00Z":      {0x7FFF, "no expiry"},
		"5000-01-01T00:00:00Z":      {0x7FFF, "no expiry"},
		"0001-01-01T00:00:00Z":      {0x7FFF, "no expiry"}, // would start with a zero octet
	} {
		m := MonthOf(at(text))
		if m != want.month || m.String() != want.print {
			t.Errorf("%s gave %d (%s), want %d (%s)", text, m, m, want.month, want.print)
		}
		from, to, ok := m.Range()
		if ok != (want.print != "no expiry") {
			t.Errorf("%s has a range: %v", m, ok)
		}
		if ok && (at(text).Before(from) || !at(text).Before(to) || MonthOf(from) != m || MonthOf(to) != m+1) {
			t.Errorf("%s is not within %s to %s", text, from, to)
		}
	}
}

func TestSerial(t *testing.T) {
	seen := map[Serial]bool{}
	for _, at := range []time.Time{time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)} {
		for range 100 {
			s := NewSerial(at)
			if seen[s] {
				t.Fatal("a serial came twice")
			}
			seen[s] = true
			if s.Month() != MonthOf(at) || s[0] == 0 || s[0] >= 0x80 || new(big.Int).SetBytes(s[:]).Sign() != 1 {
				t.Fatalf("serial %s for %s", s, at)
			}
			if back, err := ParseSerial(s.String()); err != nil || back != s {
				t.Fatalf("%s came back as %s, %v", s, back, err)
			}
		}
	}
	colons := "5F:0A:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e"
	if s, err := ParseSerial(colons); err != nil || s.String() != "5f0a0102030405060708090a0b0c0d0e" {
		t.Errorf("%s gave %s, %v", colons, s, err)
	}
	for _, bad := range []string{"", "zz", "5f", strings.Repeat("5f", 17), "00" + strings.Repeat("5f", 15), "80" + strings.Repeat("5f", 15), strings.Repeat("x", 1000)} {
		if s, err := ParseSerial(bad); !IsKind(err, BadRequest) || len(err.Error()) > 200 {
			t.Errorf("%.20s gave %s, %v", bad, s, err)
		}
	}
}
