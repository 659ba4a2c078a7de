package operations

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/enrollgate/enrollgate/ca"
)

// Recover ends the request of a listener that panics, counts it, and leaves
// every other request alone. Doors that have an error form of their own answer
// before it comes this far.
func (m *Metrics) Recover(listener string, log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			m.PanickedAt(listener)
			trace := ca.NewTrace()
			log.Error("panic", "listener", listener, "trace", trace, "path", r.URL.Path, "panic", fmt.Sprint(p))
			http.Error(w, "an internal error occurred [trace "+trace+"]", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}
