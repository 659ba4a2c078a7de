package va

import (
	"bufio"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

const (
	maxHeaders     = 16 << 10 // octets of status line and headers, informational answers included
	maxWhiteSpace  = 4 << 10  // octets after the key authorization
	maxBodyOnWire  = 64 << 10 // octets of the body with its chunk headers
	maxInformation = 5        // answers 1xx before the real one
)

var errHeaders = errors.New("the headers are too long")

// ask makes one request and judges the answer: nil with a redirect status means
// that location leads on, nil with another status that the key authorization was
// found. Errors of net/http are put into our own words, since theirs quote what the
// target sent.
func (h HTTP01) ask(ctx context.Context, where string, to target, keyAuthorization string) (Hop, []string, *Problem) {
	hop := Hop{URL: to.url.String()}
	ctx, cancel := context.WithTimeout(ctx, orDefault(h.HopTimeout, defaultHopTimeout))
	defer cancel()
	conn, path, err := h.Dialer.Dial(ctx, to.host, to.port)
	hop.Path = path
	if err != nil {
		return hop, nil, dialProblem(where, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // what waits for the target ends with ctx
	where += fmt.Sprintf("%s (%s) port %d ", to.host, path.Used, to.port)

	stream := conn
	if to.url.Scheme == "https" {
		// Trust is not the question here, RFC 8555 section 8.3.
		secured := tls.Client(conn, &tls.Config{ServerName: to.host, InsecureSkipVerify: true})
		if err := secured.HandshakeContext(ctx); err != nil {
			return hop, nil, &Problem{Type: TypeConnection, Detail: where + "did not agree on TLS", Retry: true}
		}
		stream = secured
	}
	response, err := exchange(stream, to, h.userAgent())
	if err != nil {
		return hop, nil, &Problem{Type: TypeConnection, Detail: where + answerReason(ctx, err), Retry: true}
	}
	hop.Status = response.StatusCode
	switch {
	case isRedirect(hop.Status):
		return hop, response.Header.Values("Location"), nil
	case hop.Status != http.StatusOK:
		return hop, nil, &Problem{
			Type:   TypeUnauthorized,
			Detail: fmt.Sprintf("%sanswered with status %d instead of 200", where, hop.Status),
			Retry:  mayRetry(hop.Status),
		}
	}
	return hop, nil, compare(ctx, where, response.Body, keyAuthorization)
}

// exchange writes the request and reads the head of the answer. It does so without
// http.Transport, which follows proxies, keeps connections, parses in goroutines
// of its own and logs what a target sends out of turn. The body need not be closed:
// closing the connection frees all.
func exchange(stream net.Conn, to target, userAgent string) (*http.Response, error) {
	request := &http.Request{Method: http.MethodGet, URL: to.url, Close: true, Header: http.Header{
		"Accept":     {"*/*"},
		"User-Agent": {userAgent},
	}}
	if err := request.Write(stream); err != nil {
		return nil, err
	}
	bounded := &io.LimitedReader{R: stream, N: maxHeaders}
	reader := bufio.NewReader(bounded)
	for range maxInformation + 1 {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			if bounded.N == 0 {
				return nil, errHeaders
			}
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			bounded.N = maxBodyOnWire
			return response, nil
		}
	}
	return nil, errHeaders
}

// compare reads the body and compares it with the key authorization, in constant
// time. White space at the end is ignored (RFC 8555 section 8.3).
func compare(ctx context.Context, where string, body io.Reader, keyAuthorization string) *Problem {
	limit := len(keyAuthorization) + maxWhiteSpace
	got, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	mismatch := &Problem{Type: TypeUnauthorized, Retry: true}
	switch trimmed := strings.TrimRight(string(got), " \t\r\n"); {
	case err != nil && ctx.Err() != nil:
		return &Problem{Type: TypeConnection, Detail: where + "did not send its answer in time", Retry: true}
	case err != nil:
		return &Problem{Type: TypeConnection, Detail: where + "broke off its answer", Retry: true}
	case len(got) > limit:
		mismatch.Detail = fmt.Sprintf("%sanswered with more than %d octets; the key authorization has %d", where, limit, len(keyAuthorization))
		return mismatch
	case subtle.ConstantTimeCompare([]byte(trimmed), []byte(keyAuthorization)) != 1:
		mismatch.Detail = fmt.Sprintf("%sanswered with %d octets that are not the key authorization of %d octets", where, len(trimmed), len(keyAuthorization))
		return mismatch
	}
	return nil
}

// answerReason puts an error of exchange into a phrase without its text.
func answerReason(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "did not answer in time"
	case errors.Is(err, errHeaders):
		return fmt.Sprintf("sent headers of more than %d octets", maxHeaders)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed the connection without an answer"
	default:
		return "did not answer in HTTP/1.1"
	}
}
