package va

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

func TestRedirectCodes(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		port := serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == path:
				w.Header().Set("Location", "//other.localhost:"+r.Host[strings.LastIndex(r.Host, ":")+1:]+"/moved?to=here")
				w.WriteHeader(code)
				io.WriteString(w, secret)
			case r.URL.String() == "/moved?to=here" && strings.HasPrefix(r.Host, "other.localhost:") && r.Method == http.MethodGet && r.Referer() == "":
				io.WriteString(w, keyAuth)
			default:
				w.WriteHeader(http.StatusTeapot)
			}
		})
		record, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
		if err != nil || len(record.Hops) != 2 || record.Hops[0].Status != code || record.Hops[1].Status != 200 {
			t.Errorf("%d: %v, %+v", code, err, record)
		}
	}
	for _, code := range []int{300, 305, 306} {
		port := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/moved")
			w.WriteHeader(code)
		})
		_, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
		wantProblem(t, err, TypeUnauthorized, "status "+strconv.Itoa(code), false)
	}
}

func TestRedirectCount(t *testing.T) {
	for redirects := 9; redirects <= 12; redirects++ {
		port := serve(t, func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
			if n == redirects {
				io.WriteString(w, keyAuth)
				return
			}
			http.Redirect(w, r, "/"+strconv.Itoa(n+1), http.StatusFound)
		})
		record, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
		if redirects <= 10 {
			if err != nil || len(record.Hops) != redirects+1 {
				t.Errorf("%d redirects: %v, %d hops", redirects, err, len(record.Hops))
			}
			continue
		}
		wantProblem(t, err, TypeConnection, "hop 11: more than 10 redirects", false)
	}
}

func TestRedirectLoop(t *testing.T) {
	for name, location := range map[string]string{
		"itself": path, "with fragment": path + "#again", "two": "/two", "other case": "http://A.LOCALHOST.:PORT" + path,
	} {
		t.Run(name, func(t *testing.T) {
			port := serve(t, func(w http.ResponseWriter, r *http.Request) {
				to := location
				if r.URL.Path == "/two" {
					to = path
				}
				w.Header().Set("Location", strings.ReplaceAll(to, "PORT", r.Host[strings.LastIndex(r.Host, ":")+1:]))
				w.WriteHeader(http.StatusMovedPermanently)
			})
			_, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, TypeConnection, "asked before", false)
		})
	}
}

func TestFollow(t *testing.T) {
	from := newTarget("http", "a.example", 5002, &url.URL{Path: path})
	for location, want := range map[string]string{
		"/x":                           "http://a.example:5002/x",
		"x":                            "http://a.example:5002/.well-known/acme-challenge/x",
		"?q":                           "http://a.example:5002" + path + "?q",
		"//b.example":                  "http://b.example",
		"HTTP://B.example:/%2e%2e/%7f": "http://b.example/%2e%2e/%7f",
		"http://b.example:0080/x#frag": "http://b.example/x",
		"http://b.example:443/":        "http://b.example:443/",
		"https://b.example/":           "https://b.example/",
		"//b.example/@127.0.0.1/":      "http://b.example/@127.0.0.1/",
		"http://b.example#@127.0.0.1/": "http://b.example",
		"http://b.example?@127.0.0.1/": "http://b.example?@127.0.0.1/",
		"https://b.example:80/":        "https://b.example:80/",
		"https://b.example:5002/":      "https://b.example:5002/",
		"/x?a b\u00fc":                 "http://a.example:5002/x?a%20b%C3%BC",
		"http://b.example./a b":        "http://b.example/a%20b",
	} {
		to, err := follow(from, []string{location}, 5002)
		if err != nil || to.url.String() != want {
			t.Errorf("%q: got %v, %v; want %s", location, to.url, err, want)
		}
	}
	for location, want := range map[string]string{
		"http://b.example:8080/":                        "port 8080",
		"http://b.example:22/":                          "port 22",
		"http://b.example:0/":                           "port 0",
		"http://b.example:65616/":                       "invalid port", // 80 modulo 2^16
		"http://b.example:99999999999999999999/":        "invalid port",
		"http://b.example:5003/":                        "port 5003",
		"ftp://b.example/":                              "another scheme",
		"file:///etc/passwd":                            "another scheme",
		"gopher://b.example:80/":                        "another scheme",
		"javascript:alert(1)":                           "another scheme",
		"http:b.example":                                "names no host",
		"http:///x":                                     "names no host",
		"https:":                                        "names no host",
		"http://:80/":                                   "not a DNS name",
		"https://127.0.0.1\\.example/":                  "not a URL",
		"http://127.0.0.1:80@b.example/":                "user information",
		"http://b.example:80@127.0.0.1/":                "user information",
		"http://user@b.example/":                        "user information",
		"http://user:pw@b.example/":                     "user information",
		"http://@b.example/":                            "user information",
		"http://127.0.0.1/":                             "not a DNS name",
		"http://169.254.169.254/latest/meta-data/":      "not a DNS name",
		"http://[::1]/":                                 "not a DNS name",
		"http://[::ffff:127.0.0.1]:80/":                 "not a DNS name",
		"http://[fe80::1%25eth0]/":                      "not a DNS name",
		"http://2130706433/":                            "not a DNS name",
		"http://0x7f.1/":                                "not a DNS name",
		"http://0177.0.0.1/":                            "not a DNS name",
		"http://b_c.example/":                           "not a DNS name",
		"http://b\u00fccher.example/":                   "not a DNS name",
		"http://b.example%00.evil/":                     "not a URL",
		"http://b.example\\@evil.example/":              "not a URL",
		"http://b.example/\r\nX: y":                     "not a URL",
		"http://[::1/":                                  "not a URL",
		"://":                                           "not a URL",
		"/" + strings.Repeat("\u00fc", 800):             "more than 2048",
		"http://b.example/" + strings.Repeat("a", 2048): "longer than 2048",
	} {
		if to, err := follow(from, []string{location}, 5002); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v; want %q", location, to.url, err, want)
		}
	}
	for _, headers := range [][]string{nil, {"/a", "/b"}} {
		if _, err := follow(from, headers, 80); err == nil {
			t.Errorf("%d Location headers are accepted", len(headers))
		}
	}
	if _, err := follow(from, []string{"http://b.example:5002/"}, 80); err == nil {
		t.Error("port 5002 is accepted though it is not the configured one")
	}
}

func FuzzFollow(f *testing.F) {
	for _, seed := range []string{
		"/x", "//b.example:443/x?y#z", "https://b.example", "http://[::1]:80/", "http://user@b.example", "http://b.example:99999",
		"http:x", "http://b.example\\@c.example/", "http://b.example%2f@c.example", "?q", "", "../../..", "http://b.example:080/%zz", "\x00",
	} {
		f.Add(seed)
	}
	from := newTarget("http", "a.example", 5002, &url.URL{Path: path})
	f.Fuzz(func(t *testing.T, location string) {
		to, err := follow(from, []string{location}, 5002)
		if err != nil {
			if len(location) > 8 && strings.Contains(err.Error(), location) {
				t.Errorf("the error quotes the target: %v", err)
			}
			return
		}
		if !slices.Contains([]string{"http", "https"}, to.url.Scheme) || !slices.Contains([]uint16{80, 443, 5002}, to.port) || to.url.User != nil {
			t.Errorf("%q leads to %s", location, to.url)
		}
		if name, err := outbound.CanonicalName(to.host); err != nil || name != to.host {
			t.Errorf("%q leads to host %q", location, to.host)
		}
		if len(to.url.String()) > maxLocation {
			t.Errorf("a URL of %d octets", len(to.url.String()))
		}
		// What is dialed and what is sent are the same to any reader of the URL.
		again, err := url.Parse(to.url.String())
		if err != nil || again.Hostname() != to.host || again.Fragment != "" {
			t.Errorf("%q: %s reads as %v, %v", location, to.url, again, err)
		}
		if line := to.url.RequestURI(); line[0] != '/' || strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("%q: request line %q", location, to.url.RequestURI())
		}
	})
}
