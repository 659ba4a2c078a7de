package httpx

import (
	"io"
	"net/http"
)

// maxDrained is what a client may still be sending when it has its answer. More
// than this is cut off, after the wait of net/http.
const maxDrained = 256 << 10

// Drain takes up what an answered request still sends. A connection that is closed
// with octets unread is reset, and the client that is writing sees the reset in
// place of the refusal (RFC 9112 section 9.6). net/http does it for connections
// that stay open alone, and a stream of HTTP/2 ends without harm to its answer (RFC
// 9113 section 8.1). w is the writer that net/http gave. The server's ReadTimeout
// bounds the wait.
func Drain(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || r.Header.Get("Expect") != "" { // who waits to be asked sends nothing now (RFC 9110 section 10.1.1)
		return
	}
	io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxDrained)) // an error means that the client is gone, or sent too much
}
