package est

import (
	"encoding/base64"
	"net/http"
	"strconv"
)

// Media types of answers (RFC 7030 sections 4.1.3, 4.2.3 and 4.5.2).
const (
	typeCertificates = "application/pkcs7-mime"
	typeCertificate  = "application/pkcs7-mime; smime-type=certs-only"
	typeAttributes   = "application/csrattrs"
)

// foldAt is where lines of base64 end. Some clients fail on one long line, others
// on several: see endpoint.unfolded.
const foldAt = 64

// answer sends DER in base64. It has a length always: deployed clients speak
// HTTP/1.0 and cannot read chunks.
func (r *request) answer(w http.ResponseWriter, mediaType string, der []byte) error {
	body := encode(der, r.endpoint.Unfolded)
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Transfer-Encoding", "base64")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // an error means that the client is gone
	return nil
}

// encode writes base64 in lines of foldAt characters, or in one.
func encode(der []byte, unfolded bool) []byte {
	text := base64.StdEncoding.AppendEncode(nil, der)
	if unfolded {
		return text
	}
	out := make([]byte, 0, len(text)+len(text)/foldAt+1)
	for len(text) > 0 {
		n := min(foldAt, len(text))
		out = append(append(out, text[:n]...), '\n')
		text = text[n:]
	}
	return out
}
