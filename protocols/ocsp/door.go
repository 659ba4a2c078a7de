package ocsp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/status"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Responder answers for one CA.
type Responder interface {
	Answer(ctx context.Context, q *pkix.OCSPRequest) (*status.Answer, error)
}

// Observer counts what never reaches a responder.
type Observer interface {
	OCSPAnswered(tenant, ca string, outcome status.Outcome, fromCache bool)
}

// Options make a Door.
type Options struct {
	Responders map[string]Responder // by TENANT/CA
	Observer   Observer
	Log        *slog.Logger
}

// Door serves the responders.
type Door struct{ Options }

// New makes the door.
func New(o Options) *Door { return &Door{o} }

// Path is where a CA's responder is (design: /ocsp/TENANT/CA).
func Path(tenant, id string) string { return "/ocsp/" + tenant + "/" + id }

// Routes mounts the door under /ocsp of an http listener.
func (d *Door) Routes(r chi.Router) { r.Handle("/ocsp/*", http.HandlerFunc(d.serve)) }

// contentType of answers (RFC 6960 appendix A.2), shared by every header.
var contentType = []string{"application/ocsp-response"}

var noStore = []string{"no-store"}

func (d *Door) serve(w http.ResponseWriter, r *http.Request) {
	defer httpx.Drain(w, r)
	responder, encoded := d.find(r.URL)
	var der []byte
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		der, err = decodePath(encoded)
	case http.MethodPost:
		if encoded != "" {
			http.Error(w, "an OCSP request is posted to the address of the CA's responder", http.StatusNotFound)
			return
		}
		der, err = io.ReadAll(io.LimitReader(r.Body, pkix.MaxOCSPRequest+1))
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "OCSP is asked by GET or POST (RFC 6960 appendix A)", http.StatusMethodNotAllowed)
		return
	}
	if responder == nil {
		d.refuse(w, status.Unauthorized)
		return
	}
	if err != nil {
		d.refuse(w, status.Malformed)
		return
	}
	q, err := pkix.ParseOCSPRequest(der)
	if err != nil {
		d.refuse(w, status.Malformed)
		return
	}
	a, err := responder.Answer(r.Context(), q)
	if err != nil {
		outcome := status.OutcomeOf(err)
		if outcome == status.Failed {
			d.Log.Error("ocsp.failed", "path", r.URL.Path[:min(len(r.URL.Path), 160)], "error", err)
		}
		send(w, status.ErrorAnswer(outcome))
		return
	}
	d.answer(w, r, a)
}

func (d *Door) refuse(w http.ResponseWriter, o status.Outcome) {
	d.Observer.OCSPAnswered("", "", o, false)
	send(w, status.ErrorAnswer(o))
}

// send sends an answer that nobody may keep.
func send(w http.ResponseWriter, der []byte) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = contentType, noStore
	h["Content-Length"] = []string{strconv.Itoa(len(der))}
	w.Write(der) // an error means that the client is gone
}

// headers are made once an answer, when it is signed.
type headers struct {
	etag, modified, expires, cache, length []string
}

// Prepare makes the headers of RFC 5019 section 6.2; it is what
// status.Options.Prepare wants.
func Prepare(a *status.Answer) any {
	sum := sha256.Sum256(a.DER)
	text := func(t time.Time) []string { return []string{t.UTC().Format(http.TimeFormat)} }
	h := &headers{etag: []string{`"` + hex.EncodeToString(sum[:16]) + `"`}, modified: text(a.ProducedAt), expires: text(a.NextUpdate),
		length: []string{strconv.Itoa(len(a.DER))}, cache: noStore}
	if a.MaxAge > 0 {
		h.cache = []string{"max-age=" + strconv.Itoa(int(a.MaxAge/time.Second)) + ", public, no-transform, must-revalidate"}
	}
	return h
}

func (d *Door) answer(w http.ResponseWriter, r *http.Request, a *status.Answer) {
	ready, ok := a.Prepared.(*headers)
	if !ok || a.MaxAge == 0 {
		send(w, a.DER)
		return
	}
	h := w.Header()
	h["Etag"], h["Last-Modified"], h["Expires"], h["Cache-Control"] = ready.etag, ready.modified, ready.expires, ready.cache
	if r.Method != http.MethodPost && unchanged(r, ready.etag[0], a.ProducedAt) {
		w.WriteHeader(http.StatusNotModified) // RFC 9110 section 15.4.5
		return
	}
	h["Content-Type"], h["Content-Length"] = contentType, ready.length
	w.Write(a.DER) // an error means that the client is gone
}

// unchanged answers the conditions of RFC 9110 section 13.1: the tag counts
// where there is one, else the time.
func unchanged(r *http.Request, etag string, modified time.Time) bool {
	if tags := r.Header["If-None-Match"]; len(tags) > 0 {
		for _, tag := range strings.Split(strings.Join(tags, ","), ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
				return true
			}
		}
		return false
	}
	if since := r.Header.Get("If-Modified-Since"); since != "" {
		at, err := http.ParseTime(since)
		return err == nil && !modified.After(at)
	}
	return false
}

var _ Responder = (*status.Responder)(nil)
