package est

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// maxBody bounds what a client sends: the largest request in base64, folded as
// narrowly as anybody does, in PEM armour.
const maxBody = 2*pkix.MaxCSR + 1024

// mediaType is the content type of a request without its parameters; "" where
// that cannot be read.
func mediaType(r *http.Request) string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return media
}

// readRequest reads a body that holds a PKCS #10 request (RFC 7030 section 4.2.1,
// RFC 8951 section 3).
func readRequest(r *http.Request) ([]byte, error) {
	if mediaType(r) != "application/pkcs10" {
		return nil, httpx.Fail(http.StatusUnsupportedMediaType, "the content type of a request must be application/pkcs10 (RFC 7030 section 4.2.1)")
	}
	return readBody(r, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
}

// readBody reads a body in one of its forms; labels are those of PEM.
// Content-Transfer-Encoding is not looked at.
func readBody(r *http.Request, labels ...string) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, tooLong()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, httpx.Fail(http.StatusBadRequest, "the request body could not be read")
	}
	if len(body) > maxBody {
		return nil, tooLong()
	}
	der, err := decode(body, labels...)
	if err != nil {
		return nil, httpx.Fail(http.StatusBadRequest, "%s", err)
	}
	if len(der) > pkix.MaxCSR {
		return nil, tooLong()
	}
	return der, nil
}

func tooLong() error {
	return httpx.Fail(http.StatusRequestEntityTooLarge, "the request is longer than %d octets", pkix.MaxCSR)
}

var (
	pemBegin = []byte("-----BEGIN ")
	pemEnd   = []byte("-----END ")
	pemDash  = []byte("-----")
)

// decode gives the DER of a body: base64 with or without line breaks, blanks and
// padding, such base64 in PEM armour, or DER as it is.
func decode(body []byte, labels ...string) ([]byte, error) {
	if isDER(body) { // whose last octet may look like a line break
		return body, nil
	}
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return nil, errors.New("the body is empty; it must be a request in base64 (RFC 8951 section 3)")
	}
	if _, armoured, ok := bytes.Cut(body, pemBegin); ok {
		label, rest, ok := bytes.Cut(armoured, pemDash)
		inner, _, ended := bytes.Cut(rest, pemEnd)
		if !ok || !ended || !slices.Contains(labels, string(label)) {
			return nil, errors.New("the PEM text is not a whole " + labels[0])
		}
		body = inner
	}
	text := strings.TrimRight(string(bytes.Join(bytes.Fields(body), nil)), "=")
	der, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(der) == 0 {
		return nil, errors.New("the body is not base64 (RFC 8951 section 3)")
	}
	return der, nil
}

// isDER tells a SEQUENCE of more than 127 octets, which every request is, from
// text: the base64 of one begins with another letter than "0".
func isDER(body []byte) bool { return len(body) > 1 && body[0] == 0x30 && body[1]&0x80 != 0 }
