package ocsp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/status"
)

var produced = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// recorder answers everything alike and remembers what it was asked.
type recorder struct {
	asked  [][]byte // serials
	answer *status.Answer
	err    error
}

func (r *recorder) Answer(_ context.Context, q *pkix.OCSPRequest) (*status.Answer, error) {
	for _, id := range q.CertIDs {
		r.asked = append(r.asked, id.Serial)
	}
	return r.answer, r.err
}

type outcomes []status.Outcome

func (o *outcomes) OCSPAnswered(_, _ string, outcome status.Outcome, _ bool) {
	*o = append(*o, outcome)
}

func cached() *status.Answer {
	a := &status.Answer{DER: []byte("an answer"), ProducedAt: produced, ThisUpdate: produced, NextUpdate: produced.Add(8 * time.Hour), MaxAge: 5 * time.Minute}
	a.Prepared = Prepare(a)
	return a
}

func door(r *recorder) (http.Handler, *outcomes) {
	seen := &outcomes{}
	router := chi.NewRouter()
	New(Options{Responders: map[string]Responder{"default/issuing": r}, Observer: seen, Log: slog.New(slog.DiscardHandler)}).Routes(router)
	return router, seen
}

// question is a request whose base64 form has slashes and plus signs.
func question(t testing.TB) []byte {
	t.Helper()
	id := pkix.MarshalCertID(pkix.OCSPSHA1, bytes.Repeat([]byte{0xff, 0xfb}, 10), bytes.Repeat([]byte{0xff, 0xff}, 10), []byte{0x7f, 0xfb, 0xff})
	wrap := func(b []byte) []byte { return append([]byte{0x30, byte(len(b))}, b...) }
	der := wrap(wrap(wrap(wrap(id))))
	if text := base64.StdEncoding.EncodeToString(der); !strings.Contains(text, "//") || !strings.Contains(text, "+") || !strings.HasSuffix(text, "=") {
		t.Fatalf("the base64 text %s has no //, + and =", text)
	}
	return der
}

func ask(h http.Handler, method, target string, body []byte, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Every way in which clients write a GET reaches the same responder with the same request.
func TestWaysToAsk(t *testing.T) {
	der := question(t)
	plain := base64.StdEncoding.EncodeToString(der)
	var all strings.Builder
	for _, c := range []byte(plain) {
		all.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])) + strings.ToUpper(string("0123456789abcdef"[c&15])))
	}
	base := "/ocsp/default/issuing"
	for name, c := range map[string]struct {
		method, target string
		body           []byte
	}{
		"POST":                     {http.MethodPost, base, der},
		"POST with a slash":        {http.MethodPost, base + "/", der},
		"GET as it is":             {http.MethodGet, base + "/" + plain, nil},
		"GET escaped":              {http.MethodGet, base + "/" + url.QueryEscape(plain), nil},
		"GET with lower-case %":    {http.MethodGet, base + "/" + strings.ReplaceAll(plain, "/", "%2f"), nil},
		"GET with a part escaped":  {http.MethodGet, base + "/" + strings.Replace(plain, "/", "%2F", 1), nil},
		"GET with everything so":   {http.MethodGet, base + "/" + all.String(), nil},
		"GET without padding":      {http.MethodGet, base + "/" + strings.TrimRight(plain, "="), nil},
		"HEAD":                     {http.MethodHead, base + "/" + plain, nil},
		"GET with a query ignored": {http.MethodGet, base + "/" + plain + "?x", nil},
	} {
		r := &recorder{answer: cached()}
		h, _ := door(r)
		got := ask(h, c.method, c.target, c.body)
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/ocsp-response" || len(r.asked) != 1 || !bytes.Equal(r.asked[0], []byte{0x7f, 0xfb, 0xff}) {
			t.Errorf("%s: %s, %v, asked %x", name, got.Status, got.Header, r.asked)
		}
	}
}

func TestRefusals(t *testing.T) {
	der := question(t)
	plain := url.PathEscape(base64.StdEncoding.EncodeToString(der))
	base := "/ocsp/default/issuing"
	for name, c := range map[string]struct {
		method, target string
		body           []byte
		want           status.Outcome
	}{
		"no request":           {http.MethodPost, base, nil, status.Malformed},
		"no base64":            {http.MethodGet, base + "/!!!", nil, status.Malformed},
		"a half escape":        {http.MethodGet, base + "/%2F%252", nil, status.Malformed},
		"nothing in the path":  {http.MethodGet, base, nil, status.Malformed},
		"half a request":       {http.MethodGet, base + "/" + plain[:20], nil, status.Malformed},
		"a long body":          {http.MethodPost, base, make([]byte, pkix.MaxOCSPRequest+1), status.Malformed},
		"a long path":          {http.MethodGet, base + "/" + strings.Repeat("A", maxPath+1), nil, status.Malformed},
		"another CA":           {http.MethodPost, "/ocsp/default/another", der, status.Unauthorized},
		"another tenant":       {http.MethodPost, "/ocsp/other/issuing", der, status.Unauthorized},
		"tenant alone":         {http.MethodPost, "/ocsp/default", der, status.Unauthorized},
		"an escaped slash":     {http.MethodPost, "/ocsp/default%2Fissuing", der, status.Unauthorized},
		"another CA by GET":    {http.MethodGet, "/ocsp/default/another/" + plain, nil, status.Unauthorized},
		"case of letters":      {http.MethodPost, "/ocsp/Default/issuing", der, status.Unauthorized},
		"a dot segment inside": {http.MethodGet, "/ocsp/default/issuing/../issuing/" + plain, nil, status.Malformed},
	} {
		r := &recorder{answer: cached()}
		h, seen := door(r)
		got := ask(h, c.method, c.target, c.body)
		if body := text(t, got); got.StatusCode != http.StatusOK || body != string(status.ErrorAnswer(c.want)) || got.Header.Get("Cache-Control") != "no-store" || len(r.asked) != 0 {
			t.Errorf("%s: %s, %x, %v, asked %x", name, got.Status, body, got.Header, r.asked)
		}
		if len(*seen) != 1 || (*seen)[0] != c.want {
			t.Errorf("%s: counted as %v", name, *seen)
		}
	}
	h, _ := door(&recorder{answer: cached()})
	if got := ask(h, http.MethodPut, base, der); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("PUT: %s, %v", got.Status, got.Header)
	}
	if got := ask(h, http.MethodPost, base+"/"+plain, der); got.StatusCode != http.StatusNotFound {
		t.Errorf("POST below the responder: %s", got.Status)
	}
}

// Every kind of error has its OCSP status, and none is kept by a cache.
func TestErrorsBecomeStatuses(t *testing.T) {
	want := map[ca.Kind]status.Outcome{ca.BadRequest: status.Malformed, ca.NotFound: status.Unauthorized, ca.Unavailable: status.TryLater, ca.RateLimited: status.TryLater}
	for _, kind := range ca.Kinds() {
		outcome, ok := want[kind]
		if !ok {
			outcome = status.Failed
		}
		h, _ := door(&recorder{err: ca.Errorf(kind, "no")})
		got := ask(h, http.MethodPost, "/ocsp/default/issuing", question(t))
		if body := text(t, got); body != string(status.ErrorAnswer(outcome)) || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %x, %v", kind, body, got.Header)
		}
	}
	h, _ := door(&recorder{err: errors.New("anything else")})
	if body := text(t, ask(h, http.MethodPost, "/ocsp/default/issuing", question(t))); body != string(status.ErrorAnswer(status.Failed)) {
		t.Errorf("another error: %x", body)
	}
}

// RFC 5019 section 6.2.
func TestCacheHeaders(t *testing.T) {
	a := cached()
	h, _ := door(&recorder{answer: a})
	target := "/ocsp/default/issuing/" + url.PathEscape(base64.StdEncoding.EncodeToString(question(t)))
	first := ask(h, http.MethodGet, target, nil)
	for name, want := range map[string]string{"Cache-Control": "max-age=300, public, no-transform, must-revalidate", "Last-Modified": "Wed, 02 Jan 2030 03:04:05 GMT",
		"Expires": "Wed, 02 Jan 2030 11:04:05 GMT", "Content-Length": "9"} {
		if got := first.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	etag := first.Header.Get("ETag")
	if len(etag) < 20 || !strings.HasPrefix(etag, `"`) || !strings.HasSuffix(etag, `"`) {
		t.Errorf("ETag %s", etag)
	}
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"the tag":                {[]string{"If-None-Match", etag}, 304},
		"a weak one of several":  {[]string{"If-None-Match", `"x", W/` + etag}, 304},
		"any tag":                {[]string{"If-None-Match", "*"}, 304},
		"another tag":            {[]string{"If-None-Match", `"x"`}, 200},
		"another tag and a time": {[]string{"If-None-Match", `"x"`, "If-Modified-Since", "Wed, 02 Jan 2030 03:04:05 GMT"}, 200},
		"the time":               {[]string{"If-Modified-Since", "Wed, 02 Jan 2030 03:04:05 GMT"}, 304},
		"an earlier time":        {[]string{"If-Modified-Since", "Wed, 02 Jan 2030 03:04:04 GMT"}, 200},
		"no time":                {[]string{"If-Modified-Since", "yesterday"}, 200},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := ask(h, method, target, nil, c.header...)
			if got.StatusCode != c.want || got.Header.Get("ETag") != etag || c.want == 304 && got.Header.Get("Content-Type") != "" {
				t.Errorf("%s, %s: %s, %v", method, name, got.Status, got.Header)
			}
		}
	}
	live := &status.Answer{DER: []byte("live"), ProducedAt: produced, NextUpdate: produced.Add(time.Hour)}
	live.Prepared = Prepare(live)
	h, _ = door(&recorder{answer: live})
	if got := ask(h, http.MethodGet, target, nil); got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("ETag") != "" || got.Header.Get("Expires") != "" {
		t.Errorf("an answer that is not to be kept: %v", got.Header)
	}
}

func FuzzDecodePath(f *testing.F) {
	plain := base64.StdEncoding.EncodeToString(question(f))
	for _, seed := range []string{plain, url.PathEscape(plain), strings.TrimRight(plain, "="), "%", "", "===="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		der, err := decodePath(text)
		if err != nil {
			return
		}
		again, err := decodePath(url.PathEscape(base64.StdEncoding.EncodeToString(der)))
		if len(der) > 0 && (err != nil || !bytes.Equal(again, der)) {
			t.Fatalf("%x comes back as %x, %v", der, again, err)
		}
	})
}
