package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// serve runs a handler on loopback; other, when not "", is another address of it.
func serve(t *testing.T, address string, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func open(t *testing.T, url string, allow []netip.Prefix) *HTTP {
	t.Helper()
	h, err := New(Options{URL: url, Allow: allow, LocalhostToLoopback: true, Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What has not changed is not fetched again, however the server tells.
func TestConditions(t *testing.T) {
	for name, header := range map[string][2]string{
		"a tag":  {"ETag", `"one"`},
		"a time": {"Last-Modified", "Tue, 02 Jan 2024 03:04:05 GMT"},
	} {
		asked := 0
		url := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set(header[0], header[1])
			if r.Header.Get("If-None-Match") == header[1] || r.Header.Get("If-Modified-Since") == header[1] {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, "a list")
		})
		h := open(t, url, loopback)
		data, version, err := h.Fetch(t.Context(), "")
		if err != nil || string(data) != "a list" || version == "" {
			t.Fatalf("%s: %q, %q, %v", name, data, version, err)
		}
		again, same, err := h.Fetch(t.Context(), version)
		if err != nil || again != nil || same != version || asked != 2 {
			t.Errorf("%s: asked again: %q, %q, %v", name, again, same, err)
		}
	}
}

// A list can be published after its first answer, in the same second: that time
// is no version. One that was answered a second later is.
func TestSameSecond(t *testing.T) {
	const changed = "Tue, 02 Jan 2024 03:04:05 GMT"
	for date, kept := range map[string]bool{
		changed: false, "Tue, 02 Jan 2024 03:04:04 GMT": false, "soon": false, "Tue, 02 Jan 2024 03:04:06 GMT": true,
	} {
		url := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", date)
			w.Header().Set("Last-Modified", changed)
			fmt.Fprint(w, "a list")
		})
		if _, version, err := open(t, url, loopback).Fetch(t.Context(), ""); err != nil || (version != "") != kept {
			t.Errorf("changed at %q, answered at %q: version %q, %v", changed, date, version, err)
		}
	}
}

// A server without versions is asked for all each time, and one that says "not
// modified" to a first question has failed.
func TestWithoutVersions(t *testing.T) {
	url := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/304" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Last-Modified", "yesterday")
		w.Header().Set("ETag", strings.Repeat("x", maxTag+1))
		fmt.Fprint(w, "a list")
	})
	for range 2 {
		if data, version, err := open(t, url, loopback).Fetch(t.Context(), ""); err != nil || string(data) != "a list" || version != "" {
			t.Errorf("%q, %q, %v", data, version, err)
		}
	}
	if data, _, err := open(t, url+"/304", loopback).Fetch(t.Context(), ""); err == nil {
		t.Errorf("304 to a first question: %q", data)
	}
}

func TestFailures(t *testing.T) {
	var url string
	url = serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			http.Error(w, "secret words of the server", http.StatusGone)
		case "/empty":
		case "/said":
			w.Header().Set("Content-Length", "1001")
			w.Write(make([]byte, 1001))
		case "/streamed":
			for range 11 {
				w.Write(make([]byte, 100))
				w.(http.Flusher).Flush()
			}
		case "/short":
			w.Header().Set("Content-Length", "900")
			w.Write(make([]byte, 100))
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/file":
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		case "/user":
			w.Header().Set("Location", strings.Replace(url, "://", "://secret@", 1)+"/")
			w.WriteHeader(http.StatusFound)
		case "/whole":
			w.Write(make([]byte, 1000))
		}
	})
	for path, want := range map[string]string{"/gone": "status 410", "/empty": "nothing", "/said": "more than 1000", "/streamed": "more than 1000",
		"/short": "broke off after 100 octets", "/round": "redirects too often", "/file": "no http or https URL", "/user": "no http or https URL"} {
		data, _, err := open(t, url+path, loopback).Fetch(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || data != nil {
			t.Errorf("%s: %d octets, %v; want %q", path, len(data), err, want)
		}
	}
	if data, _, err := open(t, url+"/whole", loopback).Fetch(t.Context(), ""); err != nil || len(data) != 1000 {
		t.Errorf("the longest list: %d octets, %v", len(data), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := open(t, url+"/whole", loopback).Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled fetch: %v", err)
	}
}

// Invariant 8: each hop's address is checked, not the first one's alone.
func TestAddressesAreChecked(t *testing.T) {
	reached := false
	inner := serve(t, "127.0.0.2:0", func(w http.ResponseWriter, _ *http.Request) {
		reached = true
		fmt.Fprint(w, "a list")
	})
	outer := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inner+"/", http.StatusFound)
	})
	refused := func(url string, allow []netip.Prefix) {
		t.Helper()
		_, _, err := open(t, url, allow).Fetch(t.Context(), "")
		var failed *outbound.Error
		if !errors.As(err, &failed) || failed.Kind != outbound.Refused || reached {
			t.Errorf("%s with %v: %v, reached %v", url, allow, err, reached)
		}
	}
	refused(outer, nil)
	refused(strings.Replace(outer, "127.0.0.1", "crl.localhost", 1), nil)
	refused(outer, loopback) // the redirect leads where nothing is allowed
	if data, _, err := open(t, outer, append(loopback, netip.MustParsePrefix("127.0.0.2/32"))).Fetch(t.Context(), ""); err != nil || string(data) != "a list" {
		t.Errorf("allowed: %q, %v", data, err)
	}
}

func TestWrongOptions(t *testing.T) {
	for _, o := range []Options{{URL: "ldap://host/", Max: 1}, {URL: "http:///x", Max: 1}, {URL: "http://user:secret@host/", Max: 1},
		{URL: "http://host/", Max: 0}, {URL: "%", Max: 1}, {URL: "http://host/", Max: 1, Resolvers: []string{"host"}}, {URL: "http://host/", Max: 1, Allow: make([]netip.Prefix, 1)}} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", o, err)
		}
	}
}
