package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	maxReply     = 1 << 20  // octets of an ACME reply or an OCSP answer
	maxCRL       = 64 << 20 // octets
	maxRedirects = 3
	maxAddresses = 8 // of responders or of lists that one certificate names
	oneRequest   = 30 * time.Second
)

// Getter asks one URL.
type Getter interface {
	Do(*http.Request) (*http.Response, error)
}

// NewClient makes a client that trusts roots for TLS and shows certificates of its
// own to who asks for them. One request takes at most
// 30 s and 3 redirects, none of them from https to http; a reply is cut at the
// length of the longest CRL that is read.
func NewClient(roots *x509.CertPool, own ...tls.Certificate) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: own}
	t.ResponseHeaderTimeout, t.MaxResponseHeaderBytes = oneRequest, 64<<10
	return &http.Client{Transport: t, Timeout: oneRequest, CheckRedirect: func(q *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		case q.URL.Scheme != "https" && via[0].URL.Scheme == "https":
			return errors.New("a redirect from https to " + q.URL.Scheme)
		}
		return nil
	}}
}

// fetch asks a URL that a certificate names; body nil is a GET. The reply must be
// a 200 of at most limit octets.
func (o *Options) fetch(ctx context.Context, address, mediaType string, body []byte, limit int64) ([]byte, error) {
	if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no http URL", address)
	}
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	q, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		q.Header.Set("Content-Type", mediaType)
	}
	resp, err := o.HTTP.Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // only read from
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", address, resp.Status)
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s answered with more than %d octets", address, limit)
	}
	return content, err
}

// bounded cuts the replies of a transport, for readers without a bound of their own.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(q)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxReply), resp.Body}
	}
	return resp, err
}
