// Package fetch gets CRLs of other CAs over HTTP (RFC 5280 section 4.2.1.13).
// Every address is checked before it is dialed, that of each redirect too;
// bodies are bounded; what has not changed is not sent again (RFC 9110 section
// 13.1). Left out: LDAP, FTP, proxies, and content codings.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// Options say how lists are fetched.
type Options struct {
	URL                 string         // http or https
	Resolvers           []string       // host:port; empty: the system's
	Allow               []netip.Prefix // what may be dialed beside global addresses
	LocalhostToLoopback bool
	Max                 int // octets of a list
}

const (
	maxRedirects = 5
	headerTime   = 15 * time.Second
	maxHeader    = 64 << 10
	maxTag       = 256 // octets of an entity tag that is kept
)

// HTTP fetches one URL. It is safe for concurrent use.
type HTTP struct {
	url    string
	max    int
	client *http.Client
}

// New checks the options.
func New(o Options) (*HTTP, error) {
	u, err := url.Parse(o.URL)
	if err != nil || !fetchable(u) || o.Max <= 0 {
		return nil, errors.New("a CRL is fetched from an http or https URL without user and fragment, and its size is bounded")
	}
	policy, err := outbound.NewPolicy(o.Allow)
	if err != nil {
		return nil, err
	}
	resolver, err := outbound.NewResolver(outbound.ResolverConfig{Servers: o.Resolvers, LocalhostToLoopback: o.LocalhostToLoopback})
	if err != nil {
		return nil, err
	}
	dialer, err := outbound.NewDialer(resolver, policy, 0)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:            func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, dialer, address) },
		DisableKeepAlives:      true, // fetches are minutes apart, and each is checked anew
		DisableCompression:     true,
		TLSHandshakeTimeout:    headerTime,
		ResponseHeaderTimeout:  headerTime,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &HTTP{url: o.URL, max: o.Max, client: &http.Client{Transport: transport, CheckRedirect: checkRedirect}}, nil
}

func dial(ctx context.Context, dialer *outbound.Dialer, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	conn, _, err := dialer.Dial(ctx, host, uint16(n))
	return conn, err
}

func fetchable(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.Fragment == "" && u.Opaque == ""
}

var errRedirect = errors.New("the server redirects too often, or to what is no http or https URL")

func checkRedirect(to *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || !fetchable(to.URL) || via[0].URL.Scheme == "https" && to.URL.Scheme != "https" {
		return errRedirect
	}
	return nil
}

// Fetch gives the list, or no data where nothing has changed since version have.
// What the server says of an error is not repeated.
func (h *HTTP) Fetch(ctx context.Context, have string) (data []byte, version string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("User-Agent", "enrollgate")
	req.Header.Set("Accept", "application/pkix-crl, */*;q=0.5") // RFC 2585 section 4
	if tag, modified, ok := strings.Cut(have, "\n"); ok {
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		if modified != "" {
			req.Header.Set("If-Modified-Since", modified)
		}
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, "", plain(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && have != "":
		return nil, have, nil
	case resp.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("the server answered with status %d", resp.StatusCode)
	case resp.ContentLength > int64(h.max):
		return nil, "", fmt.Errorf("the server sends more than %d octets", h.max)
	}
	if data, err = io.ReadAll(io.LimitReader(resp.Body, int64(h.max)+1)); err != nil {
		return nil, "", fmt.Errorf("the answer broke off after %d octets: %w", len(data), err)
	}
	if len(data) > h.max {
		return nil, "", fmt.Errorf("the server sends more than %d octets", h.max)
	}
	if len(data) == 0 {
		return nil, "", errors.New("the server answered with nothing")
	}
	return data, versionOf(resp.Header), nil
}

// versionOf keeps what the next request is made conditional with; "" for nothing.
func versionOf(h http.Header) string {
	tag, modified := h.Get("ETag"), h.Get("Last-Modified")
	if len(tag) > maxTag {
		tag = ""
	}
	if !settled(modified, h.Get("Date")) {
		modified = ""
	}
	if tag == "" && modified == "" {
		return ""
	}
	return tag + "\n" + modified
}

// settled says that no other list can have the same time of change: one that was
// published later in the second of its first answer would (RFC 9110 section 8.8.2.2).
func settled(modified, date string) bool {
	changed, err := http.ParseTime(modified)
	if err != nil {
		return false
	}
	answered, err := http.ParseTime(date)
	return err == nil && answered.Sub(changed) >= time.Second
}

// plain takes the URL out of an error: a redirect's is the server's words.
func plain(err error) error {
	var failed *outbound.Error
	if errors.As(err, &failed) {
		return failed
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
