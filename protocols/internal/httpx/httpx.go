// Package httpx is what the doors that speak HTTP know of a request and its reply
// alike: the client's address, the status that was sent, a refusal, and the rest of
// a body that nobody reads.
package httpx

import (
	"net/http"
	"net/netip"
)

// ClientAddress is the address in a RemoteAddr, an IPv4 one in its own form and
// without a zone; the zero Addr where it is not known. Behind trusted proxies the
// listener has put the client's there.
func ClientAddress(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}

// StatusWriter remembers the status of a reply.
type StatusWriter struct {
	http.ResponseWriter
	status int
}

// Status is that of the reply: 200 where none was said, as net/http has it.
func (w *StatusWriter) Status() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// WriteHeader notes the first status.
func (w *StatusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts as a 200 where no status was said.
func (w *StatusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *StatusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
