package crl

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func serving(now time.Time) http.Handler {
	p := New(func(tenant, ca, name string) (List, bool) {
		return List{DER: []byte{0x30, 3, 1, 2, 3}, ETag: `"abc"`, ThisUpdate: at, NextUpdate: at.Add(7 * 24 * time.Hour), Fresh: at.Add(time.Hour)},
			tenant == "default" && ca == "issuing" && name == "g1"
	}, func() time.Time { return now })
	r := chi.NewRouter()
	p.Routes(r)
	return r
}

func ask(h http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestServe(t *testing.T) {
	h := serving(at.Add(10 * time.Minute))
	const path = "/crl/default/issuing/g1.crl"
	for name, test := range map[string]struct {
		method, path string
		header       []string
		status       int
		length       int64
	}{
		"get":                      {"GET", path, nil, 200, 5},
		"head":                     {"HEAD", path, nil, 200, 5},
		"post":                     {"POST", path, nil, 405, -1},
		"put":                      {"PUT", path, nil, 405, -1},
		"known by tag":             {"GET", path, []string{"If-None-Match", `W/"x", "abc"`}, 304, 0},
		"another tag":              {"GET", path, []string{"If-None-Match", `"abd"`}, 200, 5},
		"known by time":            {"GET", path, []string{"If-Modified-Since", at.Format(http.TimeFormat)}, 304, 0},
		"older":                    {"GET", path, []string{"If-Modified-Since", at.Add(-time.Second).Format(http.TimeFormat)}, 200, 5},
		"another tag beats time":   {"GET", path, []string{"If-None-Match", `"abd"`, "If-Modified-Since", at.Format(http.TimeFormat)}, 200, 5},
		"another tenant":           {"GET", "/crl/other/issuing/g1.crl", nil, 404, -1},
		"another CA":               {"GET", "/crl/default/other/g1.crl", nil, 404, -1},
		"another scope":            {"GET", "/crl/default/issuing/g2.crl", nil, 404, -1},
		"case matters":             {"GET", "/crl/Default/issuing/g1.crl", nil, 404, -1},
		"without the ending":       {"GET", "/crl/default/issuing/g1", nil, 404, -1},
		"below":                    {"GET", "/crl/default/issuing/g1.crl/x", nil, 404, -1},
		"the ending in upper case": {"GET", "/crl/default/issuing/g1.CRL", nil, 404, -1},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(h, test.method, test.path, test.header...)
			if got.StatusCode != test.status {
				t.Fatalf("status %d, want %d", got.StatusCode, test.status)
			}
			if test.status == 200 && (got.ContentLength != test.length || got.Header.Get("Content-Type") != "application/pkix-crl" ||
				got.Header.Get("Last-Modified") != at.Format(http.TimeFormat)) {
				t.Errorf("length %d, header %v", got.ContentLength, got.Header)
			}
			if test.status == 304 && (got.Header.Get("ETag") != `"abc"` || got.Header.Get("Cache-Control") == "") { // RFC 9110 section 15.4.5
				t.Errorf("header %v", got.Header)
			}
		})
	}
}

// TestMaxAge: a cache keeps a list until the next one is expected and never
// past nextUpdate.
func TestMaxAge(t *testing.T) {
	for now, want := range map[time.Duration]string{
		0: "public, max-age=3600", 59 * time.Minute: "public, max-age=60", 2 * time.Hour: "public, max-age=60",
		7*24*time.Hour - 10*time.Second: "public, max-age=10", 8 * 24 * time.Hour: "public, max-age=0",
	} {
		got := ask(serving(at.Add(now)), "GET", "/crl/default/issuing/g1.crl")
		expires, err := http.ParseTime(got.Header.Get("Expires"))
		if err != nil || got.Header.Get("Cache-Control") != want {
			t.Errorf("after %v: %q, want %q (%v)", now, got.Header.Get("Cache-Control"), want, err)
		}
		if end := at.Add(max(7*24*time.Hour, now)); expires.After(end) {
			t.Errorf("after %v it expires %v, after its end %v", now, expires, end)
		}
	}
}
