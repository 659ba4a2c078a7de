// Package admin serves administrative operations on a Unix socket: HTTP with
// JSON, one POST an operation, for the commands of this program on the same
// machine. The operations come from a closed table; everything else is refused.
//
// Who asks is known from the kernel (SO_PEERCRED), not from anything in the
// request: the socket has mode 0600, and only the daemon's own user and root are
// answered. There is no remote administration here.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// MaxBody bounds a request's body in octets.
const MaxBody = 64 << 10

// Operation is one entry of the table.
type Operation struct {
	Path  string // "/v1/NOUN/VERB"
	serve func(ctx context.Context, by Actor, body []byte) (any, error)
}

// Op makes an operation of a function from JSON to JSON. Fields that In does not
// have are refused. The function writes its audit row, with by as the actor.
func Op[In, Out any](path string, run func(ctx context.Context, by Actor, in In) (Out, error)) Operation {
	return Operation{path, func(ctx context.Context, by Actor, body []byte) (any, error) {
		var in In
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return nil, ca.Wrap(ca.BadRequest, err, "the body is not the JSON object that this operation takes")
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, ca.Errorf(ca.BadRequest, "there is more in the body than one JSON object")
		}
		return run(ctx, by, in)
	}}
}

// Actor is who asks: the process at the other end of the socket.
type Actor struct {
	UID, PID int
	User     string // login name, or the number where there is none
	verifier caller.Verifier
	at       time.Time
}

// For makes the caller of an operation on a tenant, or on ca.Installation.
func (a Actor) For(tenant string) (caller.Caller, error) {
	return caller.FromOperator(a.verifier, caller.OperatorIdentity{Tenant: tenant, User: a.User, UID: a.UID, At: a.at})
}

// Options are what a server is made of; all are needed.
type Options struct {
	Operations []Operation
	UIDs       []int // who is answered
	Callers    caller.Verifier
	Log        *slog.Logger
	Note       func(ca.Audit) // records refusals of strangers
	Now        func() time.Time
}

// Server answers on the socket.
type Server struct {
	Options
	table map[string]Operation
	http  *http.Server
}

// New checks the table.
func New(o Options) (*Server, error) {
	if len(o.UIDs) == 0 || o.Log == nil || o.Note == nil || o.Now == nil {
		return nil, errors.New("admin: a part is missing")
	}
	s := &Server{Options: o, table: map[string]Operation{}}
	for _, op := range o.Operations {
		if _, taken := s.table[op.Path]; taken || op.serve == nil {
			return nil, fmt.Errorf("admin: operation %s is empty or twice there", op.Path)
		}
		s.table[op.Path] = op
	}
	s.http = &http.Server{Handler: s, ConnContext: remember, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)}
	return s, nil
}

// failure is the body of every answer that is not 200.
type failure struct {
	Error string `json:"error"` // a sentence
	Kind  string `json:"kind"`
	Trace string `json:"trace"`
}

// ServeHTTP authenticates, looks the path up, and runs the operation.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	trace := ca.NewTrace()
	by, err := s.authenticate(r.Context(), trace)
	if err != nil {
		s.refuse(w, trace, http.StatusForbidden, by, r, err)
		return
	}
	op, ok := s.table[r.URL.Path]
	switch {
	case !ok:
		s.refuse(w, trace, http.StatusNotFound, by, r, ca.Errorf(ca.NotFound, "there is no such operation"))
		return
	case r.Method != http.MethodPost:
		s.refuse(w, trace, http.StatusMethodNotAllowed, by, r, ca.Errorf(ca.BadRequest, "operations are POSTed"))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		s.refuse(w, trace, http.StatusRequestEntityTooLarge, by, r, ca.Wrap(ca.BadRequest, err, "the body did not arrive, or is longer than 65,536 octets"))
		return
	}
	out, err := s.run(r.Context(), op, by, body)
	if err != nil {
		s.refuse(w, trace, statusOf(err), by, r, err)
		return
	}
	s.Log.Info("admin.done", "trace", trace, "operation", op.Path, "user", by.User, "uid", by.UID, "pid", by.PID)
	answer(w, http.StatusOK, out)
}

// run ends a panic in the operation that had it.
func (s *Server) run(ctx context.Context, op Operation, by Actor, body []byte) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ca.InternalError(fmt.Errorf("panic: %v", p))
		}
	}()
	return op.serve(ctx, by, body)
}

// authenticate takes the credentials that the kernel gave with the connection.
func (s *Server) authenticate(ctx context.Context, trace string) (Actor, error) {
	peer, ok := ctx.Value(peerKey{}).(peer)
	if !ok || peer.err != nil {
		return Actor{UID: -1}, ca.Wrap(ca.BadProof, peer.err, "the system does not say who is at the other end of the socket")
	}
	by := Actor{UID: peer.uid, PID: peer.pid, User: userName(peer.uid), verifier: s.Callers, at: s.Now()}
	if !slices.Contains(s.UIDs, peer.uid) {
		s.Note(ca.Audit{Tenant: ca.Installation, Event: "admin.refused", Actor: "operator:" + by.User, Trace: trace,
			Detail: fmt.Appendf(nil, `{"uid":%d,"pid":%d}`, by.UID, by.PID)})
		return by, ca.Errorf(ca.BadProof, "only the daemon's own user and root may administer it")
	}
	return by, nil
}

func statusOf(err error) int {
	switch ca.AsError(err).Kind {
	case ca.BadRequest:
		return http.StatusBadRequest
	case ca.BadProof, ca.Denied:
		return http.StatusForbidden
	case ca.NotFound:
		return http.StatusNotFound
	case ca.Conflict:
		return http.StatusConflict
	case ca.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (s *Server) refuse(w http.ResponseWriter, trace string, status int, by Actor, r *http.Request, err error) {
	e := ca.AsError(err)
	s.Log.Warn("admin.refused", "trace", trace, "method", r.Method, "path", r.URL.Path, "user", by.User, "uid", by.UID, "error", e.Error())
	answer(w, status, failure{e.Public, e.Kind.String(), trace})
}

func answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON","kind":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(data, '\n')) // an error means that the client is gone
}
