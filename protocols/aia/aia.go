// Package aia publishes CA certificates where the authorityInfoAccess of issued
// certificates points (RFC 5280 section 4.2.2.1): one DER certificate at
// /aia/TENANT/CA.cer or, after a rollover, /aia/TENANT/CA.N.cer, over plain
// http, read-only.
//
// Left out: the degenerate PKCS#7 form for CAs with several certificates.
package aia

import (
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
)

// Source finds the DER certificate that is published as /aia/TENANT/FILE.
type Source func(tenant, file string) (der []byte, ok bool)

// Publisher serves certificates.
type Publisher struct{ find Source }

// New takes where certificates are found, anew for each request.
func New(find Source) *Publisher { return &Publisher{find} }

// Routes mounts the publisher under /aia of an http listener.
func (p *Publisher) Routes(r chi.Router) {
	r.Get("/aia/{tenant}/{file}", p.serve)
	r.Head("/aia/{tenant}/{file}", p.serve)
}

func (p *Publisher) serve(w http.ResponseWriter, r *http.Request) {
	der, ok := p.find(chi.URLParam(r, "tenant"), chi.URLParam(r, "file"))
	if !ok {
		http.Error(w, "there is no such CA", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/pkix-cert") // RFC 2585 section 4.1
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("Content-Length", strconv.Itoa(len(der)))
	w.Write(der) // an error means that the client is gone
}
