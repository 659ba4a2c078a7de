package admin

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

func TestParseName(t *testing.T) {
	for text, want := range map[string]string{
		"host.example": "dns:host.example", "dns:HOST.example": "dns:host.example", "dns:*.x.example": "dns:*.x.example", "ip:192.0.2.1": "ip:192.0.2.1",
		"ip:2001:db8::1": "ip:2001:db8::1", "email:A@x.example": "email:A@x.example", "uri:https://x": "uri:https://x",
		"": "", "dns:": "", "ip:x": "", "smtp:x": "", "email:": "",
	} {
		n, err := ParseName(text)
		if got := n.String(); (want == "") != ca.IsKind(err, ca.BadRequest) || want != "" && got != want {
			t.Errorf("%q: %s, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseSerialStart(t *testing.T) {
	for text, want := range map[string][2]string{
		"5f":                               {"5f000000000000000000000000000000", "5fffffffffffffffffffffffffffffff"},
		"5F:3":                             {"5f300000000000000000000000000000", "5f3fffffffffffffffffffffffffffff"},
		"7":                                {"70000000000000000000000000000000", "7fffffffffffffffffffffffffffffff"},
		"5f3c0123456789abcdef0123456789ab": {"5f3c0123456789abcdef0123456789ab", "5f3c0123456789abcdef0123456789ab"},
		"":                                 {}, "8": {}, "ff": {}, "5g": {},
		"5f3c0123456789abcdef0123456789ab0": {},
	} {
		first, last, err := ParseSerialStart(text)
		if want[0] == "" {
			if !ca.IsKind(err, ca.BadRequest) {
				t.Errorf("%q: %s to %s, %v; want bad request", text, first, last, err)
			}
		} else if err != nil || first.String() != want[0] || last.String() != want[1] {
			t.Errorf("%q: %s to %s, %v", text, first, last, err)
		}
	}
}

func TestParseTimeAndKeyID(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-01-31": time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), "2026-01-31T12:00:00+01:00": time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC), "31.1.2026": {}, "": {},
	} {
		if got, err := ParseTime(text); !got.Equal(want) || want.IsZero() != ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, ok := range map[string]bool{"0A:ff": true, "0aff": true, "": false, "0": false, "xy": false} {
		if id, err := ParseKeyID(text); ok != (err == nil) || ok && string(id) != "\x0a\xff" {
			t.Errorf("%q: %x, %v", text, id, err)
		}
	}
}

func TestParseTrace(t *testing.T) {
	for text, want := range map[string]string{
		"7N3XK9A2QD": "7N3XK9A2QD", " 7n3xk9a2qd ": "7N3XK9A2QD", "oil0000000": "0110000000",
		"7N3XK9A2Q": "", "7N3XK9A2QDD": "", "7N3XK9A2QU": "", "": "",
	} {
		if got, ok := ParseTrace(text); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
}

func TestParseReason(t *testing.T) {
	for _, name := range Reasons() {
		if r, err := ParseReason(name); err != nil || r.String() != name {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	for _, name := range []string{"removeFromCRL", "aACompromise", "unknown", "KeyCompromise", ""} {
		if r, err := ParseReason(name); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%q: %v, %v", name, r, err)
		}
	}
	if r, err := ParseChange("removeFromCRL"); err != nil || r != ca.RemoveFromCRL {
		t.Errorf("the end of a hold: %v, %v", r, err)
	}
}

// TestAdvice: whatever the kind of a refusal, there is something to do.
func TestAdvice(t *testing.T) {
	for _, k := range ca.Kinds() {
		if adviceFor(k.String()) == "" {
			t.Errorf("no advice for %s", k)
		}
	}
}
