package httpx

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestClientAddress(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[fe80::1%eth0]:80": "fe80::1", "": "invalid IP", "192.0.2.1": "invalid IP", "@": "invalid IP"} {
		if got := ClientAddress(remote).String(); got != want {
			t.Errorf("%q: %s, want %s", remote, got, want)
		}
	}
}

func TestStatusWriter(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(http.ResponseWriter)
		want int
	}{
		"nothing":         {func(http.ResponseWriter) {}, 200},
		"a body":          {func(w http.ResponseWriter) { w.Write([]byte("x")) }, 200},
		"a status":        {func(w http.ResponseWriter) { w.WriteHeader(404); w.Write([]byte("x")) }, 404},
		"a second status": {func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(500) }, 404},
	} {
		w := &StatusWriter{ResponseWriter: httptest.NewRecorder()}
		if c.do(w); w.Status() != c.want {
			t.Errorf("%s: %d, want %d", name, w.Status(), c.want)
		}
	}
}

func TestRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		refusal Refusal
		level   slog.Level
		headers string // "Retry-After WWW-Authenticate"
	}{
		"plain":             {Refusal{Status: 400, Text: "no", Cause: errors.New("secret")}, slog.LevelInfo, "|"},
		"a fault":           {Refusal{Status: 500, Text: "no"}, slog.LevelError, "|"},
		"try later":         {Refusal{Status: 503, Text: "no", Retry: 1500 * time.Millisecond}, slog.LevelError, "2|"},
		"some time":         {Refusal{Status: 429, Text: "no"}, slog.LevelInfo, "1|"},
		"pending":           {Refusal{Status: 202, Text: "no", Retry: time.Minute}, slog.LevelInfo, "60|"},
		"first of a client": {Refusal{Status: 401, Text: "no", Challenge: true, First: true}, slog.LevelDebug, `|Basic realm="here"`},
	} {
		w := httptest.NewRecorder()
		c.refusal.Headers(w.Header(), "here")
		c.refusal.Write(w, "TRACE")
		h := w.Header()
		if w.Code != c.refusal.Status || w.Body.String() != "no [trace TRACE]\n" || h.Get("Content-Length") != "17" || h.Get("Retry-After")+"|"+h.Get("WWW-Authenticate") != c.headers {
			t.Errorf("%s: %d %v %q", name, w.Code, h, w.Body)
		}
		if c.refusal.Level() != c.level || strings.Contains(c.refusal.Error(), "secret") != (c.refusal.Cause != nil) || c.refusal.Unwrap() != c.refusal.Cause {
			t.Errorf("%s: %s %q", name, c.refusal.Level(), c.refusal.Error())
		}
	}
	if Clip(strings.Repeat("x", 161)) != strings.Repeat("x", 160)+"..." || Clip("x") != "x" {
		t.Error("a text is not cut as said")
	}
}
