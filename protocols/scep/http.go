package scep

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Prefix is where SCEP is served.
const Prefix = "/scep"

// Routes mounts the door on an http or https listener: what clients append to an
// address is part of it, and nothing is ever redirected.
func (d *Door) Routes(r chi.Router) {
	at := func(r *http.Request) *endpoint {
		return d.paths[chi.URLParam(r, "tenant")+"/"+chi.URLParam(r, "ca")+"/"+chi.URLParam(r, "profile")]
	}
	path := Prefix + "/{tenant}/{ca}/{profile}"
	r.HandleFunc(path, d.serve(at, d.answer))
	r.HandleFunc(path+"/*", d.serve(below(at), d.answer))
	if d.ndes != nil {
		ndes := func(*http.Request) *endpoint { return d.ndes }
		r.HandleFunc(ndesPath, d.serve(ndes, d.answer))
		r.HandleFunc(ndesPath+"/*", d.serve(below(ndes), d.answer))
	}
}

// below lets through what clients append: a slash, the program that the first
// servers had there, and after nop/ whatever they like.
func below(find func(*http.Request) *endpoint) func(*http.Request) *endpoint {
	return func(r *http.Request) *endpoint {
		rest := strings.ToLower(chi.URLParam(r, "*"))
		if rest == "" || rest == "pkiclient.exe" || rest == "cgi-bin/pkiclient.exe" || rest == "nop" || strings.HasPrefix(rest, "nop/") {
			return find(r)
		}
		return nil
	}
}

// request is one HTTP request on its way through the door.
type request struct {
	*http.Request
	endpoint  *endpoint
	trace     string
	operation string // for the counter
	outcome   string // the same
}

// handler answers, or returns an error for the tables of errors.go.
type handler func(w http.ResponseWriter, r *request) error

// serve wraps a handler with what every reply of the door has; panics are answered
// as every other error.
func (d *Door) serve(find func(*http.Request) *endpoint, h handler) http.HandlerFunc {
	return func(hw http.ResponseWriter, hr *http.Request) {
		defer httpx.Drain(hw, hr)
		w, started := &httpx.StatusWriter{ResponseWriter: hw}, time.Now()
		r := &request{Request: hr, trace: ca.NewTrace(), operation: unlisted}
		w.Header().Set("Cache-Control", "no-store")
		defer func() {
			var of *ca.Endpoint
			if r.endpoint != nil {
				of = &r.endpoint.Endpoint
			}
			if r.outcome == "" {
				r.outcome = fmt.Sprintf("http %dxx", w.Status()/100)
			}
			d.Observer.Answered(of, r.operation, r.outcome, time.Since(started))
		}()
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				d.Observer.Panicked()
				r.outcome = ""
				d.refuse(w, r, ca.InternalError(fmt.Errorf("panic: %v", p)))
			}
		}()
		if r.endpoint = find(hr); r.endpoint == nil {
			d.refuse(w, r, httpx.Fail(http.StatusNotFound, "there is no such SCEP endpoint"))
			return
		}
		if err := h(w, r); err != nil {
			d.refuse(w, r, err)
		}
	}
}

// unlisted is the operation of requests that name none of the door's.
const unlisted = "unlisted"

// operations is everything the door answers (RFC 8894 section 4); the rest is
// refused before anything is read.
var operations = []struct {
	name  string
	serve func(*Door) handler
}{
	{"GetCACaps", func(d *Door) handler { return d.getCACaps }},
	{"GetCACert", func(d *Door) handler { return d.getCACert }},
	{"GetNextCACert", func(d *Door) handler { return d.getNextCACert }},
	{"PKIOperation", func(d *Door) handler { return d.pkiOperation }},
}

// answer finds the operation. Its message is looked at by PKIOperation alone:
// clients send the name of a CA, a trustpoint or nothing with the others.
func (d *Door) answer(w http.ResponseWriter, r *request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return httpx.Fail(http.StatusMethodNotAllowed, "SCEP is by GET and POST (RFC 8894 section 4.1)")
	}
	named := r.URL.Query().Get("operation")
	for _, o := range operations {
		if strings.EqualFold(o.name, named) {
			r.operation = o.name
			return o.serve(d)(w, r)
		}
	}
	return httpx.Fail(http.StatusBadRequest, "the address must say one of the operations GetCACaps, GetCACert, GetNextCACert and PKIOperation (RFC 8894 section 4.1): ?operation=GetCACaps")
}

// body gives the message of a PKIOperation (RFC 8894 sections 4.1 and 4.3): the
// body of a POST, or base64 in the address of a GET, whose + became blanks on the
// way and whose padding many clients leave out.
func body(r *request) ([]byte, error) {
	if r.Method == http.MethodGet {
		text := strings.NewReplacer(" ", "+", "-", "+", "_", "/", "\r", "", "\n", "", "=", "").Replace(r.URL.Query().Get("message"))
		if base64.RawStdEncoding.DecodedLen(len(text)) > maxMessage {
			return nil, tooLong()
		}
		message, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil || len(message) == 0 {
			return nil, httpx.Fail(http.StatusBadRequest, "the message of a GET is a pkiMessage in base64, percent-encoded (RFC 8894 section 4.1)")
		}
		return message, nil
	}
	if r.ContentLength > maxMessage {
		return nil, tooLong()
	}
	message, err := io.ReadAll(io.LimitReader(r.Body, maxMessage+1))
	if err != nil {
		return nil, httpx.Fail(http.StatusBadRequest, "the request body could not be read")
	}
	if len(message) > maxMessage {
		return nil, tooLong()
	}
	return message, nil
}

func tooLong() error {
	return httpx.Fail(http.StatusRequestEntityTooLarge, "the message is longer than %d octets", maxMessage)
}

// send writes a reply. It has a length always: deployed clients speak HTTP/1.0 and
// cannot read chunks.
func send(w http.ResponseWriter, mediaType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // an error means that the client is gone
	return nil
}
