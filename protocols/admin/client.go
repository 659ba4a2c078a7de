package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"

	"github.com/enrollgate/enrollgate/ca"
)

// maxAnswer bounds an answer in octets.
const maxAnswer = 4 << 20

// Call asks the daemon at a socket for one operation. An error of the daemon is
// a *ca.Error; see Absent for the case that there is no daemon.
func Call(ctx context.Context, socket, path string, in, out any) error {
	if len(socket) > maxPath { // nobody can listen there
		return fmt.Errorf("administrative socket %s: %w", socket, fs.ErrNotExist)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://enrollgate"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return fmt.Errorf("administrative socket %s: %w", socket, err)
	}
	defer answer.Body.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("administrative socket %s: %w", socket, err)
	}
	if answer.StatusCode == http.StatusOK {
		return json.Unmarshal(data, out)
	}
	var f failure
	if err := json.Unmarshal(data, &f); err != nil || f.Error == "" {
		return fmt.Errorf("administrative socket %s: %s", socket, answer.Status)
	}
	e := ca.Errorf(kindOf(f.Kind), "%s", f.Error)
	e.Trace = f.Trace
	return e
}

func kindOf(name string) ca.Kind {
	for _, k := range ca.Kinds() {
		if k.String() == name {
			return k
		}
	}
	return ca.Internal
}
