package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// maxPath is the longest path of a Unix socket that Linux takes (unix(7)).
const maxPath = 107

// Listen makes the socket, mode 0600. One that a dead daemon left is replaced;
// one that is answered is not.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("admin.socket: the path %s is longer than %d octets; use a shorter one", path, maxPath)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("admin.socket: %s is in the way and is no socket", path)
		}
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			return nil, errors.Join(fmt.Errorf("admin.socket: another daemon answers at %s", path), c.Close())
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("admin.socket: %w", err)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("admin.socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin.socket: %w", err)
	}
	// Until here its mode is the umask's; whoever connects is asked for its uid all the same.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("admin.socket: %w", err), l.Close())
	}
	return l, nil
}

// Serve answers until Shutdown; its error is then nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin socket: %w", err)
	}
	return nil
}

// Shutdown lets operations in flight finish until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Absent tells whether an error of Client means that no daemon answers at the
// socket, so that a command may open the store itself.
func Absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// peer is who is at the other end of a connection.
type peer struct {
	uid, pid int
	err      error
}

type peerKey struct{}

// remember puts the peer's credentials into the context of its requests.
func remember(ctx context.Context, c net.Conn) context.Context {
	var p peer
	if u, ok := c.(*net.UnixConn); ok {
		p.uid, p.pid, p.err = credentials(u)
	} else {
		p.err = errors.New("not a Unix socket")
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// userName gives the login name of a uid, or the number.
func userName(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return filepath.Base(u.Username)
	}
	return number
}
