package ocsp

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// find splits /ocsp/TENANT/CA[/REQUEST] without cleaning the path: base64 has
// slashes, also two in a row. The request comes as it was written.
func (d *Door) find(u *url.URL) (r Responder, encoded string) {
	path := u.RawPath
	if path == "" {
		path = u.Path
	}
	path = strings.TrimPrefix(path, "/ocsp/")
	end := strings.IndexByte(path, '/')
	if end < 0 {
		return nil, ""
	}
	if next := strings.IndexByte(path[end+1:], '/'); next >= 0 {
		end += 1 + next
		path, encoded = path[:end], path[end+1:]
	}
	return d.Responders[path], encoded
}

var errPath = errors.New("the path does not end with a base64 OCSP request")

// maxPath bounds the text of a request: base64, each character percent-encoded.
const maxPath = 4 * pkix.MaxOCSPRequest

// decodePath reads the request of a GET: base64, maybe with percent-encoding
// (RFC 6960 appendix A.1), maybe without its padding.
func decodePath(text string) ([]byte, error) {
	if text == "" || len(text) > maxPath {
		return nil, errPath
	}
	if strings.IndexByte(text, '%') >= 0 {
		plain, err := url.PathUnescape(text)
		if err != nil {
			return nil, errPath
		}
		text = plain
	}
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, errPath
	}
	return der, nil
}
